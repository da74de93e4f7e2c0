# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_seed: run the module of the same name on the host, with the run's token where it opens doors."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.run_token import run_token

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

MODULE = "comfyops.fleet.comfy_seed"
# Ansible's own, and mitogen's of the same names.
_UNSYNCHRONIZED = ("free", "host_pinned")


class ActionModule(ActionBase):
    """The token is of the control node, and the same for all hosts of a run."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ansible's entry point. See the module's documentation for options and return values."""
        result: Result = super().run(tmp, task_vars)
        options = dict(self._task.args)
        if options.get("state", "started") == "started":
            # Hosts that do not wait for each other would close their doors while others take from them.
            strategy = self._task.get_play().strategy
            if strategy.rpartition(".")[2].endswith(_UNSYNCHRONIZED):
                msg = f"comfy_seed needs the strategy linear, this play has {strategy}: leave out one of the two"
                return {**result, "failed": True, "msg": msg}
            options.setdefault("token", run_token())
        done = self._execute_module(module_name=MODULE, module_args=options, task_vars=task_vars or {})
        return {**result, **done}
