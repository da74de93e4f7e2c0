# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that make a host's Python packages what the lock says. Pure."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import ENVIRONMENT_LINK
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import (
    PART,
    REMOVE,
    Environment,
    must_be_made,
    package_changes,
    python_fits,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import State

CREATE, REBUILD, LINK = "create", "rebuild", "link"
UNFINISHED = "unfinished environment"


def plan(context: Context, state: State) -> Plan:
    """What would be done to the packages of the build."""
    planned = _plan(context, state)
    if state.machine is None:
        return planned
    # Imported only when something is to be done.
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages import preflight

    faults = preflight.machine_obstacles(context.target, state.machine)
    notes = preflight.machine_notes(context.target, state.machine)
    return dataclasses.replace(planned, obstacles=(*planned.obstacles, *faults), notes=(*planned.notes, *notes))


def _plan(context: Context, state: State) -> Plan:
    changes = [*_package_changes(context, state), *_environment_change(context, state), *_link_change(context, state)]
    changes += [Change(PART, REMOVE, f"{UNFINISHED} {name}", before="there") for name in state.unfinished]
    if state.means is None:
        return Plan(changes=tuple(changes))
    # Imported only when an environment has to be made.
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.means import obstacles

    if state.means.old is not None:
        changes.insert(0, state.means.old.change)
    return Plan(changes=tuple(changes), needs=state.means.room, obstacles=obstacles(context, state.means))


def link_text(context: Context) -> str:
    """What the build's ``.venv`` says: relative, so that comfy_root may move."""
    return os.path.relpath(context.environment, context.home)


def _package_changes(context: Context, state: State) -> list[Change]:
    found = state.environment or Environment(None, None, state.serving)
    return package_changes(context.target, found)


def _environment_change(context: Context, state: State) -> list[Change]:
    found, target = state.environment, context.target
    name = f"environment {context.environment.name}"
    if found is None:
        return [Change(PART, CREATE, name, after=f"Python {target.python}")]
    if not must_be_made(target, found):
        return []
    before = "not as the lock says" if python_fits(target, found) else found.fault or f"Python {found.python}"
    return [Change(PART, REBUILD, name, before=before, after=f"Python {target.python}")]


def _link_change(context: Context, state: State) -> list[Change]:
    wanted = link_text(context)
    if state.link == wanted:
        return []
    before = state.link and pathlib.PurePath(state.link).name
    if before == context.environment.name:
        # It leads to the right name by another way, as in a root that was moved.
        before = state.link
    if state.blocked:
        before = "no link"
    return [Change(PART, LINK, ENVIRONMENT_LINK, before=before, after=context.environment.name)]
