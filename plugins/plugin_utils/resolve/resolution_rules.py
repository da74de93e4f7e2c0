# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules by which requirement lines of core, nodes and spec become one answer.

All lines together are one question. What has no answer is settled by who may overrule whom:

- An entry of ``python_packages`` replaces the lines of core and nodes about the same package that it contradicts, and
  only when there is no answer with them. What a wheel itself requires is never replaced.
- The torch of a fleet is what core and spec choose. No line of a node, and nothing that its packages need, moves it.
- With ``layered``, the later line wins; see resolution_layers.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import TORCH_FAMILY, Demand, Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_trials import Trials, Versions
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import NoSolution
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import EVERYTHING, Question

# As the lock has them: owner, line, by, why.
Replaced = list[dict[str, str]]
Found = t.TypeVar("Found")

_CHOSEN: t.Final = Demand("core and spec", None, ())
_WHY: t.Final = "they cannot be met together, and python_packages overrides"


@dataclasses.dataclass(frozen=True)
class Settled(t.Generic[Found]):
    """An answer, the question that it is for, and the lines that gave way."""

    question: Question
    found: Found
    replaced: Replaced


@dataclasses.dataclass(frozen=True)
class Solver(t.Generic[Found]):
    """How a question is answered in the end. solve: raises NoSolution. versions: of its answer."""

    solve: c.Callable[[Question], Found]
    versions: c.Callable[[Found], Versions]


def settle_strictly(question: Question, solver: Solver[Found], trials: Trials) -> Settled[Found]:
    """The answer with which no line gives way but to an entry of ``python_packages``. Raises NoSolution."""
    try:
        return settle_jointly(question, solver, trials)
    except NoSolution:
        overridden, replaced = override_lines(question, trials)
        if not replaced:
            raise
    settled = settle_jointly(overridden, solver, trials)
    return dataclasses.replace(settled, replaced=replaced)


def settle_jointly(question: Question, solver: Solver[Found], trials: Trials) -> Settled[Found]:
    """The answer to all lines, with the torch that core and spec choose. Raises NoSolution."""
    found = solver.solve(question)
    family = {name: version for name, version in solver.versions(found).items() if name in TORCH_FAMILY}
    if not family or _is_kept(question, family):
        return Settled(question, found, [])
    bound = bind_torch(question, trials)
    if all(line.requirement.specifier.contains(family.get(line.name) or "0") for line in chosen_torch(bound)):
        return Settled(question, found, [])
    return Settled(bound, solver.solve(bound), [])


def bind_torch(question: Question, trials: Trials) -> Question:
    """The question, bound to the torch family that core and spec choose by themselves; as it is if they choose none."""
    lines = [line for line in question.lines if not line.is_of_node]
    if not lines or len(lines) == len(question.lines) or chosen_torch(question):
        return question
    try:
        versions = trials.versions(dataclasses.replace(question, lines=lines))
    except NoSolution:
        return question
    chosen = [(name, version) for name, version in sorted(versions.items()) if name in TORCH_FAMILY and version]
    pins = [_pin(name, version, [line for line in question.lines if line.is_of_node]) for name, version in chosen]
    return dataclasses.replace(question, constraints=[*question.constraints, *pins])


def chosen_torch(question: Question) -> list[Line]:
    """The versions of the torch family that a question is bound to."""
    return [line for line in question.constraints if line.demand == _CHOSEN]


def without_torch(question: Question) -> Question:
    """The question, no longer bound to that torch."""
    chosen = chosen_torch(question)
    return dataclasses.replace(question, constraints=[line for line in question.constraints if line not in chosen])


def override_lines(question: Question, trials: Trials) -> tuple[Question, Replaced]:
    """The question in which entries of the spec stand for the lines of core and nodes that they contradict.

    Such a line still asks for its package, in any version.
    """
    entries: dict[str, list[Line]] = {}
    for line in question.lines:
        if line.demand.owner == SPEC:
            entries.setdefault(line.name, []).append(line)
    lines, replaced = [], []
    for line in question.lines:
        winners = entries.get(line.name, ()) if line.demand.is_of_code and line.is_choosy else ()
        if winners and trials.contradict(question, winners, line):
            lines.append(line.bare())
            replaced.append(gave_way(line, winners[0], _WHY))
        else:
            lines.append(line)
    return dataclasses.replace(question, lines=lines), replaced


def gave_way(line: Line, winner: Line, why: str) -> dict[str, str]:
    """What the lock says of a line that does not count."""
    by = f"{winner.demand.owner}: {winner.text.partition('#')[0]}"
    return {"owner": line.demand.owner, "line": line.written or line.text, "by": by, "why": why}


def _is_kept(question: Question, family: Versions) -> bool:
    """Whether it is the torch that an earlier lock has, and that is to stay."""
    if EVERYTHING in question.upgrade or TORCH_FAMILY & set(question.upgrade):
        return False
    return all(question.kept.get(name) == version for name, version in family.items())


def _pin(name: str, version: str, of_nodes: c.Iterable[Line]) -> Line:
    """The line that binds a package to a version, and to none of the builds that nodes have URLs of."""
    from packaging.requirements import Requirement

    builds = {_version_of_file(str(line.url)) for line in of_nodes if line.name == name and line.url}
    others = "".join(f",!={build}" for build in sorted(builds - {"", version}))
    text = f"{name}=={version}{others}"
    return Line(_CHOSEN, text, Requirement(text))


def _version_of_file(url: str) -> str:
    """The version in the name of a wheel; empty for what has none."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return str(parse_wheel_filename(urllib.parse.unquote(url.rpartition("/")[2]))[1])
    except InvalidWheelFilename:
        return ""
