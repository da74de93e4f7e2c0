# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_report: what the hosts of a play were found to be, on the control node."""

from __future__ import annotations

import pathlib
import typing as t

from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.plugin_utils.control_node import ControlNodeAction
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report import document, table

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

ARGUMENTS: dict[str, t.Any] = {
    "path": {"type": "path"},
    "verdict": {"type": "bool", "default": True},
}
display = Display()


class ActionModule(ControlNodeAction):
    """Runs for every host of a play; the first one also writes the file for all of them."""

    argument_spec = ARGUMENTS
    # It describes the run, not a change.
    _supports_diff = False

    def outcome(self, options: Result, task_vars: Result) -> Result:
        """See the module's documentation."""
        hosts = list(task_vars["ansible_play_hosts_all"])
        name = task_vars["inventory_hostname"]
        if options["path"] and name == task_vars["ansible_play_hosts"][0]:
            found = {host: document.host_report(task_vars["hostvars"][host]) for host in hosts}
            document.write(pathlib.Path(options["path"]), found)
        own = document.host_report(task_vars)
        if not options["verdict"]:
            return {"changed": False, "status": own.status}
        display.display(table.render(name, own))
        return {"changed": False, **_verdict(own)}


def _verdict(report: document.HostReport) -> Result:
    """Ansible's own exit codes say it: 2 for a failed host, 4 for one that could not be reached, which wins."""
    if report.status == document.UNKNOWN:
        return {"unreachable": True, "status": report.status, "msg": f"could not look: {report.message}"}
    if report.status == document.DRIFTED:
        return {"failed": True, "status": report.status, "msg": f"drifted: {len(report.actions)} change(s)"}
    return {"status": report.status, "msg": report.status}
