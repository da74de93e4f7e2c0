# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that make the custom nodes what the lock says. Pure."""

from __future__ import annotations

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Need, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.plan import (
    CHECK_OUT,
    CREATE,
    PUT_ASIDE,
    Placed,
    plan_tree,
    runtime_notes,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import CUSTOM_NODES
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.manager import manager_node
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.observe import State

PART = "nodes"
CONFIGURE = "configure"
# Most nodes are a few megabytes; git does not tell before it sends.
_ROOM = 20 * 1024 * 1024


def placed_changes(node: Checkout, state: State) -> list[Placed]:
    """The changes of one node with the places that ``apply`` needs."""
    return plan_tree(PART, f"{CUSTOM_NODES}/{node.directory}", node, state.trees[node.directory])


def plan(context: Context, state: State) -> Plan:
    """What would be done to all nodes, in the lock's order; then what is put aside."""
    changes = [placed.change for node in context.lock.nodes for placed in placed_changes(node, state)]
    changes += [Change(PART, PUT_ASIDE, f"{CUSTOM_NODES}/{name}", "not in the lock", None) for name in state.foreign]
    changes += [Change(PART, CONFIGURE, f"data/user/{name}", None, "installs nothing") for name in state.manager]
    created = sum(change.action == CREATE for change in changes)
    runtime = runtime_notes({f"{CUSTOM_NODES}/{name}": tree for name, tree in state.trees.items()})
    return Plan(
        changes=tuple(changes),
        needs=(Need(context.layout.builds, created * _ROOM),) if created else (),
        obstacles=_obstacles(context, state, changes),
        notes=(*runtime, *_manager(context)),
    )


def _obstacles(context: Context, state: State, changes: list[Change]) -> tuple[FleetError, ...]:
    if not context.settings.offline or not any(change.action in (CREATE, CHECK_OUT) for change in changes):
        return ()
    return tuple(
        FleetError(
            f"commit {commit} is not in the cache and comfy_offline is set",
            where=repo,
            remedy="Run once with the network, or bring it in a bundle (comfy_bundle)",
        )
        for repo, commit in state.unmirrored
    )


def _manager(context: Context) -> list[str]:
    node = manager_node(context.lock)
    if node is None:
        return []
    return [f"{node.name}: is configured to install nothing by itself; change the spec instead"]
