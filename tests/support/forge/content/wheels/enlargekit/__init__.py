# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Larger blocks."""

from __future__ import annotations

import arraything


def enlarge(block: arraything.Block, factor: int) -> arraything.Block:
    """The block with every point ``factor`` times in each direction."""
    height, width, channels = block.shape
    points = [block.data[start : start + channels] for start in range(0, len(block.data), channels)]
    rows = [points[start : start + width] for start in range(0, len(points), width)]
    data = b"".join(b"".join(point * factor for point in row) * factor for row in rows)
    return arraything.Block((height * factor, width * factor, channels), data)
