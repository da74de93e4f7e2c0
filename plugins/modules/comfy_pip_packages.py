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
  - Nothing is resolved on the host. Every file has to have the sha256 of the lock, comes as a wheel, and comes from the
    index that the lock names for it.
  - Every installed file is compared with what its package recorded. What was damaged in uv's cache is fetched again.
  - Bytecode is never drift. Files that somebody edited or added are kept in C(state/aside) when they are replaced.
  - uv comes from the control node, over the connection, once for each of its versions; the host needs none.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.lock
  - comfyops.fleet.host
  - comfyops.fleet.host.offline
  - comfyops.fleet.host.verify
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
        the spec or of an installed package. In check mode, an environment that is not there yet is no failure.
  python:
    description:
      - Interpreter on the host, a path or a name, to be used if it has the version that the target wants.
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
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.plan import plan
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.requirements import verify

OPTIONS: dict[str, t.Any] = {
    **arguments.LOCK,
    **arguments.OFFLINE,
    **arguments.VERIFY,
    **arguments.PYTHON,
    **arguments.UV,
    **arguments.CREDENTIALS,
    "uv_source": {"type": "path"},
    "state": {"type": "str", "default": "present", "choices": ["present", "verified"]},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        context = arguments.context_from(module.params)
    except FleetError as error:
        fail(module, error)
    places = {"environment": str(context.environment), "home": str(context.home)}
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
    foretold = module.check_mode and not context.environment.exists()
    try:
        if not foretold:
            verify(context)
    except FleetError as error:
        fail(module, error, **places)
    module.exit_json(changed=False, **places)


if __name__ == "__main__":
    main()
