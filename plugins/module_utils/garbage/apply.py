# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove garbage: each directory is renamed first, so that a killed run leaves no half one under its name."""

from __future__ import annotations

import collections.abc as c
import contextlib
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.garbage import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.observe import Item
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import lock_record

_REMOVED = ".removed."


def apply(layout: Layout, items: c.Iterable[Item]) -> None:
    """Remove ``items``. Builds go before what only they need, should this be cut off."""
    for item in sorted(items, key=lambda item: item.kind != observe.BUILD):
        for path in item.also:
            path.unlink(missing_ok=True)
        _remove(item.path)
        if item.kind == observe.BUILD:
            lock_record(layout, item.name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if item.kind == observe.MODEL:
                item.path.parent.rmdir()


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        doomed = path.with_name(f"{_REMOVED}{path.name}")
        remove_tree(doomed)
        path.rename(doomed)
        remove_tree(doomed)
    else:
        path.unlink(missing_ok=True)
