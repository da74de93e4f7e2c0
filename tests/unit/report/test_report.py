# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift report: a host's status, its table, and the file."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report import document, table

ACTION = {"part": "nodes", "action": "restore", "name": "custom_nodes/x/a.py", "before": "changed", "after": "0123"}


def variables(**probe: t.Any) -> dict[str, t.Any]:
    """What a host registered."""
    found = {"drifted": False, "build": "demo-1", "serving": None, "actions": [], "notes": [], "obstacles": [], **probe}
    return {"comfy_locked": {"lock": {}}, "comfy_probe": found}


def test_statuses() -> None:
    assert document.host_report(variables()).status == "in sync"
    assert document.host_report(variables(drifted=True, actions=[ACTION])).status == "drifted"
    no_lock = document.host_report({"comfy_locked": {"failed": True, "msg": "there is no lock"}})
    assert (no_lock.status, no_lock.message) == ("could not look", "there is no lock")
    unreachable = document.host_report({"comfy_locked": {}, "comfy_probe": {"unreachable": True, "msg": "no route"}})
    assert (unreachable.status, unreachable.message) == ("could not look", "no route")
    assert document.host_report({}).status == "could not look"


def test_the_table_shows_what_would_be_done_and_says_when_it_cuts() -> None:
    actions = [{**ACTION, "name": f"custom_nodes/x/{number}.py"} for number in range(40)]
    found = document.host_report(variables(drifted=True, actions=actions, notes=["data: 1 file"]))
    lines = table.render("gpu1", found).splitlines()
    assert lines[0] == "gpu1: 40 change(s) to demo-1; serving: nothing"
    assert lines[1].split() == ["nodes", "restore", "custom_nodes/x/0.py", "changed", "->", "0123"]
    assert lines[-2:] == ["  ... and 10 more (comfy_report has all)", "  note: data: 1 file"]


def test_the_file_has_all_hosts_and_what_was_applied(tmp_path: pathlib.Path) -> None:
    done = {**variables(drifted=True, actions=[ACTION]), "comfy_applied_nodes": {"actions": [ACTION]}}
    path = tmp_path / "report.json"
    document.write(path, {"b": document.host_report(done), "a": document.host_report({})})
    written = json.loads(path.read_text())
    assert list(written["hosts"]) == ["a", "b"]
    assert written["hosts"]["b"]["applied"] == [ACTION]
    assert written["hosts"]["a"]["status"] == "could not look"


def test_what_failed_after_the_look_is_said() -> None:
    done = {**variables(drifted=True, actions=[ACTION]), "comfy_applied_core": {"actions": []}}
    failed = document.host_report({**done, "comfy_applied_nodes": {"failed": True, "msg": "palette: no such commit"}})
    assert (failed.status, failed.message) == ("drifted", "nodes: palette: no such commit")
    assert document.host_report(done).message == ""
    gone = document.host_report({**done, "comfy_applied_models": {"unreachable": True, "msg": "timed out"}})
    assert gone.message == "models: timed out"
    bundle = document.host_report({"comfy_locked": {}, "comfy_applied_bundle": {"failed": True, "msg": "cut off"}})
    assert (bundle.status, bundle.message) == ("could not look", "bundle: cut off")
