# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the build's ComfyUI checkout what the lock says."""

from __future__ import annotations

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.apply import apply_tree, clear_making
from ansible_collections.comfyops.fleet.plugins.module_utils.core.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import CUSTOM_NODES, data_links, left_out
from ansible_collections.comfyops.fleet.plugins.module_utils.core.plan import placed_changes
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context


def apply(context: Context, plan: Plan) -> None:
    """Do the planned changes; a killed run leaves the old state or the new one, and leftovers that are removed here."""
    clear_making(context.layout)
    placed = [each for each in placed_changes(context, observe(context)) if each.change in plan.changes]
    core = context.lock.core
    apply_tree(context, context.home, core, placed, data_links(context), left_out(context), foreign_below=CUSTOM_NODES)
