# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several lines for one package, over lists that are installed one after the other: what the last of them leaves.

pip leaves alone what already meets a line, and replaces what does not; so bounds add up, and where they contradict each
other the later line wins.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_entries import Candidate
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_lists import DROPPED, MERGED, Account
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.contradictions import impossible

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet


def without_duplicates(candidates: Iterable[Candidate]) -> tuple[list[Candidate], dict[int, Account]]:
    """One candidate a package and marker, in the order of their first lines; what became of the other lines."""
    kept: list[Candidate] = []
    accounts: dict[int, Account] = {}
    for candidate in candidates:
        place = next((place for place, earlier in enumerate(kept) if _may_replace(earlier, candidate)), None)
        if place is None:
            kept.append(candidate)
            continue
        kept[place], lost, outcome, why = _settled(kept[place], candidate)
        accounts[lost.statement.number] = lost.statement.account(outcome, why)
    return kept, accounts


def _may_replace(earlier: Candidate, later: Candidate) -> bool:
    """Whether two are for the same package and hosts. Extras of a file or repository are an entry beside it."""
    if earlier.name != later.name or str(earlier.requirement.marker) != str(later.requirement.marker):
        return False
    beside = any(
        one.entry is not None and other.entry is None and other.requirement.extras and not other.requirement.specifier
        for one, other in ((earlier, later), (later, earlier))
    )
    return not beside


def _settled(earlier: Candidate, later: Candidate) -> tuple[Candidate, Candidate, str, str]:
    """Which of two stays, which goes, and what became of the latter."""
    into = f"into {later.statement.place}"
    if later.entry is not None and earlier.entry == later.entry:
        return later, earlier, MERGED, into
    if earlier.entry is None and later.entry is None:
        return _joined(earlier, later)
    plain = not later.requirement.specifier if later.entry is None else not earlier.requirement.specifier
    if plain and later.entry is None:
        return earlier, later, MERGED, f"into {earlier.statement.place}, which says where it comes from"
    if plain and earlier.entry is None:
        return later, earlier, MERGED, f"{into}, which says where it comes from"
    return later, earlier, DROPPED, f"{later.statement.place} replaces it: {later.statement.shown}"


def joined(earlier: Requirement, later: Requirement) -> Requirement:
    """A requirement of the extras and bounds of both, which do not contradict each other."""
    both = copy.copy(later)
    both.extras = earlier.extras | later.extras
    both.specifier = _simplified(earlier.specifier & later.specifier)
    return both


def _joined(earlier: Candidate, later: Candidate) -> tuple[Candidate, Candidate, str, str]:
    if impossible([earlier.requirement, later.requirement]):
        why = f"{later.statement.place} contradicts it and is later: {later.statement.shown}"
        return later, earlier, DROPPED, why
    notes = tuple(dict.fromkeys((*earlier.notes, *later.notes)))
    both = dataclasses.replace(later, requirement=joined(earlier.requirement, later.requirement), notes=notes)
    return both, earlier, MERGED, f"into {later.statement.place}"


def _simplified(specifiers: SpecifierSet) -> SpecifierSet:
    """A pin alone where there is one: it meets the bounds beside it."""
    from packaging.specifiers import SpecifierSet

    pins = [each for each in specifiers if each.operator in ("==", "===") and not each.version.endswith(".*")]
    return SpecifierSet(str(pins[0])) if pins else specifiers
