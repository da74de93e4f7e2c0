#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_version
short_description: Make a build of a version, switch to it, or remove a version's builds
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - With O(state=present), makes the build's directory, COMFY_HOME, as a git checkout of ComfyUI at the locked commit.
    C(input), C(output), C(user) and C(temp) are links into C(data) below O(root), so they outlive the build.
  - With O(state=current), makes the build the one that serves, in one atomic step; models whose content differs between
    the two builds change at the same time, and run-time data of the nodes follows. An incomplete build is refused.
  - With O(state=absent), removes the builds of O(version_id) and the environments that only they use. Models, data and
    the store stay.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.host
  - comfyops.fleet.host.offline
  - comfyops.fleet.host.git
  - comfyops.fleet.host.skip_models
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
  state:
    description:
      - What to make of the build.
    type: str
    default: present
    choices:
      present: The build's checkout of ComfyUI is there and as committed.
      current: The build serves.
      absent: The version has no builds on the host.
  lock:
    description:
      - The lock, as M(comfyops.fleet.comfy_lock) returns it in RV(comfyops.fleet.comfy_lock#module:lock).
      - Required for O(state=present) and O(state=current).
    type: dict
  target:
    description:
      - The lock's target that this host is. By default the one whose platform and accelerator fit the host.
    type: str
  version_id:
    description:
      - The version whose builds are removed. Required for O(state=absent).
    type: str
  fixed_home:
    description:
      - A further link to the build that serves, for scripts that expect a fixed COMFY_HOME.
      - A directory that is already there is refused.
    type: path
  force:
    description:
      - Remove also the build that serves; the host then has none.
    type: bool
    default: false
requirements:
  - git 2.30 or newer on the host
seealso:
  - module: comfyops.fleet.comfy_nodes
  - module: comfyops.fleet.comfy_pip_packages
  - module: comfyops.fleet.comfy_models
"""

EXAMPLES = r"""
- name: Load the lock
  comfyops.fleet.comfy_lock:
    version: demo
  run_once: true
  register: comfy_locked

- name: Make ComfyUI's checkout
  comfyops.fleet.comfy_version:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy

- name: Switch to the build
  comfyops.fleet.comfy_version:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
    state: current

- name: Remove what is left of an old version
  comfyops.fleet.comfy_version:
    version_id: last-year
    root: /opt/comfy
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: dict
  sample:
    - part: current
      action: switch
      name: current
      before: demo-ffeeddccbbaa
      after: demo-0a1b2c3d4e5f
notes:
  description: Facts that are no change, such as run-time data in the checkout.
  returned: success
  type: list
  elements: str
  sample: []
home:
  description: COMFY_HOME of the build.
  returned: when O(state) is V(present) or V(current)
  type: str
  sample: /opt/comfy/builds/demo-0a1b2c3d4e5f
failures:
  description: Each fault, with where it is, what it is, and what to do.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: demo
      what: demo-0a1b2c3d4e5f is the build that serves
      remedy: Realize another version first
"""

import pathlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.builds import apply as builds_apply
from ansible_collections.comfyops.fleet.plugins.module_utils.builds import observe as builds_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.builds import plan as builds_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.converge import converge
from ansible_collections.comfyops.fleet.plugins.module_utils.core import apply as core_apply
from ansible_collections.comfyops.fleet.plugins.module_utils.core import observe as core_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.core import plan as core_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.current import apply as current_apply
from ansible_collections.comfyops.fleet.plugins.module_utils.current import observe as current_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.current import plan as current_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail

OPTIONS = {
    **arguments.ROOT,
    **arguments.OFFLINE,
    **arguments.GIT,
    **arguments.SKIP_MODELS,
    "lock": {"type": "dict"},
    "target": {"type": "str"},
    "state": {"type": "str", "default": "present", "choices": ["present", "current", "absent"]},
    "version_id": {"type": "str"},
    "fixed_home": {"type": "path"},
    "force": {"type": "bool", "default": False},
}
REQUIRED_IF = [("state", "present", ("lock",)), ("state", "current", ("lock",)), ("state", "absent", ("version_id",))]


def remove(module: AnsibleModule) -> None:
    """The state absent."""
    layout = arguments.layout_from(module.params)
    version_id, force = module.params["version_id"], module.params["force"]
    converge(
        module,
        layout,
        look=lambda: builds_plan.plan(builds_observe.observe(layout), version_id, force),
        apply=lambda planned: builds_apply.apply(layout, planned),
    )


def realize(module: AnsibleModule) -> None:
    """The states present and current."""
    try:
        context = arguments.context_from(module.params)
    except FleetError as error:
        fail(module, error)
    if module.params["state"] == "present":
        converge(
            module,
            context.layout,
            look=lambda: core_plan.plan(context, core_observe.observe(context)),
            apply=lambda planned: core_apply.apply(context, planned),
            home=str(context.home),
        )
    fixed_home = pathlib.Path(module.params["fixed_home"]) if module.params["fixed_home"] else None
    converge(
        module,
        context.layout,
        look=lambda: current_plan.plan(context, current_observe.observe(context, fixed_home), fixed_home),
        apply=lambda planned: current_apply.apply(context, planned, fixed_home),
        home=str(context.home),
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, required_if=REQUIRED_IF, supports_check_mode=True)
    if module.params["state"] == "absent":
        remove(module)
    realize(module)


if __name__ == "__main__":
    main()
