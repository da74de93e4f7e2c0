# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove garbage."""

from __future__ import annotations

import collections.abc as c
import contextlib

from ansible_collections.comfyops.fleet.plugins.module_utils.builds.apply import remove_build
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.observe import Item
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_whole
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout


def apply(layout: Layout, items: c.Iterable[Item]) -> None:
    """Remove ``items``. Builds go before what only they need, should this be cut off."""
    for item in sorted(items, key=lambda item: item.kind != observe.BUILD):
        for path in item.also:
            path.unlink(missing_ok=True)
        if item.kind == observe.BUILD:
            remove_build(layout, item.name)
        else:
            remove_whole(item.path)
        with contextlib.suppress(OSError):
            if item.kind == observe.MODEL:
                item.path.parent.rmdir()
