# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares add up to exactly 100 %, whatever is shared, and are as near to the truth as one decimal can be."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import hypothesis
from hypothesis import strategies

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.shares import shares

AMOUNTS = strategies.lists(strategies.integers(0, 10**12) | strategies.integers(0, 9), min_size=1, max_size=200)


@hypothesis.given(AMOUNTS)
@hypothesis.example([1, 1, 1])
@hypothesis.example([1] * 7 + [0])
@hypothesis.example([10**12, 1, 1, 1])
def test_they_add_up_and_none_is_off_by_a_tenth(amounts: list[int]) -> None:
    found = shares(amounts)
    total = sum(amounts)
    assert sum(found) == (100 if total else 0)
    assert all(each.as_tuple().exponent == -1 for each in found)
    for amount, share in zip(amounts, found, strict=True):
        assert abs(Fraction(share) - Fraction(100 * amount, total or 1)) < Fraction(1, 10)
        assert share == 0 or amount > 0


@hypothesis.given(AMOUNTS)
def test_more_is_never_shown_as_less(amounts: list[int]) -> None:
    ordered = sorted(amounts, reverse=True)
    found = shares(ordered)
    assert found == sorted(found, reverse=True)


def test_the_seed_document_would_have_been_right() -> None:
    """Its shares were 62.5, 29.2, 5.0, 5.0 and 3.3 per cent: 105 in sum."""
    assert shares([75, 35, 6, 6, 4]) == [Decimal(each) for each in ("59.5", "27.8", "4.8", "4.7", "3.2")]
