# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_gc: say what the control node's locks name, run the module of the same name on the host, print its findings."""

from __future__ import annotations

import collections
import collections.abc as c
import functools
import json
import operator
import pathlib
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, failures
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.named import Named, names_of, read_names
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import versions_directory

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

MODULE = "comfyops.fleet.comfy_gc"
_ROWS = 20
display = Display()


class ActionModule(ActionBase):
    """The locks are on the control node, the garbage on the host."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ansible's entry point. See the module's documentation for options and return values."""
        result: Result = super().run(tmp, task_vars)
        options = dict(self._task.args)
        versions = versions_directory(options.pop("versions_dir", None))
        try:
            others = named_by_others(options.pop("shared_with", None) or {})
            options["named"] = (read_names(options.get("named") or {}) | named_by_locks(versions) | others).result()
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error), "failures": failures(error)}
        done = self._execute_module(module_name=MODULE, module_args=options, task_vars=task_vars or {})
        if "garbage" in done:
            display.display(table((task_vars or {})["inventory_hostname"], done))
        return {**result, **done}


def named_by_locks(versions: pathlib.Path) -> Named:
    """What the locks of a directory name. Raises FleetError for one that can not be read: it may need anything."""
    return functools.reduce(operator.or_, (_names(path) for path in sorted(versions.glob("*.lock.json"))), Named())


def named_by_others(needs: c.Mapping[str, c.Mapping[str, t.Any]]) -> Named:
    """What other hosts said. Raises FleetError for one that said nothing."""
    unknown = sorted(host for host, said in needs.items() if "named" not in said)
    if unknown:
        raise FleetError(
            f"what {', '.join(unknown)} needs of what the hosts share is not known",
            where="comfy_gc",
            remedy="Run it for all hosts at once, when all can be reached",
        )
    return functools.reduce(operator.or_, (read_names(said["named"]) for said in needs.values()), Named())


def _names(path: pathlib.Path) -> Named:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        remedy = "Make it again with lock.yml, or remove it"
        raise FleetError(f"can not be read ({error})", where=str(path), remedy=remedy) from error
    return names_of(read_lock(document, str(path)))


def table(host: str, found: c.Mapping[str, t.Any]) -> str:
    """What a host keeps for nothing: a sum by kind, then the largest."""
    garbage = found["garbage"]
    kinds: collections.Counter[str] = collections.Counter()
    for item in garbage:
        kinds[item["kind"]] += item["size"]
    counts = collections.Counter(item["kind"] for item in garbage)
    rows = [f"{host}: {human(found['freed'])} that no lock needs"]
    rows += [f"  {human(size):>10}  {counts[kind]} {kind}(s)" for kind, size in kinds.most_common()]
    shared = found["freed"] - kinds.total()
    rows += [f"  {human(shared):>10}  that several of these have in common"] if shared > 0 else []
    rows += [f"    {human(item['size']):>10}  {item['path']}" for item in garbage[:_ROWS]]
    rows += [f"    ... and {len(garbage) - _ROWS} more"] if len(garbage) > _ROWS else []
    rows += [f"  note: {note}" for note in found["notes"]]
    return "\n".join(rows)
