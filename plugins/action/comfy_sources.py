# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_sources: where the packages of a lock come from, on the control node."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, failures, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock, read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.control_node import ControlNodeAction
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import written_files
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import answers
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import (
    Coverage,
    Look,
    coverage_of,
    read_look,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.files import render_files
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Sources, sources_of

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

ARGUMENTS: dict[str, t.Any] = {
    "lock": {"type": "dict", "required": True},
    "target": {"type": "str"},
    "path": {"type": "path"},
    "sbom": {"type": "bool", "default": True},
    "sbom_timestamp": {"type": "str"},
    "why": {"type": "list", "elements": "str", "default": []},
    "limits": {"type": "list", "elements": "str", "default": []},
}
display = Display()


class ActionModule(ControlNodeAction):
    """Runs for every host of a play; the first one also writes the files, for all of them."""

    argument_spec = ARGUMENTS

    def outcome(self, options: Result, task_vars: Result) -> Result:
        """See the module's documentation."""
        lock = read_lock(options["lock"])
        _check_target(lock, options["target"])
        sources = sources_of(lock, options["target"])
        host = task_vars["inventory_hostname"]
        is_first = host == task_vars["ansible_play_hosts"][0]
        hosts = task_vars["ansible_play_hosts_all"] if is_first else [host]
        found = {name: task_vars["hostvars"][name].get("comfy_verified") for name in hosts}
        looks = [look for name in hosts if (look := read_look(name, found[name]))]
        coverages = {
            name: coverage_of(target, [look for look in looks if look.target in (None, name)])
            for name, target in sources.targets.items()
        }
        outcome = self._report(options, sources, coverages) if is_first else {"changed": False}
        return {**outcome, **_verdict(coverages, looks, host, is_first)}

    def _report(self, options: Result, sources: Sources, coverages: dict[str, Coverage]) -> Result:
        """Write the files, then answer what is asked: a name that is not there keeps nobody from the report."""
        display.display(answers.summary(sources))
        directory = pathlib.Path(options["path"] or pathlib.Path("sources", sources.lock.version_id)).absolute()
        timestamp = _timestamp(options["sbom_timestamp"])
        files = render_files(sources, coverages, sbom=options["sbom"], timestamp=timestamp)
        changes = written_files.compare(directory, files)
        if not self._task.check_mode:
            written_files.write(changes)
            display.display(f"the report: {directory / 'sources.html'}, and beside it as .md, .json and .csv")
        for answer, names in ((answers.why, options["why"]), (answers.who_limits, options["limits"])):
            for name in names:
                display.display(answer(sources, name))
        outcome: Result = {
            "changed": bool(changes),
            "actions": [{**change.action, "part": "sources"} for change in changes],
            "path": str(directory),
            "files": sorted(files),
            "summary": {name: _summary(target.by_source) for name, target in sources.targets.items()},
        }
        if changes and self._task.diff:
            outcome["diff"] = [change.diff for change in changes]
        return outcome


def _check_target(lock: Lock, wanted: str | None) -> None:
    if wanted is not None and wanted not in lock.targets:
        raise FleetError(
            f"the lock has no target {wanted!r}",
            where=lock.version_id,
            remedy=f"It has: {', '.join(sorted(lock.targets))}",
        )


def _timestamp(text: str | None) -> datetime.datetime | None:
    """The time that ISO 8601 words mean."""
    if not text:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise FleetError(
            f"{text!r} is no time with its zone (ISO 8601)",
            where="sbom_timestamp",
            remedy="Write it like 2026-11-21T09:30:00Z",
        )
    return found


def _summary(parts: t.Any) -> dict[str, int]:
    return {part.label: part.count for part in parts}


def _verdict(coverages: dict[str, Coverage], looks: list[Look], host: str, is_first: bool) -> Result:
    """A host answers for itself, the first one for the lock as well.

    That one could not be looked at counts for more than what is wrong, as it does in Ansible's exit status.
    """
    problem = next((look.problem for look in looks if look.host == host and look.problem), "")
    faults = [fault for coverage in coverages.values() for fault in coverage.host_faults.get(host, ())]
    if is_first:
        faults = [fault for coverage in coverages.values() for fault in coverage.faults] + faults
    unlooked = [f"could not look: {problem}"] if problem else []
    try:
        raise_all(faults)
    except FleetError as error:
        state = "unreachable" if problem else "failed"
        return {state: True, "msg": "\n".join([*unlooked, str(error)]), "failures": failures(error)}
    return {"unreachable": True, "msg": unlooked[0]} if problem else {}
