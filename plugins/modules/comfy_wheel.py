#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_wheel
short_description: Build one wheel of a source archive, in a sandbox
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Builds on the host that the task runs on, with exactly the build requirements that are given, each by its sha256.
  - The source's own code runs in namespaces of its own (user, mount, network, process), where it sees the system's
    programs read-only, no home, no network and no variable of the caller, and writes nowhere but into a directory that
    is gone afterwards. A host that does not allow such namespaces builds nothing.
  - M(comfyops.fleet.comfy_lock) uses it on the host that its option O(comfyops.fleet.comfy_lock#module:builder) names,
    brings there what it needs, and fetches the wheel.
extends_documentation_fragment:
  - comfyops.fleet.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is built.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Builds whenever it is called; who calls it knows what there is.
  platform:
    platforms: linux
options:
  state:
    description:
      - What to do.
    type: str
    default: present
    choices:
      present: Build the wheel.
      described: Build nothing; only say which Python, machine type and C library this host has.
  python:
    description:
      - Version of the Python that builds, as V(3.12) or V(3.12.4). It is looked for in the usual places.
    type: str
    required: true
  interpreter:
    description:
      - Interpreter on the host that is tried first.
    type: str
  source:
    description:
      - Source archive on the host, a C(.tar), C(.tar.gz) or C(.zip) in which one directory has everything.
      - Required when O(state=present).
    type: path
  subdirectory:
    description:
      - Directory in the source that has the project.
    type: str
  backend:
    description:
      - Build backend (PEP 517).
    type: str
    default: setuptools.build_meta:__legacy__
  backend_path:
    description:
      - Directories of the source that the backend is in.
    type: list
    elements: str
    default: []
  requires:
    description:
      - Wheels on the host that the build environment holds, and nothing else does.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name of the package.
        type: str
        required: true
      sha256:
        description:
          - What the file must have.
        type: str
        required: true
      path:
        description:
          - The wheel on the host.
        type: path
        required: true
  wanted:
    description:
      - What the backend is known to require by itself (C(get_requires_for_build_wheel)). Where it says otherwise,
        nothing is built and RV(wants) is returned.
    type: list
    elements: str
    default: []
  epoch:
    description:
      - C(SOURCE_DATE_EPOCH) of the build, in seconds.
    type: int
    default: 315532800
  environment:
    description:
      - Further environment variables of the build.
    type: dict
    default: {}
  directory:
    description:
      - Directory on the host that the wheel is put into. Required when O(state=present).
    type: path
  uv:
    description:
      - uv on the host. Required when O(state=present).
    type: path
requirements:
  - util-linux 2.34 or newer and user namespaces on the host
  - Python of the version on the host, and the compilers and headers that the source needs
seealso:
  - module: comfyops.fleet.comfy_lock
"""

EXAMPLES = r"""
- name: Build a wheel of a source archive without requirements
  comfyops.fleet.comfy_wheel:
    python: "3.12"
    source: /var/tmp/sources/demo-1.0.tar.gz
    backend: flit_core.buildapi
    requires:
      - name: flit-core
        sha256: e7bdd3e52a12ae5a3f0a9f4ebd1e1f0b8e0e0d0e0a0b0c0d0e0f000102030405
        path: /var/tmp/wheels/flit_core-3.12.0-py3-none-any.whl
    directory: /var/tmp/wheels
    uv: /usr/local/bin/uv

- name: Only say what this host can build for
  comfyops.fleet.comfy_wheel:
    state: described
    python: "3.12"
"""

RETURN = r"""
wheel:
  description: The wheel that was built.
  returned: when one was built
  type: str
  sample: /var/tmp/wheels/demo-1.0-py3-none-any.whl
wants:
  description: What the backend requires by itself, where that is not what O(wanted) says.
  returned: when nothing was built for that reason
  type: list
  elements: str
  sample:
    - ninja
interpreter:
  description: The Python that builds; null where the host has none of the version.
  returned: success
  type: dict
  sample:
    path: /usr/bin/python3.12
    version: 3.12.4
    machine: x86_64
    libc: glibc 2.36
cache:
  description: Directory on the host for what can be brought again, of E(XDG_CACHE_HOME) where that is set.
  returned: when O(state=described)
  type: str
  sample: /root/.cache/comfyops-fleet
log:
  description: All that the build said.
  returned: when O(state=present), outside check mode
  type: str
  sample: Successfully built demo-1.0-py3-none-any.whl
step:
  description: What failed of the build.
  returned: when the build failed
  type: str
  sample: build the wheel
failures:
  description: The fault, with where it is, what it is, and what to do.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: sandbox for builds
      what: this machine does not let us make one
      remedy: Allow user namespaces
"""

import os
import pathlib
import shutil
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import find_python
from ansible_collections.comfyops.fleet.plugins.module_utils.wheels.build import (
    Interpreter,
    Order,
    Outcome,
    Requirement,
    build,
    describe,
)

REQUIREMENT: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "sha256": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
}
OPTIONS: dict[str, t.Any] = {
    "state": {"type": "str", "default": "present", "choices": ["present", "described"]},
    "python": {"type": "str", "required": True},
    "interpreter": {"type": "str"},
    "source": {"type": "path"},
    "subdirectory": {"type": "str"},
    "backend": {"type": "str", "default": "setuptools.build_meta:__legacy__"},
    "backend_path": {"type": "list", "elements": "str", "default": []},
    "requires": {"type": "list", "elements": "dict", "default": [], "options": REQUIREMENT},
    "wanted": {"type": "list", "elements": "str", "default": []},
    "epoch": {"type": "int", "default": 315532800},
    "environment": {"type": "dict", "default": {}},
    "directory": {"type": "path"},
    "uv": {"type": "path"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=OPTIONS,
        required_if=[("state", "present", ("source", "directory", "uv"))],
        supports_check_mode=True,
    )
    try:
        interpreter = _interpreter(module)
        told = _told(interpreter)
        if module.params["state"] == "described":
            module.exit_json(changed=False, interpreter=told, cache=_cache())
        if interpreter is None:
            raise FleetError(
                f"this host has no Python {module.params['python']}", remedy="Install it, or set interpreter"
            )
        if module.check_mode:
            module.exit_json(changed=True, interpreter=told)
        outcome, wheel = _build(module, interpreter)
    except FleetError as error:
        fail(module, error)
    if outcome.failed:
        module.fail_json(msg=f"the build failed to {outcome.failed}", step=outcome.failed, log=outcome.log)
    result = {"wants": list(outcome.wants)} if outcome.wants is not None else {"wheel": wheel}
    module.exit_json(changed=wheel is not None, interpreter=told, log=outcome.log, **result)


def _interpreter(module: AnsibleModule) -> Interpreter | None:
    path = find_python(module.params["python"], module.params["interpreter"])
    return describe(path) if path else None


def _cache() -> str:
    base = os.environ.get("XDG_CACHE_HOME")
    return str((pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "comfyops-fleet")


def _told(interpreter: Interpreter | None) -> dict[str, str] | None:
    if interpreter is None:
        return None
    return {
        "path": str(interpreter.path),
        "version": interpreter.version,
        "machine": interpreter.machine,
        "libc": interpreter.libc,
    }


def _build(module: AnsibleModule, interpreter: Interpreter) -> tuple[Outcome, str | None]:
    options = module.params
    order = Order(
        archive=pathlib.Path(options["source"]),
        subdirectory=options["subdirectory"],
        backend=options["backend"],
        backend_path=tuple(options["backend_path"]),
        requires=tuple(
            Requirement(each["name"], each["sha256"], pathlib.Path(each["path"])) for each in options["requires"]
        ),
        wanted=tuple(options["wanted"]),
        epoch=options["epoch"],
        variables={name: str(value) for name, value in options["environment"].items()},
    )
    work = pathlib.Path(tempfile.mkdtemp(prefix="comfy-build.", dir=module.tmpdir))
    try:
        outcome = build(order, interpreter, pathlib.Path(options["uv"]), work)
        if outcome.wheel is None:
            return outcome, None
        place = pathlib.Path(options["directory"])
        place.mkdir(parents=True, exist_ok=True)
        wheel = shutil.copy(outcome.wheel, place)
        pathlib.Path(wheel).chmod(0o644)
        return outcome, str(wheel)
    except OSError as error:
        raise FleetError(f"cannot be written ({error.strerror})", where=str(error.filename or work)) from error
    finally:
        remove_tree(work)


if __name__ == "__main__":
    main()
