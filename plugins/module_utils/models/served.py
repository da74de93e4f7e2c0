# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which content ComfyUI reads at which path now: what the lock of the build that serves says."""

from __future__ import annotations

import dataclasses

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import recorded_lock, serving_build
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import places


@dataclasses.dataclass(frozen=True)
class Served:
    """The build that serves, None where none does or nobody knows its lock; absolute paths to sha256."""

    build: str | None
    paths: dict[str, str]


def served(layout: Layout) -> Served:
    """Read the lock that the serving build was last converged to."""
    build = serving_build(layout)
    lock = recorded_lock(layout, build) if build is not None else None
    if build is None or lock is None:
        return Served(None, {})
    found = places(lock.models, layout, layout.builds / build)
    return Served(build, {path: place.model.sha256 for path, place in found.items()})
