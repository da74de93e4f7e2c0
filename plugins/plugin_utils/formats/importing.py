# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirement lists as entries of a spec, with an account of every line."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import itertools
import json
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_duplicates import joined, without_duplicates
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_entries import (
    Candidate,
    Lookups,
    candidates_of,
    paste,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_indexes import Bound, Index, bind
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_lists import (
    DECISION,
    DROPPED,
    KEPT,
    MERGED,
    Account,
    Lists,
    Statement,
    in_order,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import pip_options
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.contradictions import impossible
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import canonical_name

Entry = str | dict[str, t.Any]

_INDEXES: t.Final = frozenset({"--index-url", "--extra-index-url", "--pypi-url", "--index", "--default-index"})
_BUILDS: t.Final = "--no-binary"
_OF_REQUIREMENTS: t.Final = frozenset({"--editable", "--hash"})
_WITHOUT_MEANING: t.Final = {
    **dict.fromkeys(pip_options.DROPPED, "every environment is new, and every package locked"),
    **dict.fromkeys(("--only-binary", "--prefer-binary"), "wheels are what is installed"),
    **dict.fromkeys(("--require-hashes",), "the lock has the hashes"),
    **dict.fromkeys(("--trusted-host",), "certificates are always checked"),
    **dict.fromkeys(("--no-index",), "comfy_offline and comfy_wheels_dir say that"),
    **dict.fromkeys(("--use-feature",), "it is about pip"),
    **dict.fromkeys(
        ("--config-setting", "--config-settings", "--global-option", "--install-option", "-C"),
        "what a build gets is said in python.build",
    ),
}
# What pip freeze lists by mistake on Debian, and there is no such project.
_NOT_PROJECTS: t.Final = frozenset({"pkg-resources"})


@dataclasses.dataclass(frozen=True)
class Imported:
    """What lists come to. builds: names of python.build. notes: what was guessed."""

    packages: list[Entry]
    indexes: list[Index]
    builds: list[str]
    accounts: list[Account]
    notes: list[str]

    @property
    def undecided(self) -> list[Account]:
        """The lines that a person has to decide on."""
        return [account for account in self.accounts if account.outcome == DECISION]

    def fragment(self) -> dict[str, t.Any]:
        """What to put into a spec."""
        python = {
            **({"indexes": self.indexes} if self.indexes else {}),
            **({"build": self.builds} if self.builds else {}),
        }
        return {"python_packages": self.packages, **({"python": python} if python else {})}


def import_lists(paths: c.Sequence[pathlib.Path], lookups: Lookups | None) -> Imported:
    """Read lists in the order in which they are installed. lookups: None where nothing may be asked.

    Raises FleetError for a list that cannot be read.
    """
    lists = Lists()
    for path in paths:
        lists.read(path, path.name)
    reading = _Reading(lists.numbered, lookups)
    for statement in lists.statements:
        reading.take(statement)
    kept, replaced = without_duplicates(reading.candidates)
    kept = _bounded(kept, reading.constraints, reading.numbered)
    bound = bind(kept, reading.index_statements)
    reading.numbered.update(replaced)
    reading.numbered.update(bound.accounts)
    undecided = {number for number, account in reading.numbered.items() if account.outcome == DECISION}
    kept = [each for each in kept if each.statement.number not in undecided]
    for number, candidates in itertools.groupby(kept, key=lambda candidate: candidate.statement.number):
        reading.numbered[number] = _kept(list(candidates), bound)
    return Imported(
        packages=[paste(candidate) for candidate in kept],
        indexes=bound.indexes,
        builds=sorted(reading.builds),
        accounts=in_order(reading.numbered),
        notes=lists.notes,
    )


class _Reading:
    """What statements ask for, and what became of those that ask for no package."""

    def __init__(self, numbered: dict[int, Account], lookups: Lookups | None) -> None:
        self._lookups = lookups
        self.numbered = numbered
        self.candidates: list[Candidate] = []
        self.constraints: list[Candidate] = []
        self.index_statements: list[Statement] = []
        self.builds: set[str] = set()

    def take(self, statement: Statement) -> None:
        """Read one statement."""
        try:
            self._options(statement)
            if statement.text or any(name == "--editable" for name, _value in statement.options):
                self._requirement(statement)
            elif {name for name, _value in statement.options} <= _OF_REQUIREMENTS:
                raise FleetError("belongs to a requirement, and there is none before it", remedy="Join the two lines")
        except FleetError as error:
            self.numbered[statement.number] = statement.account(DECISION, str(error))

    def _options(self, statement: Statement) -> None:
        if len([name for name, _value in statement.options if name in _INDEXES]) > 1:
            raise FleetError("names several indexes", remedy="Give each a line of its own")
        for name, value in statement.options:
            if name in _INDEXES and value and not statement.text:
                self.index_statements.append(dataclasses.replace(statement, options=((name, value),)))
            elif name == _BUILDS:
                self._build(statement, value)
            elif name in _WITHOUT_MEANING:
                self.numbered[statement.number] = statement.account(DROPPED, _WITHOUT_MEANING[name])
            elif name not in _OF_REQUIREMENTS:
                raise FleetError(f"has the option {name}", remedy=pip_options.remedy(name))

    def _build(self, statement: Statement, value: str) -> None:
        names = [name.strip() for name in value.split(",") if name.strip()]
        if ":all:" in names:
            raise FleetError("wants to build everything", remedy="Name the packages that have to be, in python.build")
        built = {canonical_name(name) for name in names if name != ":none:"}
        self.builds |= built
        listed = f"python.build: {', '.join(sorted(built))}"
        self.numbered[statement.number] = statement.account(
            KEPT if built else DROPPED, listed if built else "says nothing"
        )

    def _requirement(self, statement: Statement) -> None:
        found = candidates_of(statement, self._lookups)
        if found[0].name in _NOT_PROJECTS:
            self.numbered[statement.number] = statement.account(DROPPED, "there is no such project")
        elif statement.constraint:
            self.constraints += found
        else:
            self.candidates += found


def _bounded(
    kept: c.Sequence[Candidate], constraints: c.Iterable[Candidate], numbered: dict[int, Account]
) -> list[Candidate]:
    """The candidates with the bounds of constraint files, which ask for nothing themselves."""
    result = list(kept)
    for constraint in constraints:
        outcomes = []
        for place, candidate in enumerate(result):
            if candidate.name == constraint.name:
                result[place], outcome = _bound(candidate, constraint)
                outcomes.append(outcome)
        numbered[constraint.statement.number] = min(outcomes or [_bounds_nothing(constraint)], key=_weight)
    return result


def _bound(wanted: Candidate, constraint: Candidate) -> tuple[Candidate, Account]:
    """A candidate with the bounds of a constraint, and what became of the constraint there."""
    line, account = wanted.statement, constraint.statement.account
    marker = constraint.requirement.marker
    if wanted.entry is not None:
        return wanted, account(DROPPED, f"{line.place} says exactly what it is")
    if marker is not None and str(marker) != str(wanted.requirement.marker):
        return wanted, account(
            DECISION,
            f"it bounds {line.place} ({line.shown}) only where {marker} holds. Write a line for these hosts and one"
            f" for the others, such as {constraint.requirement}",
        )
    if constraint.entry is not None or impossible([wanted.requirement, constraint.requirement]):
        return wanted, account(DECISION, f"it bounds {line.place} ({line.shown}), and both cannot hold")
    both = joined(constraint.requirement, wanted.requirement)
    return dataclasses.replace(wanted, requirement=both), account(MERGED, f"into {line.place}")


def _bounds_nothing(constraint: Candidate) -> Account:
    what = "it bounds a package that the lists do not name; python.overrides would bound it for all"
    return constraint.statement.account(DROPPED, what)


def _weight(account: Account) -> int:
    """Of what became of one line for several others, a person has to know first what is undecided."""
    return (DECISION, MERGED, DROPPED).index(account.outcome)


def _kept(candidates: c.Sequence[Candidate], bound: Bound) -> Account:
    """What became of a line that is there; two entries where a file or repository is wanted with extras."""
    entries = [paste(candidate) for candidate in candidates]
    texts = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    index = bound.of(candidates[0])
    notes = [*([f"from {index}"] if index else []), *candidates[0].notes]
    detail = f"as {' and '.join(texts)}{''.join(f'; {note}' for note in notes)}"
    return candidates[0].statement.account(KEPT, detail)
