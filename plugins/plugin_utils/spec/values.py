# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads values of unknown shape: what has the wrong type counts as absent, for the schema has reported it already."""

from __future__ import annotations

import typing as t


def as_object(value: object) -> dict[str, t.Any]:
    """Give the object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[t.Any]:
    """Give the list, or an empty one."""
    return value if isinstance(value, list) else []


def as_texts(value: object) -> list[str]:
    """Give the texts of a list."""
    return [item for item in as_list(value) if isinstance(item, str)]


def as_text(value: object) -> str | None:
    """Give the text, or nothing; an empty text is nothing."""
    return value if isinstance(value, str) and value else None


def as_flag(value: object, default: bool) -> bool:
    """Give the truth value, or the default."""
    return value if isinstance(value, bool) else default


def as_integer(value: object) -> int | None:
    """Give the integer, or nothing. JSON has one kind of number: 3.0 is 3, and true is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        return None
    return int(value)
