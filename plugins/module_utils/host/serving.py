# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which build serves on a host, and which lock it was last converged to."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock, read_lock


def serving_build(layout: Layout) -> str | None:
    """The name of the build that ``current`` leads to, or None."""
    return pathlib.Path(os.readlink(layout.current)).name if layout.current.is_symlink() else None


def lock_record(layout: Layout, build: str) -> pathlib.Path:
    """The file that keeps the lock of a build."""
    return layout.served_locks / f"{build}.json"


def recorded_document(layout: Layout, build: str) -> dict[str, t.Any] | None:
    """The lock that ``build`` was last converged to, as it was read; None when nothing readable is kept."""
    try:
        document = json.loads(lock_record(layout, build).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def recorded_lock(layout: Layout, build: str) -> Lock | None:
    """The same, as a lock."""
    document = recorded_document(layout, build)
    try:
        return read_lock(document) if document is not None else None
    except FleetError:
        return None
