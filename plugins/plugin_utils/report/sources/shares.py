# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares that add up."""

from __future__ import annotations

import collections.abc as c
import decimal

# One decimal: tenths of a per cent.
_PARTS = 1000


def shares(amounts: c.Sequence[int]) -> list[decimal.Decimal]:
    """The percentages of amounts (none negative) with one decimal, which add up to exactly 100.

    By the largest remainder method (Hamilton's). They are all 0 where there is nothing to share.
    """
    total = sum(amounts)
    if total == 0:
        return [decimal.Decimal("0.0") for _amount in amounts]
    tenths = [amount * _PARTS // total for amount in amounts]
    by_remainder = sorted(range(len(amounts)), key=lambda place: (-(amounts[place] * _PARTS % total), place))
    for place in by_remainder[: _PARTS - sum(tenths)]:
        tenths[place] += 1
    return [decimal.Decimal(tenth).scaleb(-1) for tenth in tenths]
