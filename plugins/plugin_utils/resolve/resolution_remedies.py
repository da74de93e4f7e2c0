# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to write into a spec so that requirement lines that clash have an answer; nothing is told that was not tried.

A line of core or of a node gives way to an entry of ``python_packages``, an entry of the spec is changed, and where no
version of a package fits, a node goes without it. Lines of nodes are tried first, the core's next, the spec's own last.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import NODE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Demand, Line, demand_of_spec
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.known_breaks import bounded
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_rules import (
    Solver,
    bind_torch,
    settle_strictly,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_trials import Trials, Versions
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import constrained
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import NoSolution
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question

# The entry of python_packages for a line that names a file.
EntryOf = c.Callable[[Line], str]
_ENTRIES: t.Final = demand_of_spec(())


@dataclasses.dataclass(frozen=True)
class Step:
    """A line that gives way: to any version of its package, or, left_out, wholly."""

    line: Line
    left_out: bool

    def applied(self, lines: c.Sequence[Line]) -> list[Line]:
        """The lines after it."""
        if self.left_out:
            return [line for line in lines if (line.demand, line.name) != (self.line.demand, self.line.name)]
        return [line.bare() if line is self.line else line for line in lines]


def next_step(question: Question, clash: c.Sequence[Line], trials: Trials, *, leave_out: bool) -> Step | None:
    """What has to give way in a clash: best what leaves all others an answer, else what leaves the clash one.

    leave_out: whether a node may go without a package.
    """
    steps = _steps(clash, leave_out)
    for step in steps:
        if not trials.failure(bind_torch(_after(step, question), trials)):
            return step
    for step in steps:
        bound = bind_torch(_after(step, question), trials)
        if not trials.failure(dataclasses.replace(bound, lines=step.applied(clash))):
            return step
    return None


def _after(step: Step, question: Question) -> Question:
    return dataclasses.replace(question, lines=step.applied(question.lines))


def after_all(steps: c.Iterable[Step], question: Question) -> Question:
    """The question after some steps."""
    for step in steps:
        question = _after(step, question)
    return question


def _steps(clash: c.Sequence[Line], leave_out: bool) -> list[Step]:
    def rank(line: Line) -> int:
        return 0 if line.is_of_node else 1 if line.demand.is_of_code else 2

    ordered = sorted(clash, key=rank)
    relaxed = [Step(line, left_out=False) for line in ordered if line.is_choosy]
    return [*relaxed, *(Step(line, left_out=True) for line in ordered if leave_out and line.is_of_node)]


@dataclasses.dataclass(frozen=True)
class Writing:
    """What to write into a spec. entries: to add to python_packages, each with the line that it replaces.

    changed: entries of python_packages, before and after. requirements: the lines of nodes, by owner.
    """

    entries: c.Sequence[tuple[str, Line]]
    changed: c.Sequence[tuple[Line, str]]
    requirements: c.Mapping[str, c.Sequence[str]]

    def __str__(self) -> str:
        ways = []
        if self.entries:
            added = json.dumps([_plain(entry) for entry, _line in self.entries])
            replaced = "; ".join(str(line) for _entry, line in self.entries)
            ways.append(f'add to the spec "python_packages": {added}, in place of {replaced}')
        ways += [f'change in "python_packages" "{line.text}" to "{text}"' for line, text in self.changed]
        for owner, lines in self.requirements.items():
            given = json.dumps(list(lines))
            ways.append(f'in "custom_nodes", give node {owner.removeprefix(NODE)} "requirements": {given}')
        return "; and ".join(ways)


def write(question: Question, steps: c.Sequence[Step], trials: Trials, entry_of: EntryOf) -> Writing | None:
    """What to write so that ``question`` has an answer without the lines of the steps; None when that has none."""
    after = after_all(steps, question)
    relaxed = [step.line for step in steps if not step.left_out]
    try:
        versions = _found(after, relaxed, trials)
    except NoSolution:
        return None
    writer = _Writer(question, after, versions, trials, entry_of)
    entries = {line.name: (writer.entry(line), line) for line in relaxed if line.demand.is_of_code}
    left_out = {(step.line.demand, step.line.name) for step in steps if step.left_out}
    writing = Writing(
        entries=list(entries.values()),
        changed=[(line, writer.entry(line)) for line in relaxed if not line.demand.is_of_code],
        requirements={demand.owner: _without(demand, left_out) for demand, _name in sorted(left_out, key=str)},
    )
    return writing if solves(question, writing, steps, trials) else None


def _found(question: Question, relaxed: c.Sequence[Line], trials: Trials) -> Versions:
    """What is found, with the bounds that are known for it. Raises NoSolution."""
    while True:
        versions = _near(bind_torch(question, trials), relaxed, trials)
        more = bounded(question, versions)
        if more is question:
            return versions
        question = more


def _near(question: Question, relaxed: c.Sequence[Line], trials: Trials) -> Versions:
    """What is found, of what was pinned rather another release of the same major version. Raises NoSolution."""
    versions = trials.versions(question)
    for line in relaxed:
        pins = [one.version for one in line.requirement.specifier if one.operator == "=="]
        major = pins[0].partition(".")[0] if pins else ""
        if not major.isdecimal() or (versions.get(line.name) or major).partition(".")[0] == major:
            continue
        nearer = constrained(question, "", f"{line.name}=={major}.*")
        if not trials.failure(nearer):
            question, versions = nearer, trials.versions(nearer)
    return versions


def solves(question: Question, writing: Writing, steps: c.Sequence[Step], trials: Trials) -> bool:
    """Whether the question has an answer by the rules once that is written."""
    lines = after_all([step for step in steps if step.left_out], question).lines
    changed = {id(line): text for line, text in writing.changed}
    lines = [entry_line(changed[id(line)]) if id(line) in changed else line for line in lines]
    entries = [entry_line(entry) for entry, _line in writing.entries]
    # For what names a file an entry counts in any case.
    named = {entry.name for entry in entries}
    lines = [line for line in lines if not (line.url and line.demand.is_of_code and line.name in named)]
    given = dataclasses.replace(question, lines=[*lines, *entries])
    try:
        settle_strictly(given, Solver(trials.versions, _same), trials)
    except NoSolution:
        return False
    return True


def entry_line(entry: str) -> Line:
    """An entry of python_packages as a line: a requirement, or an object with a file."""
    from packaging.requirements import Requirement

    text = entry
    if entry.startswith("{"):
        fields = json.loads(entry)
        text = f"{fields['name']} @ {fields['url']}#sha256={fields['sha256']}" if "url" in fields else fields["name"]
    return Line(_ENTRIES, text, Requirement(text))


def public(version: str) -> str:
    """A version without its local part, which is that of an index."""
    return version.partition("+")[0]


class _Writer:
    """Finds the entries in place of lines. before, after: the question with and without them."""

    def __init__(
        self, before: Question, after: Question, versions: Versions, trials: Trials, entry_of: EntryOf
    ) -> None:
        self._before = before
        self._after = after
        self._versions = versions
        self._trials = trials
        self._entry_of = entry_of

    def entry(self, line: Line) -> str:
        """What keeps what was found without the line, as others ask for it if they do, else as that version."""
        others = [other for other in self._after.lines if other.name == line.name and other.is_choosy]
        bounds = {str(other.requirement.specifier) for other in others if not other.url}
        if len(bounds) == 1:
            proposed = f"{line.requirement.name}{bounds.pop()}"
            if self._trials.contradict(self._before, [entry_line(proposed)], line):
                return proposed
        version = self._versions.get(line.name)
        if version is None:
            return next((self._entry_of(other) for other in others if other.url), line.requirement.name)
        proposed = f"{line.requirement.name}=={public(version)}"
        if self._trials.contradict(self._before, [entry_line(proposed)], line):
            return proposed
        return f"{line.requirement.name}=={version}"


def _without(demand: Demand, left_out: c.Container[tuple[Demand, str]]) -> list[str]:
    from packaging.requirements import Requirement

    lines = [Line(demand, text, Requirement(text)) for text in demand.lines]
    return [line.text for line in lines if (demand, line.name) not in left_out]


def _plain(entry: str) -> t.Any:
    return json.loads(entry) if entry.startswith("{") else entry


def _same(versions: Versions) -> Versions:
    return versions
