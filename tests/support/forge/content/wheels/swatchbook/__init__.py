# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours by name."""

from __future__ import annotations

import hueshelf

BOOK = {"brick": 1, "corn": 2, "fern": 3, "harbour": 4, "plum": 5}


def names() -> list[str]:
    """The names there are."""
    return sorted(BOOK)


def colour(name: str) -> tuple[int, int, int]:
    """The red, green and blue of a name."""
    return hueshelf.take(BOOK[name])
