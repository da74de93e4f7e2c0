#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_unbundle
short_description: Bring a host what it lacks of a bundle that the control node has
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - The host is asked what it lacks for the lock; exactly that is brought over the connection, checked by its sha256 and
    put where the other modules look for it. They can then run with their option C(offline).
  - Files are brought in pieces. A run that was cut off goes on with the piece that it was at.
  - The bundle is taken as it is; M(comfyops.fleet.comfy_lock) with O(comfyops.fleet.comfy_lock#module:bundle) reads it
    through before.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.lock
  - comfyops.fleet.host
  - comfyops.fleet.host.verify
  - comfyops.fleet.host.skip_models
  - comfyops.fleet.host.model_search
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
  bundle:
    description:
      - The bundle on the control node, a directory or a tar.
    type: path
  python:
    description:
      - Path or name of an interpreter that is tried first for the environment.
    type: str
  python_indexes:
    description:
      - Where package indexes are reached, by name. The host does not ask them.
    type: dict
    default: {}
  wheels_dir:
    description:
      - Directory on the host with wheels, which need not be brought.
    type: path
  wheels_coming:
    description:
      - Names of wheels that are brought otherwise.
    type: list
    elements: str
    default: []
  space:
    description:
      - What to do where an environment does not fit beside those that there are, as for
        M(comfyops.fleet.comfy_pip_packages).
    type: str
    default: beside
    choices: [beside, replace]
  contained:
    description:
      - The bundle's files with sha256 and size. Set by the action plugin.
    type: dict
    default: {}
  uv_machine:
    description:
      - The machine type of the bundle's uv. Set by the action plugin.
    type: str
    default: ""
  step:
    description:
      - Whether to say what is lacking, or to put in place what has come. Set by the action plugin.
    type: str
    default: ask
    choices: [ask, take]
seealso:
  - module: comfyops.fleet.comfy_bundle
  - module: comfyops.fleet.comfy_lock
"""

EXAMPLES = r"""
- name: Read the bundle through, and load its lock
  comfyops.fleet.comfy_lock:
    version: wan22
    bundle: /media/disk/wan22
  run_once: true
  register: comfy_locked

- name: Bring what the host lacks
  comfyops.fleet.comfy_unbundle:
    bundle: /media/disk/wan22
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
"""

RETURN = r"""
actions:
  description: What was brought, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - part: bundle
      action: bring
      name: files/0a1b2c3d4e5f/torch-2.9.0-cp312-cp312-manylinux_2_28_x86_64.whl
      before: null
      after: 899.8 MB
lacking:
  description: What the host lacks, and how many bytes of each it has.
  returned: success and O(step=ask)
  type: list
  elements: dict
  sample:
    - name: models/ab/ab12
      path: /opt/comfy/store/partial/ab12.machine.brought
      size: 6938040682
      have: 134217728
uv:
  description: The bundle's uv on the host; null where it is not there.
  returned: success
  type: str
  sample: /opt/comfy/agent/uv-0a1b2c3d4e5f/uv
notes:
  description: Facts that are no change.
  returned: success
  type: list
  elements: str
  sample: []
failures:
  description: Each fault of the batch.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: target cpu
      what: the bundle has no files/0a1b2c3d4e5f/torch-2.9.0-cp312-cp312-manylinux_2_28_x86_64.whl
      remedy: Write it with bundle.yml -e target=cpu as well, or for all targets
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.arrivals import (
    Arrival,
    Contained,
    arrivals_of,
    plan,
    uv_place,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.take import take
from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan, diff
from ansible_collections.comfyops.fleet.plugins.module_utils.converge import converge
from ansible_collections.comfyops.fleet.plugins.module_utils.drift import drift_of
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import obstacles

OPTIONS: dict[str, t.Any] = {
    **arguments.LOCK,
    **arguments.VERIFY,
    **arguments.SKIP_MODELS,
    **arguments.MODEL_SEARCH,
    **arguments.PYTHON,
    "bundle": {"type": "path"},
    "contained": {"type": "dict", "default": {}},
    "uv_machine": {"type": "str", "default": ""},
    "step": {"type": "str", "default": "ask", "choices": ["ask", "take"]},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    files = {name: (str(file["sha256"]), int(file["size"])) for name, file in module.params["contained"].items()}
    contained = Contained(files, module.params["uv_machine"])
    try:
        # Whatever the spec says: with the bundle, nothing that a host lacks stands in its way.
        context = arguments.context_from({**module.params, "offline": False})
        place = uv_place(context.layout, contained)
    except FleetError as error:
        fail(module, error)
    if module.params["step"] == "ask":
        ask(module, context, contained)

    arrivals: list[Arrival] = []

    def look() -> Plan:
        arrivals[:] = arrivals_of(drift_of(context, None, switch=False), contained)
        return plan(arrivals, None)

    converge(module, context.layout, look=look, apply=lambda _planned: take(context, arrivals), uv=str(place))


def ask(module: AnsibleModule, context: Context, contained: Contained) -> t.NoReturn:
    """Say what the host lacks; fail, before anything is brought, where it can not be realized all the same."""
    try:
        drift = drift_of(context, None, switch=False)
        lacking = arrivals_of(drift, contained)
        planned = plan(lacking, drift)
        raise_all(obstacles(context.layout, planned))
    except FleetError as error:
        fail(module, error)
    place = uv_place(context.layout, contained)
    result: dict[str, t.Any] = {
        "changed": bool(lacking),
        "actions": [change.result() for change in planned.changes],
        "lacking": [
            {"name": each.name, "path": str(each.path), "size": each.size, "have": each.have} for each in lacking
        ],
        "notes": [],
        "uv": str(place) if place.is_file() else None,
    }
    if lacking and module._diff:
        result["diff"] = diff(planned.changes)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
