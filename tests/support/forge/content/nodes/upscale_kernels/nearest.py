# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every point becomes a square of its colour."""

from __future__ import annotations

import typing as t

import enlargekit

if t.TYPE_CHECKING:
    import arraything


def resize(image: arraything.Block, factor: int) -> arraything.Block:
    """The picture, ``factor`` times as wide and as high."""
    return enlargekit.enlarge(image, factor)
