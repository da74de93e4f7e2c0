# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a build the one that serves: models at their paths, the record of its lock, and last the link, in one step."""

from __future__ import annotations

import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.core import observe as core_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.core import plan as core_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.current.carry import carry
from ansible_collections.comfyops.fleet.plugins.module_utils.current.plan import LINK, SWITCH
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import replace_link, write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import (
    lock_record,
    recorded_lock,
    serving_build,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch_apply import apply_switch
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import observe as nodes_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import plan as nodes_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import observe as packages_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import plan as packages_plan


def apply(context: Context, plan: Plan, fixed_home: pathlib.Path | None) -> None:
    """Do the planned switch. Raises FleetError, with nothing changed, when the build is not complete."""
    layout = context.layout
    actions = {change.action for change in plan.changes}
    outgoing = serving_build(layout)
    _refuse_incomplete(context)
    apply_switch(context, plan)
    if SWITCH in actions and outgoing is not None:
        outgoing_lock = recorded_lock(layout, outgoing)
        if outgoing_lock is not None and (layout.builds / outgoing).is_dir():
            carry(context, layout.builds / outgoing, outgoing_lock)
    write_text(lock_record(layout, context.build_name), canonical(context.lock.document))
    if SWITCH in actions:
        replace_link(layout.current, f"builds/{context.build_name}")
    if fixed_home is not None and any(change.action == LINK for change in plan.changes):
        replace_link(fixed_home, str(layout.current))


def _refuse_incomplete(context: Context) -> None:
    """A build serves only when its core, nodes and packages are what the lock says."""
    plans = (
        core_plan.plan(context, core_observe.observe(context)),
        nodes_plan.plan(context, nodes_observe.observe(context)),
        packages_plan.plan(context, packages_observe.observe(context)),
    )
    missing = [f"{change.part}: {change.action} {change.name}" for plan in plans for change in plan.changes]
    if missing:
        raise FleetError(
            f"is not complete ({'; '.join(missing[:5])})",
            where=str(context.home),
            remedy="Realize the version first: comfy_version, comfy_nodes, comfy_pip_packages, comfy_models",
        )
