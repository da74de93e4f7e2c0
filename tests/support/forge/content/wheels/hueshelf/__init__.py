# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours by number."""

from __future__ import annotations

SHELF = {1: (214, 64, 69), 2: (233, 185, 73), 3: (88, 139, 89), 4: (61, 90, 128), 5: (123, 80, 132)}


def take(number: int) -> tuple[int, int, int]:
    """The red, green and blue of a colour."""
    return SHELF[number]
