# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module ends: look; unless it is only asked to look, take the host's lock, look again, apply, look again.

Check mode is a plan that is not applied, diff mode a plan that is shown; ``changed`` says that the plan had changes.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import errno
import os
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan, diff
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, fail, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import ConvergeLock
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import disk_fault, obstacles, unreadable

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

Look = c.Callable[[], Plan]
Apply = c.Callable[[Plan], None]
# Those of the machine, not of this program.
DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM})


def converge(module: AnsibleModule, layout: Layout, look: Look, apply: Apply, **result: t.Any) -> t.NoReturn:
    """Bring the host to where ``look`` finds nothing to do, and end the module with what was done.

    result: further values to return. A FleetError of look or apply fails the module with its text.
    """
    try:
        plan = _converged(module, layout, look, apply)
    except FleetError as error:
        fail(module, error, **result)
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        fail(module, disk_fault(error, str(layout.root)), **result)
    module.exit_json(**_outcome(plan, bool(module._diff)), **result)


def _converged(module: AnsibleModule, layout: Layout, look: Look, apply: Apply) -> Plan:
    raise_all(unreadable(layout))
    plan = look()
    raise_all(obstacles(layout, plan))
    if module.check_mode or not plan.changes:
        return plan
    # What it makes is for others to read: the user that ComfyUI runs as, whatever umask this one has.
    os.umask(0o022)
    with ConvergeLock(layout.state, str(module._name), float(module.params["lock_timeout"])):
        plan = look()
        raise_all(obstacles(layout, plan))
        apply(plan)
        left = look()
    if left.changes:
        names = ", ".join(f"{change.action} {change.name}" for change in left.changes[:5])
        raise FleetError(
            f"after the converge there is still something to do: {names}",
            remedy="Something else writes to this host at the same time, or its file system does not keep what it gets",
        )
    # What only came out while it was done: an optional model that could not be had.
    return dataclasses.replace(plan, notes=tuple(dict.fromkeys((*plan.notes, *left.notes))))


def _outcome(plan: Plan, with_diff: bool) -> dict[str, t.Any]:
    outcome: dict[str, t.Any] = {
        "changed": bool(plan.changes),
        "actions": [change.result() for change in plan.changes],
        "notes": list(plan.notes),
    }
    if with_diff and plan.changes:
        outcome["diff"] = diff(plan.changes)
    return outcome
