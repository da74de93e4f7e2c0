# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_import: lists of Python requirements as entries of a spec, on the control node."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing as t

from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.plugin_utils.control_node import ControlNodeAction
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import import_report, written_files
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_entries import Lookups
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.importing import Imported, import_lists
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.new_spec import new_spec
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import cache_directory, versions_directory

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

ARGUMENTS: dict[str, t.Any] = {
    "lists": {"type": "list", "elements": "path", "required": True},
    "version": {"type": "str"},
    "extends": {"type": "str"},
    "undecided": {"type": "str", "default": "refuse", "choices": ["refuse", "leave_out"]},
    "versions_dir": {"type": "path"},
    "offline": {"type": "bool", "default": False},
    "git_mirrors": {"type": "dict", "default": {}},
    "credentials": {"type": "dict", "default": {}, "no_log": True},
}
display = Display()


class ActionModule(ControlNodeAction):
    """Runs once in a play, and asks no host."""

    argument_spec = ARGUMENTS

    def outcome(self, options: Result, task_vars: Result) -> Result:
        """See the module's documentation."""
        if not options["lists"]:
            raise FleetError(
                "no list is named", where="lists", remedy="Name them in the order of their installation: -e lists=..."
            )
        found = import_lists([pathlib.Path(path) for path in options["lists"]], _lookups(options))
        display.display(import_report.render(found, paste=not options["version"]))
        outcome: Result = {
            "changed": False,
            "lines": [dataclasses.asdict(account) for account in found.accounts],
            "spec": found.fragment(),
            "summary": import_report.summary(found),
            "warnings": found.notes,
        }
        return {**outcome, **self._written(options, found)} if options["version"] else outcome

    def _written(self, options: Result, found: Imported) -> Result:
        """Write the new spec."""
        if options["undecided"] == "refuse":
            raise_all([_undecided(account.place, account.line, account.detail) for account in found.undecided])
        directory = versions_directory(options["versions_dir"])
        path, document = new_spec(directory, options["version"], options["extends"], found.fragment())
        changes = written_files.compare(path.parent, {path.name: json.dumps(document, indent=2) + "\n"})
        if any(not change.is_new for change in changes):
            raise FleetError(
                "there is such a spec, and it says something else",
                where=str(path),
                remedy="Choose another version, or paste what is printed without one",
            )
        if not self._task.check_mode:
            written_files.write(changes)
        diff = {"diff": [change.diff for change in changes]} if changes and self._task.diff else {}
        return {"changed": bool(changes), "path": str(path), **diff}


def _undecided(place: str, line: str, detail: str) -> FleetError:
    return FleetError(f"{line}: {detail}", where=place)


def _lookups(options: Result) -> Lookups | None:
    if options["offline"]:
        return None
    cache = cache_directory()
    return Lookups(git.Access(cache / "git", options["git_mirrors"], options["credentials"]), cache / "wheels")
