# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_export: the Python packages of a lock in the form of other tools, on the control node."""

from __future__ import annotations

import pathlib
import typing as t

from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.control_node import ControlNodeAction
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import export_report, written_files
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.export import FORMATS, choose_target, export
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.places import Site
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import cache_directory, versions_directory

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

ARGUMENTS: dict[str, t.Any] = {
    "lock": {"type": "dict", "required": True},
    "format": {"type": "str", "required": True, "choices": list(FORMATS)},
    "target": {"type": "str"},
    "path": {"type": "path"},
    "versions_dir": {"type": "path"},
    "nixpkgs": {"type": "str", "default": "github:NixOS/nixpkgs/nixos-25.11"},
    "python_indexes": {"type": "dict", "default": {}},
    "git_mirrors": {"type": "dict", "default": {}},
    "credentials": {"type": "dict", "default": {}, "no_log": True},
    "allow_http": {"type": "bool"},
}
display = Display()


class ActionModule(ControlNodeAction):
    """Runs once in a play, and asks no host."""

    argument_spec = ARGUMENTS

    def outcome(self, options: Result, task_vars: Result) -> Result:
        """See the module's documentation."""
        lock = read_lock(options["lock"])
        target = choose_target(lock, options["target"])
        directory = pathlib.Path(options["path"] or pathlib.Path("exports", lock.version_id, target.name)).absolute()
        found = export(
            lock,
            target,
            options["format"],
            _site(options, lock.spec.get("policy", {})),
            versions_directory(options["versions_dir"]),
            options["nixpkgs"],
        )
        changes = written_files.compare(directory, found.texts, found.wheels)
        display.display(export_report.render(directory, target, found))
        if not self._task.check_mode:
            written_files.write(changes)
        outcome: Result = {
            "changed": bool(changes),
            "actions": [change.action for change in changes],
            "path": str(directory),
            "target": target.name,
            "files": sorted([*found.texts, *found.wheels]),
            "notes": export_report.notes(target),
        }
        if changes and self._task.diff:
            outcome["diff"] = [change.diff for change in changes]
        return outcome


def _site(options: Result, policy: Result) -> Site:
    cache = cache_directory()
    allow_http = policy.get("allow_http", False) if options["allow_http"] is None else options["allow_http"]
    return Site(
        python_indexes=options["python_indexes"],
        access=Access(options["credentials"], allow_http),
        repositories=git.Access(cache / "git", options["git_mirrors"], options["credentials"]),
        cache=cache,
    )
