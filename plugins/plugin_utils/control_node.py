# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions that work on the control node have in common: options are checked, and a FleetError is a failure."""

from __future__ import annotations

import abc
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, failures

Result = dict[str, t.Any]


class ControlNodeAction(ActionBase):
    """An action without a module on a host. argument_spec: as modules have it."""

    argument_spec: t.ClassVar[Result]

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ansible's entry point. See the module's documentation for options and return values."""
        result: Result = super().run(tmp, task_vars)
        validated = ArgumentSpecValidator(self.argument_spec).validate(self._task.args)
        if validated.error_messages:
            return {**result, "failed": True, "msg": "; ".join(validated.error_messages)}
        try:
            return {**result, **self.outcome(validated.validated_parameters, task_vars or {})}
        except FleetError as error:
            fault = error
        except OSError as error:
            fault = _refused(error)
        return {**result, "failed": True, "msg": str(fault), "failures": failures(fault)}

    @abc.abstractmethod
    def outcome(self, options: Result, task_vars: Result) -> Result:
        """What the task returns. options: all of ``argument_spec``. task_vars: the host's. Raises FleetError."""


def _refused(error: OSError) -> FleetError:
    """What the machine did not do, where nothing better is known of it."""
    remedy = "See on the control node who may read and write there, and how much room there is"
    return FleetError(error.strerror or str(error), where=str(error.filename or ""), remedy=remedy)
