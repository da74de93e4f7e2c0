# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take builds and environments off a host."""

from __future__ import annotations

from ansible_collections.comfyops.fleet.plugins.module_utils.builds.plan import CURRENT
from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_whole
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import REMOVED, Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import lock_record


def apply(layout: Layout, plan: Plan) -> None:
    """Do the planned removals, and end those that were killed."""
    doomed = [path for directory in (layout.builds, layout.envs) for path in directory.glob(f"{REMOVED}*")]
    for change in plan.changes:
        if change.name == CURRENT:
            layout.current.unlink()
        else:
            doomed.append(layout.root / change.name)
    for path in doomed:
        if path.parent == layout.builds:
            remove_build(layout, path.name)
        else:
            remove_whole(path)


def remove_build(layout: Layout, name: str) -> None:
    """Remove a build, or what a killed removal left of it, and the lock that is recorded of it."""
    remove_whole(layout.builds / name)
    build = name.removeprefix(REMOVED)
    if not (layout.builds / build).exists():
        lock_record(layout, build).unlink(missing_ok=True)
