# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that make a build the one that serves. Pure."""

from __future__ import annotations

import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.current.observe import State
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch import plan_switch

PART = "current"
SWITCH = "switch"
RECORD = "record"
LINK = "link"


def plan(context: Context, state: State, fixed_home: pathlib.Path | None) -> Plan:
    """What a switch to the context's build would do: models at their paths, the record, the links."""
    models = plan_switch(context, state.models)
    changes = list(models.changes)
    if not state.recorded:
        changes.append(Change(PART, RECORD, "lock", None, context.build_name))
    if state.serving != context.build_name:
        changes.append(Change(PART, SWITCH, "current", state.serving, context.build_name))
    if fixed_home is not None and state.fixed_home != str(context.layout.current):
        changes.append(Change(PART, LINK, str(fixed_home), state.fixed_home or None, str(context.layout.current)))
    return Plan(
        changes=tuple(changes),
        needs=models.needs,
        obstacles=(*models.obstacles, *_obstacles(context, state, fixed_home)),
        notes=models.notes,
    )


def _obstacles(context: Context, state: State, fixed_home: pathlib.Path | None) -> list[FleetError]:
    obstacles = []
    if state.blocked:
        obstacles.append(
            FleetError(
                "is not a link", where=str(context.layout.current), remedy="Move it away; realize makes the link"
            )
        )
    if fixed_home is not None and state.fixed_home is None:
        obstacles.append(
            FleetError(
                "comfy_home is already there and is not a link",
                where=str(fixed_home),
                remedy="Move that directory away, or choose another comfy_home",
            )
        )
    return obstacles
