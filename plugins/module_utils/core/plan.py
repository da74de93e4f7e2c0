# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that make the core what the lock says. Pure."""

from __future__ import annotations

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Need, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.plan import (
    CHECK_OUT,
    CREATE,
    Placed,
    plan_tree,
    runtime_notes,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.core.observe import State
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context

PART = "core"
# ComfyUI's checkout with one commit of history, and its mirror; git does not tell before it sends.
_ROOM = 200 * 1024 * 1024


def placed_changes(context: Context, state: State) -> list[Placed]:
    """The changes with the places that ``apply`` needs."""
    return plan_tree(PART, context.lock.core.name, context.lock.core, state.tree)


def plan(context: Context, state: State) -> Plan:
    """What would be done to the build's checkout of ComfyUI."""
    changes = tuple(placed.change for placed in placed_changes(context, state))
    fetches = not state.mirrored and any(change.action in (CREATE, CHECK_OUT) for change in changes)
    return Plan(
        changes=changes,
        needs=(Need(context.layout.builds, _ROOM),) if _creates(changes) else (),
        obstacles=(_offline(context),) if fetches and context.settings.offline else (),
        notes=tuple(runtime_notes({context.lock.core.name: state.tree})),
    )


def _creates(changes: tuple[Change, ...]) -> bool:
    return any(change.action == CREATE for change in changes)


def _offline(context: Context) -> FleetError:
    core = context.lock.core
    return FleetError(
        f"commit {core.commit} is not in the cache and comfy_offline is set",
        where=core.repo,
        remedy="Run once with the network, or bring it in a bundle (comfy_bundle)",
    )
