# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirement lines that clash, as a user has to hear of it: whose they are, and what to write into the spec."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import TORCH_FAMILY, Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.known_breaks import bounded
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_remedies import (
    EntryOf,
    Step,
    Writing,
    after_all,
    entry_line,
    next_step,
    public,
    solves,
    write,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_rules import (
    bind_torch,
    chosen_torch,
    override_lines,
    without_torch,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_trials import Trials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_causes import NAME
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import (
    CONTRADICTION,
    LinesFault,
    NoSolution,
    listed,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import canonical_name

_MOST_CLASHES: t.Final = 8
_BOUND = re.compile(rf"(?P<name>{NAME})(?P<bound>(?:[<>=!~]=?=?[^\s,]+,?)+)")
_NOTHING_MEETS: t.Final = "no version that has a wheel for this target meets"
# triton is torch's own affair.
_ASKED_FOR: t.Final = TORCH_FAMILY - {"triton"}
_NOTHING_HELPS: t.Final = (
    "Ask for other versions: those of nodes in custom_nodes[].requirements, all others in python_packages"
)


@dataclasses.dataclass(frozen=True)
class _Clash:
    """Lines that clash, what counts for all lines and takes part, and why. is_about_torch: that is the torch alone.

    step: what of it can give way; None where that would not help.
    """

    lines: c.Sequence[Line]
    bounds: c.Sequence[Line]
    is_about_torch: bool
    failure: NoSolution
    step: Step | None = None

    def __str__(self) -> str:
        head = CONTRADICTION
        if self.is_about_torch:
            head = "a node would move the torch that core and spec choose"
        elif len(self.lines) == 1:
            causes = "; ".join(cause.what for cause in self.failure.causes)
            head = causes or (CONTRADICTION if self.bounds else _NOTHING_MEETS)
        return f"{head}{listed([*self.lines, *self.bounds])}"


def explain_conflict(question: Question, failure: NoSolution, trials: Trials, entry_of: EntryOf) -> FleetError:
    """The error for a question that has no answer by the rules of ``strict``.

    failure: why, as uv says it. entry_of: gives the entry of python_packages for a line that names a file.
    """
    asked = _with_known_bounds(override_lines(question, trials)[0], trials)
    clashes = _clashes_in(asked, failure, trials)
    if not clashes:
        return failure
    # What has no answer whatever gives way is mended by itself; of the rest it is tried what is to be written.
    alone = [clash for clash in clashes if clash.step is None]
    rest = _without([line for clash in alone for line in clash.lines], asked) if len(clashes) > 1 else asked
    mended = [clash for clash in clashes if clash.step or rest is asked]
    ways = [_by_itself(clash) for clash in alone if rest is not asked]
    ways += [_ways(rest, mended, trials, entry_of)] if mended else []
    return LinesFault(
        "\nand ".join(str(clash) for clash in clashes),
        where=failure.where,
        remedy="\n".join([*ways, f"uv: {clashes[0].failure.said}"]),
    )


def _clashes_in(asked: Question, failure: NoSolution, trials: Trials) -> list[_Clash]:
    """The clashes of a question, each found when those before are mended."""
    clashes: list[_Clash] = []
    current = asked
    while current.lines and len(clashes) < _MOST_CLASHES and trials.failure(bind_torch(current, trials)):
        clash = _clash_in(bind_torch(current, trials), failure, trials)
        # A line that has no answer by itself says why, and that tells more than to leave it out.
        leave_out = len(clash.lines) > 1 or clash.is_about_torch
        # So does a pin of what is there as source: an older release with a wheel is not what is wanted.
        is_source = _is_pin_alone(clash) and any(cause.is_source for cause in clash.failure.causes)
        step = None if is_source else next_step(current, clash.lines, trials, leave_out=leave_out)
        clashes.append(dataclasses.replace(clash, step=step))
        if step is None and len(clash.lines) > 1:
            break
        current = after_all([step], current) if step else _without(clash.lines, current)
    return clashes


def _is_pin_alone(clash: _Clash) -> bool:
    return len(clash.lines) == 1 and any(one.operator == "==" for one in clash.lines[0].requirement.specifier)


def _without(lines: c.Sequence[Line], question: Question) -> Question:
    return dataclasses.replace(question, lines=[line for line in question.lines if line not in lines])


def _by_itself(clash: _Clash) -> str:
    remedies = "; ".join(cause.remedy for cause in clash.failure.causes) or _NOTHING_HELPS
    return f"{', '.join(line.name for line in clash.lines)}: {remedies}"


def _with_known_bounds(question: Question, trials: Trials) -> Question:
    """The question with the bounds that are known for what core and spec come to, so that what is told works with them.

    As it is where core and spec have no answer of their own.
    """
    own = [line for line in question.lines if not line.is_of_node]
    asked = question
    while True:
        try:
            versions = trials.versions(dataclasses.replace(asked, lines=own))
        except NoSolution:
            return question
        more = bounded(asked, versions)
        if more is asked:
            return asked
        asked = more


def _clash_in(question: Question, failure: NoSolution, trials: Trials) -> _Clash:
    lines = trials.clash(question)
    about = dataclasses.replace(question, lines=lines)
    alone = trials.failure(dataclasses.replace(about, constraints=()))
    if alone:
        overrides = [line for line in question.overrides if line in alone.concerned]
        return _Clash(lines, overrides, is_about_torch=False, failure=alone)
    bound = trials.failure(about) or failure
    named = {line.name for line in bound.concerned}
    against = [line for line in question.constraints if line.name in named]
    is_about_torch = not trials.failure(without_torch(about))
    if is_about_torch:
        names = {line.name for line in chosen_torch(question)} & {line.name for line in against}
        own = [line for line in question.lines if line.name in names and line not in lines and not line.is_of_node]
        against = [*own, *(line for line in chosen_torch(question) if line in against)]
    return _Clash(lines, against, is_about_torch, bound)


def _ways(question: Question, clashes: c.Sequence[_Clash], trials: Trials, entry_of: EntryOf) -> str:
    """What can be written, the best first; each was tried."""
    steps = [clash.step for clash in clashes if clash.step]
    writing = write(question, steps, trials, entry_of) if len(steps) == len(clashes) else None
    ways = [str(writing)] if writing else []
    if any(clash.is_about_torch for clash in clashes):
        ways += _other_torch(question, trials)
    elif writing is None or writing.requirements:
        ways += [way for clash in clashes[:1] for way in _override(question, clash, trials)]
    if len(clashes) == 1:
        ways += [cause.remedy for cause in clashes[0].failure.causes if len(clashes[0].lines) == 1]
    told = ".\nOr ".join(f"{way[0].lower()}{way[1:]}" for way in dict.fromkeys(ways)) or _NOTHING_HELPS
    return f"{told[0].upper()}{told[1:]}"


def _other_torch(question: Question, trials: Trials) -> c.Iterator[str]:
    """The entries with which the whole fleet takes the torch that the nodes want."""
    if trials.failure(question):
        return
    versions = trials.versions(question)
    chosen = {line.name: line for line in chosen_torch(bind_torch(question, trials))}
    moved = [
        f"{name}=={public(version)}"
        for name, version in sorted(versions.items())
        if name in _ASKED_FOR and version and (name not in chosen or not _takes(chosen[name], version))
    ]
    if moved and solves(question, Writing([(entry, entry_line(entry)) for entry in moved], (), {}), (), trials):
        yield f'to take that torch for the whole fleet, add to the spec "python_packages": {json.dumps(moved)}'


def _takes(line: Line, version: str) -> bool:
    return line.requirement.specifier.contains(version)


def _override(question: Question, clash: _Clash, trials: Trials) -> c.Iterator[str]:
    """The bound on a package that counts in place of those that packages themselves have."""
    from packaging.requirements import InvalidRequirement

    name = _disputed(clash)
    if name is None or name in TORCH_FAMILY:
        return
    proposed = _proposed(name, clash)
    try:
        overridden = dataclasses.replace(question, overrides=[*question.overrides, entry_line(proposed)])
    except InvalidRequirement:
        # It was found in uv's words, which are not made to be read by programs.
        return
    if not trials.failure(bind_torch(overridden, trials)):
        given = json.dumps({"overrides": [proposed]})
        yield f'if the packages work with it all the same, say what counts for all: "python": {given}'


def _disputed(clash: _Clash) -> str | None:
    """The package that is wanted in two ways."""
    bounds: dict[str, set[str]] = {}
    for match in _BOUND.finditer(clash.failure.said):
        bounds.setdefault(canonical_name(match["name"]), set()).add(match["bound"].rstrip(",."))
    for line in clash.lines:
        if line.requirement.specifier:
            bounds.setdefault(line.name, set()).add(str(line.requirement.specifier))
    ordered = sorted(bounds, key=lambda name: (-len(bounds[name]), name))
    return ordered[0] if ordered else None


def _proposed(name: str, clash: _Clash) -> str:
    """A bound on the disputed package: of the last line about it, else the last of uv's."""
    own = [line for line in clash.lines if line.name == name and line.requirement.specifier]
    if own:
        return f"{name}{own[-1].requirement.specifier}"
    bounds = [match["bound"] for match in _BOUND.finditer(clash.failure.said) if canonical_name(match["name"]) == name]
    return f"{name}{bounds[-1].rstrip(',.')}"
