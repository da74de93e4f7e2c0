#!/usr/bin/python
# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: comfy_gc
short_description: List what a host keeps and no lock needs any more, and remove it
version_added: 1.0.0
author:
  - comfyops.fleet contributors (@comfyops)
description:
  - Finds models, unpacked wheels, Pythons and git mirrors that neither a lock of O(versions_dir) nor the recorded lock
    of a build on the host names; environments of no build; and downloads that nobody goes on with.
  - Run-time data, and files in MODELS_DIR that were put there by hand, are never garbage. A model that a link in
    MODELS_DIR leads to stays, whatever locks say.
  - Nothing is removed while another converge of the collection is at work on the host.
extends_documentation_fragment:
  - comfyops.fleet.attributes
  - comfyops.fleet.host
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
      - What to do with the garbage.
    type: str
    default: listed
    choices:
      listed: Change nothing; return RV(garbage) and print it.
      absent: Remove it.
      named: Change nothing; return RV(named) alone, for other hosts that share the store or the cache. A build that
        stays, and of which no lock is known, is a failure here too.
  versions_dir:
    description:
      - Directory on the control node with the locks that are kept. By default C(versions) of the working directory,
        else of the collection.
    type: path
  shared_with:
    description:
      - Hosts that share O(shared_root) or O(cache_dir) with this one, to what this module returned there with
        O(state=named). One of which that is not known is a failure.
    type: dict
    default: {}
  named:
    description:
      - What is needed besides, in the form of RV(named). The action plugin adds what the locks of O(versions_dir) and
        the hosts of O(shared_with) name.
    type: dict
    default: {}
  keep_builds:
    description:
      - How many builds stay beside the one that serves, the newest. By default all stay.
    type: int
  part_days:
    description:
      - Age in days from which a download that was not finished is garbage.
    type: float
    default: 7
  aside_days:
    description:
      - Age in days from which what a converge replaced and put aside is garbage. By default it stays.
    type: float
seealso:
  - module: comfyops.fleet.comfy_version
"""

EXAMPLES = r"""
- name: See what could go
  comfyops.fleet.comfy_gc:
    root: /opt/comfy
  register: comfy_garbage

- name: Remove it, with all but the last two builds
  comfyops.fleet.comfy_gc:
    root: /opt/comfy
    keep_builds: 2
    state: absent
"""

RETURN = r"""
garbage:
  description: What no lock needs, the largest first; O(state=absent) has removed it.
  returned: when O(state) is V(listed) or V(absent)
  type: list
  elements: dict
  contains:
    kind:
      description: One of build, environment, model, part, wheel, file, repository, python, uv, aside.
      type: str
    path:
      description: Where it is on the host.
      type: str
    size:
      description: Bytes that are free once it is gone; what has another name elsewhere does not count.
      type: int
    days:
      description: Days since it changed.
      type: float
  sample:
    - kind: model
      path: /opt/comfy/store/sha256/9c/9cf7b3a5dd0a51f3a3e2a95dfa5c9a10f3b2a6f7a9ce1f87a7c1c0a9d5a3d6e4
      size: 6938040682
      days: 41.5
freed:
  description:
    - Bytes that are free once all garbage is gone. More than the sizes together, where some of it shares files, such as
      an environment and the wheels that it was made of.
  returned: when O(state) is V(listed) or V(absent)
  type: int
  sample: 6938040682
named:
  description: What the recorded locks of the builds name that stay on the host, and models that MODELS_DIR links to.
  returned: when O(state=named)
  type: dict
  sample:
    builds: [demo-0a1b2c3d4e5f]
    models: [9cf7b3a5dd0a51f3a3e2a95dfa5c9a10f3b2a6f7a9ce1f87a7c1c0a9d5a3d6e4]
actions:
  description: What was removed, or in check mode would be.
  returned: when O(state=absent)
  type: list
  elements: dict
  sample:
    - part: garbage
      action: remove
      name: model /opt/comfy/store/sha256/9c/9cf7b3a5dd0a51f3a3e2a95dfa5c9a10f3b2a6f7a9ce1f87a7c1c0a9d5a3d6e4
      before: 6.9 GB
      after: null
notes:
  description: Facts that are no change, such as models that stay because a link leads to them.
  returned: when O(state) is V(listed) or V(absent)
  type: list
  elements: str
  sample: []
failures:
  description: Each fault, with where it is, what it is, and what to do.
  returned: failure
  type: list
  elements: dict
  sample:
    - where: demo-0a1b2c3d4e5f
      what: "what this build needs is not known: no lock of it is recorded"
      remedy: Realize its version, or remove it with delete.yml
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.comfyops.fleet.plugins.module_utils import arguments
from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.converge import converge
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.named import Named, read_names
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.observe import (
    Item,
    linked_models,
    observe,
    observe_builds,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.plan import Rules, plan, unknown
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import disk_fault, freed, unreadable

OPTIONS = {
    **arguments.ROOT,
    "state": {"type": "str", "default": "listed", "choices": ["listed", "absent", "named"]},
    "versions_dir": {"type": "path"},
    "shared_with": {"type": "dict", "default": {}},
    "named": {"type": "dict", "default": {}},
    "keep_builds": {"type": "int"},
    "part_days": {"type": "float", "default": 7.0},
    "aside_days": {"type": "float"},
}


class Look:
    """Plans the removals, and remembers of which items they are."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self._layout = arguments.layout_from(params)
        self._rules = rules_from(params)
        self.items: tuple[Item, ...] = ()

    def __call__(self) -> Plan:
        planned, self.items = plan(observe(self._layout, time.time()), self._rules)
        return planned

    def apply(self, _planned: Plan) -> None:
        """Remove what was planned last."""
        apply(self._layout, self.items)

    def result(self) -> dict[str, t.Any]:
        """What was planned last, as the module returns it."""
        garbage = [
            {"kind": item.kind, "path": str(item.path), "size": item.size, "days": round(item.days, 1)}
            for item in self.items
        ]
        paths = (path for item in self.items for path in (item.path, *item.also))
        return {"garbage": garbage, "freed": sum(freed(paths).values())}


def rules_from(params: dict[str, t.Any]) -> Rules:
    """What stays, as the options say it."""
    return Rules(read_names(params["named"]), params["keep_builds"], params["part_days"], params["aside_days"])


def needed(layout: Layout, rules: Rules) -> Named:
    """What builds that stay need, and MODELS_DIR links to. Raises FleetError where a build's needs are not known."""
    builds = observe_builds(layout, time.time())
    kept = builds.newest(rules.keep_builds)
    raise_all(unknown(builds, kept, rules))
    return builds.named_by(kept) | Named(linked=linked_models(layout))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    layout = arguments.layout_from(module.params)
    look = Look(module.params)
    try:
        raise_all(unreadable(layout))
        if module.params["state"] == "named":
            module.exit_json(changed=False, named=needed(layout, rules_from(module.params)).result())
        planned = look()
        raise_all(planned.obstacles)
    except FleetError as error:
        fail(module, error)
    except OSError as error:
        fail(module, disk_fault(error, str(layout.root)))
    if module.params["state"] == "listed":
        module.exit_json(changed=False, notes=list(planned.notes), **look.result())
    converge(module, layout, look=look, apply=look.apply, **look.result())


if __name__ == "__main__":
    main()
