# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, as the user reads it: what, where, why, and what to do next."""

from __future__ import annotations

import collections.abc as c
import typing as t

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class FleetError(Exception):
    """A fault that the user can act on.

    Its text is ``<where>: <what and why>. <remedy>``; where and remedy may be empty.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text.rstrip('.')}. {self.remedy}" if self.remedy else text


class Failures(FleetError):
    """All faults of one batch, reported at once."""

    def __init__(self, faults: c.Sequence[FleetError]) -> None:
        self.faults: list[FleetError] = []
        for fault in faults:
            self.faults += fault.faults if isinstance(fault, Failures) else [fault]
        super().__init__("\n".join(map(str, self.faults)))


def raise_all(faults: c.Sequence[FleetError]) -> None:
    """Raise what was collected: one fault as itself, several as Failures, none not at all."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise Failures(faults)


def failures(error: FleetError) -> list[dict[str, str]]:
    """The faults as modules return them in ``failures``: where, what and remedy of each."""
    faults = error.faults if isinstance(error, Failures) else [error]
    return [{"where": fault.where, "what": fault.what, "remedy": fault.remedy} for fault in faults]


def fail(module: AnsibleModule, error: FleetError, **result: t.Any) -> t.NoReturn:
    """End the module with a fault; ``failures`` lists each one of a batch."""
    module.fail_json(msg=str(error), failures=failures(error), **result)
