# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take builds and environments off a host."""

from __future__ import annotations

import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.builds.plan import CURRENT
from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import lock_record

_REMOVED = ".removed."


def apply(layout: Layout, plan: Plan) -> None:
    """Do the planned removals; each directory is renamed first: a killed run leaves no half one under its name."""
    for directory in (layout.builds, layout.envs):
        for leftover in directory.glob(f"{_REMOVED}*"):
            remove_tree(leftover)
    for change in plan.changes:
        if change.name == CURRENT:
            layout.current.unlink()
        else:
            _remove(layout, layout.root / change.name)


def _remove(layout: Layout, directory: pathlib.Path) -> None:
    doomed = directory.with_name(f"{_REMOVED}{directory.name}")
    directory.rename(doomed)
    lock_record(layout, directory.name).unlink(missing_ok=True)
    remove_tree(doomed)
