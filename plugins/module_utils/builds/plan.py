# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that take a version's builds off a host. Pure."""

from __future__ import annotations

from ansible_collections.comfyops.fleet.plugins.module_utils.builds.observe import State, version_of
from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

PART = "builds"
REMOVE = "remove"
CURRENT = "current"


def plan(state: State, version_id: str, force: bool) -> Plan:
    """Remove the builds of ``version_id`` and the environments that only they use; models and data stay.

    The build that serves is an obstacle unless ``force``; then the link goes first.
    """
    doomed = [build for build in state.environments if version_of(build) == version_id]
    kept = {environment for build, environment in state.environments.items() if build not in doomed}
    environments = sorted({state.environments[build] or "" for build in doomed} - {*kept, ""})
    changes = [Change(PART, REMOVE, f"builds/{build}", "present", None) for build in doomed]
    changes += [Change(PART, REMOVE, f"envs/{environment}", "present", None) for environment in environments]
    if state.serving not in doomed:
        return Plan(tuple(changes))
    if force:
        return Plan((Change(PART, REMOVE, CURRENT, state.serving, None), *changes))
    obstacle = FleetError(
        f"{state.serving} is the build that serves",
        where=version_id,
        remedy="Realize another version first, or set comfy_force=true to leave this host without one",
    )
    return Plan(tuple(changes), obstacles=(obstacle,))
