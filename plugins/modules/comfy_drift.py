#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_drift
short_description: Say how a host differs from a lock
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Looks at core, nodes, packages, models and the build that serves, in one call, and returns the plan that would
    bring the host to the lock. Nothing is written, unless O(record=true), and the network is not asked.
  - It is the probe of the realize playbook and the source of the drift report.
  - Works on a host that has nothing yet.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.lock
  - comfyops.fleet.host
  - comfyops.fleet.host.offline
  - comfyops.fleet.host.verify
  - comfyops.fleet.host.skip_models
  - comfyops.fleet.host.model_search
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
options:
  switch:
    description:
      - Whether the build is meant to serve; if not, only its being prepared is looked at.
    type: bool
    default: true
  fixed_home:
    description:
      - The further link to the build that serves, if there is to be one.
    type: path
  obstacles:
    description:
      - What to do when something stands in the way of bringing the host to the lock, such as too little room.
    type: str
    default: report
    choices:
      report: Return it in RV(obstacles).
      fail: Fail, with all of it, before anything changes.
  record:
    description:
      - Record which models were read and found to have which sha256, so that the modules which follow do not read them
        again. It is a note in C(state/receipts), written when nothing stands in the way, and not in check mode.
    type: bool
    default: false
  python:
    description:
      - Path or name of an interpreter that is tried first for the environment.
    type: str
  python_indexes:
    description:
      - Where package indexes are reached from this host, by name; an index that nobody locates is an obstacle.
    type: dict
    default: {}
  wheels_dir:
    description:
      - Directory on the host with wheels; what it has is no obstacle offline.
    type: path
  wheels_coming:
    description:
      - Names of wheels that will be there when they are needed.
    type: list
    elements: str
    default: []
requirements:
  - git 2.30 or newer on the host
seealso:
  - module: comfyops.fleet.comfy_lock
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: demo
    stale: refuse
  run_once: true
  register: comfy_locked

- name: Look at the host
  comfyops.fleet.comfy_drift:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
  register: comfy_probe

- name: Say whether there is drift
  ansible.builtin.debug:
    var: comfy_probe.drifted
"""

RETURN = r"""
drifted:
  description: Whether there is anything to do.
  returned: success
  type: bool
  sample: true
actions:
  description: What would be done, part by part in the order in which it would be done.
  returned: success
  type: list
  elements: dict
  sample:
    - part: nodes
      action: restore
      name: custom_nodes/comfyui-palette/palette.py
      before: changed
      after: 4f1c0a9be2d7
parts:
  description: Number of actions by part; a part that is in sync has 0.
  returned: success
  type: dict
  sample:
    core: 0
    nodes: 1
    packages: 0
    models: 0
    current: 0
obstacles:
  description: What stands in the way of doing it, such as a missing interpreter or too little room.
  returned: success
  type: list
  elements: dict
  sample: []
notes:
  description: Facts that are no drift, such as run-time data in a node's folder.
  returned: success
  type: list
  elements: str
  sample:
    - "custom_nodes/comfyui-notebook: 2 run-time file(s), 1204 bytes (no drift)"
target:
  description: The lock's target that the host is.
  returned: success
  type: str
  sample: default
build:
  description: The build that the lock makes on this host.
  returned: success
  type: str
  sample: demo-0a1b2c3d4e5f
serving:
  description: The build that serves, if any.
  returned: success
  type: str
  sample: demo-ffeeddccbbaa
home:
  description: COMFY_HOME of the build.
  returned: success
  type: str
  sample: /opt/comfy/builds/demo-0a1b2c3d4e5f
failures:
  description: Why the host could not be looked at.
  returned: failure
  type: list
  elements: dict
  sample: []
"""

import os
import pathlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.drift import drift_of
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import record_reads

OPTIONS = {
    **arguments.LOCK,
    **arguments.OFFLINE,
    **arguments.VERIFY,
    **arguments.SKIP_MODELS,
    **arguments.MODEL_SEARCH,
    "switch": {"type": "bool", "default": True},
    "fixed_home": {"type": "path"},
    "obstacles": {"type": "str", "default": "report", "choices": ["report", "fail"]},
    "record": {"type": "bool", "default": False},
    **arguments.PYTHON,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    fixed_home = pathlib.Path(module.params["fixed_home"]) if module.params["fixed_home"] else None
    try:
        context = arguments.context_from(module.params)
        found = drift_of(context, fixed_home, bool(module.params["switch"]))
        if module.params["obstacles"] == "fail":
            raise_all(found.obstacles())
        if module.params["record"] and not module.check_mode:
            # The directories that it makes are for others to read, whatever umask this user has.
            os.umask(0o022)
            record_reads(context.layout)
    except FleetError as error:
        fail(module, error)
    module.exit_json(changed=False, **found.result(bool(module._diff)))


if __name__ == "__main__":
    main()
