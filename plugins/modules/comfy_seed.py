#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_seed
short_description: Serve a host's models to the other hosts of its site while a playbook runs
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - A process on the host serves the models of a lock, as they come, over HTTP to whoever has the token of this run.
    M(comfyops.fleet.comfy_models) on the other hosts takes them from there
    (O(comfyops.fleet.comfy_models#module:peers)) and checks their bytes, as it does with those of any source.
  - It goes on after the task. End it with O(state=stopped) in an C(always) section. Where that can not come to pass, it
    ends by itself when nobody has asked for an hour.
  - What passes is not encrypted. The site's network should be one that others can not read.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.host
attributes:
  check_mode:
    support: full
    details:
      - Starts and ends nothing then.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - One that serves already is ended and begun anew, with the token of this run.
  platform:
    platforms: linux
  action:
    description: Has a corresponding action plugin, so that parts of it run on the control node.
    support: full
options:
  lock:
    description:
      - The lock whose models are served, as M(comfyops.fleet.comfy_lock) returns it. Required with O(state=started).
    type: dict
  state:
    description:
      - Whether the host serves.
    type: str
    default: started
    choices:
      started: Serve.
      stopped: End what serves.
  address:
    description:
      - Where the other hosts of the site reach this one. Required with O(state=started).
    type: str
  port:
    description:
      - The TCP port. V(0) is any that is free.
    type: int
    default: 0
  uploads:
    description:
      - How many files are sent at a time; whoever asks for more waits, or asks another host that has it by then.
    type: int
    default: 4
  rate_limit:
    description:
      - Bytes per second of all that is sent, such as V(50MB) or V(1.5 GB) (decimal units). No limit by default.
    type: str
  token:
    description:
      - What others must say to get anything. By default a secret of this run of Ansible.
    type: str
seealso:
  - module: comfyops.fleet.comfy_models
"""

EXAMPLES = r"""
- name: Let the hosts of a site fetch the models once
  block:
    - name: Load the lock
      comfyops.fleet.comfy_lock:
        version: demo
      run_once: true
      register: comfy_locked

    - name: Serve to the others
      comfyops.fleet.comfy_seed:
        lock: "{{ comfy_locked.lock }}"
        root: /opt/comfy
        address: "{{ ansible_host }}"
      register: comfy_doors

    - name: Fetch the models, on the first host from their sources, on the others from each other
      comfyops.fleet.comfy_models:
        lock: "{{ comfy_locked.lock }}"
        root: /opt/comfy
        seed: "{{ ansible_play_hosts[0] if inventory_hostname != ansible_play_hosts[0] else omit }}"
        peers: "{{ dict(others | zip(others | map('extract', hostvars, ['comfy_doors', 'url']))) }}"
      vars:
        others: "{{ ansible_play_hosts | difference([inventory_hostname]) }}"
  always:
    - name: Serve no longer
      comfyops.fleet.comfy_seed:
        state: stopped
        root: /opt/comfy
"""

RETURN = r"""
url:
  description: Where the other hosts find it.
  returned: when it serves
  type: str
  sample: http://192.0.2.7:40123
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.seed.doors import Doors, close_doors, open_doors

STARTED = "started"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **arguments.ROOT,
            "lock": {"type": "dict"},
            "state": {"type": "str", "default": STARTED, "choices": [STARTED, "stopped"]},
            "address": {"type": "str"},
            "port": {"type": "int", "default": 0},
            "uploads": {"type": "int", "default": 4},
            "rate_limit": {"type": "str"},
            "token": {"type": "str", "no_log": True},
        },
        required_if=[("state", STARTED, ("lock", "address", "token"))],
        supports_check_mode=True,
    )
    layout = arguments.layout_from(module.params)
    if module.check_mode:
        module.exit_json(changed=False)
    if module.params["state"] != STARTED:
        module.exit_json(changed=close_doors(layout))
    try:
        lock = read_lock(module.params["lock"])
        sha256s = frozenset(model.sha256 for model in lock.models)
        url = open_doors(layout, sha256s, _doors(module))
    except FleetError as error:
        fail(module, error)
    module.exit_json(changed=True, url=url)


def _doors(module: AnsibleModule) -> Doors:
    params = module.params
    rate = arguments.rate_from(params, "rate_limit")
    return Doors(params["address"], params["token"], params["port"], max(1, params["uploads"]), rate)


if __name__ == "__main__":
    main()
