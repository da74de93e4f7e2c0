# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All four parts and the switch, observed and planned in one call: the probe, and the drift report."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan, diff
from ansible_collections.comfyops.fleet.plugins.module_utils.core import observe as core_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.core import plan as core_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.current import observe as current_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.current import plan as current_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError, failures, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import serving_build
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import disk_fault, obstacles, unreadable
from ansible_collections.comfyops.fleet.plugins.module_utils.models import observe as models_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.models import plan as models_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import observe as nodes_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import plan as nodes_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import observe as packages_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import plan as packages_plan


@dataclasses.dataclass(frozen=True)
class Drift:
    """The plans of a host by part, in the order in which they would be applied."""

    context: Context
    plans: c.Mapping[str, Plan]

    def changes(self) -> list[Change]:
        """All changes of all parts."""
        return [change for plan in self.plans.values() for change in plan.changes]

    def whole(self) -> Plan:
        """The parts' plans as one: room is needed for all of them together."""
        plans = list(self.plans.values())
        return Plan(
            changes=tuple(self.changes()),
            needs=tuple(need for plan in plans for need in plan.needs),
            obstacles=tuple(obstacle for plan in plans for obstacle in plan.obstacles),
            notes=tuple(note for plan in plans for note in plan.notes),
        )

    def obstacles(self) -> list[FleetError]:
        """All that stands in the way of applying them."""
        return obstacles(self.context.layout, self.whole())

    def result(self, with_diff: bool) -> dict[str, t.Any]:
        """As comfy_drift returns it."""
        whole = self.whole()
        context = self.context
        found: dict[str, t.Any] = {
            "drifted": bool(whole.changes),
            "actions": [change.result() for change in whole.changes],
            "parts": {name: len(plan.changes) for name, plan in self.plans.items()},
            "obstacles": failures(Failures(self.obstacles())),
            "notes": list(whole.notes),
            "target": context.target.name,
            "build": context.build_name,
            "serving": serving_build(context.layout),
            "home": str(context.home),
        }
        if with_diff and whole.changes:
            found["diff"] = diff(whole.changes)
        return found


def drift_of(context: Context, fixed_home: pathlib.Path | None, switch: bool) -> Drift:
    """Look at all parts. switch: whether the build is meant to serve.

    Raises FleetError, or Failures with what each part could not look at: "could not look" is never "in sync".
    """
    raise_all(unreadable(context.layout))
    looks: dict[str, c.Callable[[], Plan]] = {
        "core": lambda: core_plan.plan(context, core_observe.observe(context)),
        "nodes": lambda: nodes_plan.plan(context, nodes_observe.observe(context)),
        "packages": lambda: packages_plan.plan(context, packages_observe.observe(context)),
        "models": lambda: models_plan.plan(context, models_observe.observe(context)),
    }
    if switch:
        looks["current"] = lambda: current_plan.plan(context, current_observe.observe(context, fixed_home), fixed_home)
    with concurrent.futures.ThreadPoolExecutor(len(looks)) as pool:
        running = {name: pool.submit(look) for name, look in looks.items()}
    faults: list[FleetError] = []
    for name, future in running.items():
        faults += _fault(name, future.exception())
    raise_all(faults)
    return Drift(context, {name: future.result() for name, future in running.items()})


def _fault(part: str, error: BaseException | None) -> list[FleetError]:
    if error is None:
        return []
    if isinstance(error, FleetError):
        return error.faults if isinstance(error, Failures) else [error]
    if isinstance(error, OSError):
        return [disk_fault(error, part)]
    return [FleetError(f"could not look ({type(error).__name__}: {error})", where=part)]
