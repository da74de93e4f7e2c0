# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes for people."""

from __future__ import annotations

_STEP = 1000
_TENTHS_BELOW = 10


def shown_size(count: int | None) -> str:
    """Bytes in the decimal units that download pages use: 812 B, 3.4 MB, 120 MB; nothing for what nobody says."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if round(amount) < _STEP or unit == "GB":
            is_round = unit == "B" or round(amount, 1) >= _TENTHS_BELOW
            return f"{amount:.0f} {unit}" if is_round else f"{amount:.1f} {unit}"
        amount /= _STEP
    return f"{amount:.1f} GB"
