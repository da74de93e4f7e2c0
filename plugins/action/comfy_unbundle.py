# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_unbundle: ask the host what it lacks of a bundle, bring exactly that, and have the host put it in place."""

from __future__ import annotations

import pathlib
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.names import UV
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, failures
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.read import Bundle, open_bundle
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.send import Sending, send

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

MODULE = "comfyops.fleet.comfy_unbundle"
display = Display()


class ActionModule(ActionBase):
    """In check mode, the host is only asked."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ansible's entry point. See the module's documentation for options and return values."""
        result: Result = super().run(tmp, task_vars)
        if not self._task.args.get("bundle"):
            return {**result, "failed": True, "msg": "missing required arguments: bundle"}
        try:
            return {**result, **self._bring(pathlib.Path(self._task.args["bundle"]).expanduser(), task_vars or {})}
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error), "failures": failures(error)}

    def _bring(self, path: pathlib.Path, task_vars: Result) -> Result:
        bundle = open_bundle(path)
        options = {
            **self._task.args,
            "contained": {name: file._asdict() for name, file in bundle.manifest.files.items()},
            "uv_machine": bundle.manifest.uv,
        }
        asked: Result = self._execute_module(module_name=MODULE, module_args=options, task_vars=task_vars)
        lacking = asked.pop("lacking", [])
        if asked.get("failed") or self._task.check_mode or not lacking:
            return asked
        host = task_vars["inventory_hostname"]
        send(self, _sendings(bundle, lacking), lambda line: display.display(f"{host}: {line}"))
        options["step"] = "take"
        taken: Result = self._execute_module(module_name=MODULE, module_args=options, task_vars=task_vars)
        has_uv = asked["uv"] or any(each["name"] == UV for each in lacking)
        return {**taken, "uv": taken.get("uv") if has_uv else None}


def _sendings(bundle: Bundle, lacking: list[Result]) -> list[Sending]:
    return [Sending(bundle.pieces[each["name"]], each["path"], each["have"]) for each in lacking]
