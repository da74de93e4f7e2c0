#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_pip_packages
short_description: Make a build's Python packages exactly what the lock says
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - The packages of a build are an environment below C(envs), named by what is in it; builds that need the same share
    it.
  - An environment that serves is never edited. When something is missing, extra, of another version, damaged or of
    another Python, a new environment is made beside, read back and renamed into place; then the build's C(.venv) leads
    there.
  - Nothing is resolved on the host. Every file has to have the sha256 of the lock and is exactly the locked one. It is
    taken from O(wheels_dir), from the first of O(model_mirrors) that has it, or from the index or URL of the lock.
    What only the control node has (wheels that were built, local ones) comes from there.
  - Wheels are unpacked once, with bytecode, into C(cache/wheels). Environments share those files, which nobody may
    write to, by clones, hard links or copies, whichever the file systems can do.
  - Every installed file is compared with what its package recorded. What was damaged in the store is fetched again.
  - Packages without content (C(shim)) are made on the host. Packages of the host's image (C(provided)) are linked into
    the environment, and have to be there in the locked version.
  - Before anything changes, the host's NVIDIA driver and GPUs (asked of C(nvidia-smi) where the locked torch is for
    CUDA) and its C library are held against what the locked wheels were built for.
  - What the installed torch says of its own build has to be what the lock says.
  - The modules that the spec names in C(verify.imports) are imported before a new environment serves.
  - Bytecode is never drift. Files that somebody edited or added are kept in C(state/aside) when they are replaced.
  - uv comes from the control node, over the connection, once for each of its versions; the host needs none.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.lock
  - comfyops.fleet.host
  - comfyops.fleet.host.offline
  - comfyops.fleet.host.verify
  - comfyops.fleet.host.space
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
  action:
    description: Has a corresponding action plugin, so that parts of it run on the control node.
    support: full
options:
  state:
    description:
      - What to do.
    type: str
    default: present
    choices:
      present: Make the environment and the build's link to it.
      verified: >-
        Change nothing; fail, listing all, when the environment does not meet a requirement of ComfyUI, of a node, of
        the spec or of an installed package, or when a module of C(verify.imports) can not be imported. In check mode,
        an environment that is not there yet is no failure.
  python:
    description:
      - Interpreter on the host, a path or a name, to be used if it has the version that the target wants.
      - What the spec names in C(python.provided) is looked for among its packages; it may be that of a virtual
        environment.
      - By default it is looked for in the usual places.
    type: str
  python_indexes:
    description:
      - Where package indexes are reached from this host, by the names that the lock has for them. C(pypi) is the
        default index.
    type: dict
    default: {}
  wheels_dir:
    description:
      - Directory on the host with wheels. What it has is taken from there, before any index is asked.
    type: path
  wheels_source:
    description:
      - Directory on the control node with wheels. What it has of the lock, and the host has not, is brought there and
        taken before any index is asked.
    type: path
  wheels_coming:
    description:
      - Names of wheels that will be there when they are needed. For check mode, where they are not brought.
    type: list
    elements: str
    default: []
  model_mirrors:
    description:
      - Content-addressed mirrors, asked for C(<mirror>/sha256/ab/ab12...) before indexes and URLs.
    type: list
    elements: str
    default: []
  allow_http:
    description:
      - Whether mirrors may be asked over plain HTTP; otherwise only those on this host may. By default, what the spec's
        policy says.
    type: bool
  versions_dir:
    description:
      - The directory of specs and locks on the control node, with the wheels that were built for them in C(wheels).
        Defaults to C(versions) in the working directory, or else the one of the collection's checkout.
    type: path
  imports:
    description:
      - Whether O(state=verified) imports the modules of the spec's C(verify.imports).
    type: bool
    default: true
  credentials:
    description:
      - Host name to token, or to C(user:password), for indexes that want one. Never shown, logged, put on a command
        line or on a disk, or sent to another host.
    type: dict
    default: {}
  uv:
    description:
      - uv on the host. Given, nothing is brought there.
      - By default the control node's uv is brought to C(agent) below O(root) when the module runs outside check mode.
    type: path
  uv_source:
    description:
      - uv on the control node, for hosts of another machine type than the control node's.
      - By default the one of the Python package C(uv) that Ansible runs with, else the one on its C(PATH).
    type: path
requirements:
  - Python of the target's version on the host, 3.10 or newer
  - uv 0.13 or newer on the control node
seealso:
  - module: comfyops.fleet.comfy_version
  - module: comfyops.fleet.comfy_nodes
  - module: comfyops.fleet.comfy_lock
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: demo
  run_once: true
  register: comfy_locked

- name: Make the Python packages
  comfyops.fleet.comfy_pip_packages:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy

- name: Make them from a mirror of the default index
  comfyops.fleet.comfy_pip_packages:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
    python_indexes:
      pypi: https://mirror.example/simple
    credentials:
      mirror.example: "{{ vault_mirror_token }}"

- name: Verify that all requirements are met
  comfyops.fleet.comfy_pip_packages:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
    state: verified
"""

RETURN = r"""
actions:
  description:
    - What was done, or in check mode would be done, one entry for each package, environment and link.
    - Packages of an environment that is new are compared with those of the build that serves.
  returned: success and O(state=present)
  type: list
  elements: dict
  sample:
    - part: packages
      action: change
      name: torch
      before: 2.8.0+cpu
      after: 2.9.0+cpu
    - part: packages
      action: create
      name: environment 0a1b2c3d4e5f
      before: null
      after: Python 3.12
    - part: packages
      action: link
      name: .venv
      before: ffeeddccbbaa
      after: 0a1b2c3d4e5f
notes:
  description: Facts that are no change.
  returned: success and O(state=present)
  type: list
  elements: str
  sample: []
installed:
  description: What the environment holds. Of what the lock does not name, C(source) and C(origin) are null.
  returned: O(state=verified)
  type: list
  elements: dict
  sample:
    - name: torch
      version: 2.9.0+cpu
      source: index
      origin: https://download.pytorch.org/whl/cpu
      files: 12345
      bytes: 678901234
imports:
  description:
    - The modules of the spec's C(verify.imports), the package that brings each, and the last line of what Python said
      against it; null where it can be imported.
  returned: O(state=verified)
  type: list
  elements: dict
  sample:
    - module: cv2
      package: opencv-python
      error: "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
environment:
  description: The environment's directory.
  returned: success
  type: str
  sample: /opt/comfy/envs/0a1b2c3d4e5f
home:
  description: COMFY_HOME of the build.
  returned: success
  type: str
  sample: /opt/comfy/builds/demo-0a1b2c3d4e5f
target:
  description: The target of the lock that the host is.
  returned: success
  type: str
  sample: cu130
failures:
  description: Each fault of the batch.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: node comfyui-palette
      what: wants numpy>=2 (requirements.txt), installed is 1.26.4
      remedy: Add "numpy>=2" to python_packages in the spec, and lock again
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.converge import converge
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.imports import import_faults, import_modules
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.installed import installed_packages
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.plan import plan
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.requirements import (
    unmet_requirements,
    verify,
)

OPTIONS: dict[str, t.Any] = {
    **arguments.LOCK,
    **arguments.OFFLINE,
    **arguments.VERIFY,
    **arguments.PYTHON,
    **arguments.UV,
    **arguments.CREDENTIALS,
    **arguments.MIRRORS,
    "uv_source": {"type": "path"},
    "wheels_source": {"type": "path"},
    "versions_dir": {"type": "path"},
    "imports": {"type": "bool", "default": True},
    "state": {"type": "str", "default": "present", "choices": ["present", "verified"]},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        context = arguments.context_from(module.params)
    except FleetError as error:
        fail(module, error)
    places = {
        "environment": str(context.environment),
        "home": str(context.home),
        "target": context.target.name,
    }
    if module.params["state"] == "verified":
        _verify(module, context, places)
    converge(
        module,
        context.layout,
        look=lambda: plan(context, observe(context)),
        apply=lambda planned: apply(context, planned),
        **places,
    )


def _verify(module: AnsibleModule, context: Context, places: dict[str, str]) -> t.NoReturn:
    found: dict[str, t.Any] = {"installed": [], "imports": []}
    if module.check_mode and not context.environment.exists():
        module.exit_json(changed=False, **found, **places)
    try:
        if not context.environment.is_dir():
            verify(context)
        faults = unmet_requirements(context)
        found["installed"] = installed_packages(context)
        imported = import_modules(context, context.environment) if module.params["imports"] else []
        found["imports"] = [each._asdict() for each in imported]
        raise_all([*faults, *import_faults(imported)])
    except FleetError as error:
        fail(module, error, **found, **places)
    module.exit_json(changed=False, **found, **places)


if __name__ == "__main__":
    main()
