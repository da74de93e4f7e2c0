# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the build's custom nodes what the lock says, all at once."""

from __future__ import annotations

import concurrent.futures
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.apply import apply_tree, clear_making
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.plan import PUT_ASIDE
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import CUSTOM_NODES
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import move, new_aside, write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.manager import rendered
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.observe import (
    PARALLEL,
    State,
    links,
    manager_file,
    observe,
    place,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.plan import CONFIGURE, placed_changes


def apply(context: Context, plan: Plan) -> None:
    """Do the planned changes. All nodes are tried, and all their faults are raised together."""
    clear_making(context.layout)
    state = observe(context)
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        faults = list(pool.map(lambda node: _apply_node(context, node, state, plan), context.lock.nodes))
    raise_all([fault for fault in faults if fault is not None])
    _put_foreign_aside(context, state, plan)
    for change in plan.changes:
        if change.action == CONFIGURE:
            _configure(context, change)


def _apply_node(context: Context, node: Checkout, state: State, plan: Plan) -> FleetError | None:
    placed = [each for each in placed_changes(node, state) if each.change in plan.changes]
    if not placed:
        return None
    try:
        apply_tree(context, place(context, node), node, placed, links(context, node))
    except FleetError as error:
        return FleetError(error.what, where=f"node {node.name}: {error.where}".rstrip(": "), remedy=error.remedy)
    except OSError as error:
        return FleetError(str(error), where=f"node {node.name}")
    return None


def _put_foreign_aside(context: Context, state: State, plan: Plan) -> None:
    wanted = {change.name for change in plan.changes if change.action == PUT_ASIDE}
    names = [name for name in state.foreign if f"{CUSTOM_NODES}/{name}" in wanted]
    if names:
        aside = new_aside(context.layout.aside) / context.build_name / CUSTOM_NODES
        for name in names:
            move(context.home / CUSTOM_NODES / name, aside / name)


def _configure(context: Context, change: Change) -> None:
    path = manager_file(context, str(pathlib.PurePosixPath(change.name).relative_to("data/user")))
    existing = path.read_text("utf-8", "replace") if path.is_file() else None
    write_text(path, rendered(existing))
