#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_nodes
short_description: Make a build's custom nodes exactly what the lock says
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Every node of the lock becomes a git checkout at its commit, with its submodules, all in parallel.
  - Mirrors in the cache are fetched by commit, and only when the commit is not there; checkouts do not depend on them.
  - Files that were changed are restored one by one, and the changed ones kept in C(state/aside). Files that Python or
    the browser would load and that are not in the commit, and nodes that are not in the lock, are moved there.
  - Other untracked files are run-time data of the nodes; they are reported and left alone.
  - Hooks of fetched repositories never run. Git LFS pointers in place of files are an error.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.lock
  - comfyops.fleet.host
  - comfyops.fleet.host.offline
  - comfyops.fleet.host.git
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
requirements:
  - git 2.30 or newer on the host
seealso:
  - module: comfyops.fleet.comfy_version
  - module: comfyops.fleet.comfy_lock
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

- name: Make the custom nodes
  comfyops.fleet.comfy_nodes:
    lock: "{{ comfy_locked.lock }}"
    root: /opt/comfy
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, one entry for each node or file.
  returned: success
  type: list
  elements: dict
  sample:
    - part: nodes
      action: create
      name: custom_nodes/comfyui-palette
      before: null
      after: 4f1c0a9be2d7
notes:
  description: Facts that are no change, such as run-time data in a node's folder.
  returned: success
  type: list
  elements: str
  sample:
    - "custom_nodes/comfyui-notebook: 2 run-time file(s), 1204 bytes (no drift)"
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
    - where: "node palette: https://forge.example/palette"
      what: can not be reached
      remedy: Check the network
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.converge import converge
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.plan import plan


def main() -> None:
    """Run the module."""
    options = {**arguments.LOCK, **arguments.OFFLINE, **arguments.GIT}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        context = arguments.context_from(module.params)
    except FleetError as error:
        fail(module, error)
    converge(
        module,
        context.layout,
        look=lambda: plan(context, observe(context)),
        apply=lambda planned: apply(context, planned),
        home=str(context.home),
    )


if __name__ == "__main__":
    main()
