# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of bytes with a shape."""

from __future__ import annotations

import dataclasses
import math
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Block:
    """Bytes in rows, columns and channels."""

    shape: tuple[int, int, int]
    data: bytes


def repeat(value: bytes, shape: tuple[int, int, int]) -> Block:
    """A block in which every point is the same."""
    return Block(shape, value * (math.prod(shape) // len(value)))


def each(block: Block, function: Callable[[int, int], int]) -> Block:
    """A block of what the function gives for each index and byte."""
    return Block(block.shape, bytes(function(index, value) for index, value in enumerate(block.data)))
