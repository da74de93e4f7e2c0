# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resolution ``layered``: of lines that have no answer together the later one wins, as when one file is installed
after another.

The order is that of the layers: core, the nodes as the spec lists them, python_packages; and within a file its lines. A
line gives way exactly when it has no answer with the later lines that stand. What stands is one joint question, so as
long as nothing clashes there is no difference to ``strict``. The torch family does not take part: it is what core and
spec choose.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_rules import (
    Found,
    Settled,
    Solver,
    bind_torch,
    chosen_torch,
    gave_way,
    settle_jointly,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_trials import Trials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import NoSolution
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question

_LATER: t.Final = "they cannot be met together, and the later line wins"
_TORCH: t.Final = "no node moves the torch that core and spec choose"


def settle_in_layers(question: Question, solver: Solver[Found], trials: Trials) -> Settled[Found]:
    """The answer in which later lines win. Raises UnmetLine."""
    try:
        return settle_jointly(question, solver, trials)
    except NoSolution:
        pass
    nodes = [line for line in question.lines if line.is_of_node]
    own = dataclasses.replace(question, lines=[line for line in question.lines if line not in nodes])
    layers = _Layers(own, trials)
    stand = layers.settle()
    before = [line for line in stand if line.demand.owner != SPEC]
    after = [line for line in stand if line.demand.owner == SPEC]
    bound = bind_torch(dataclasses.replace(question, lines=[*before, *nodes, *after]), trials)
    all_layers = _Layers(bound, trials)
    remaining = dataclasses.replace(bound, lines=all_layers.settle())
    replaced = {**layers.replaced, **all_layers.replaced}
    asked = [(line.demand.owner, line.written or line.text) for line in question.lines]
    in_order = [replaced[line] for line in dict.fromkeys(asked) if line in replaced]
    return Settled(remaining, solver.solve(remaining), in_order)


class UnmetLine(Exception):
    """A line that no packages meet. question: it and the later lines that stand. failure: why."""

    def __init__(self, question: Question, failure: NoSolution) -> None:
        self.question = question
        self.failure = failure
        super().__init__(str(failure))


class _Layers:
    """The lines of a question, of which the earlier ones give way. replaced: those that did, by owner and line."""

    def __init__(self, question: Question, trials: Trials) -> None:
        self.replaced: dict[tuple[str, str], dict[str, str]] = {}
        self._question = question
        self._trials = trials
        # The last line first.
        self._lines = list(reversed(question.lines))

    def settle(self) -> list[Line]:
        """The lines that stand, in their order. Raises UnmetLine."""
        while self._failure(self._lines):
            self._give_way(self._first_too_many())
        return self._lines[::-1]

    def _failure(self, lines: c.Sequence[Line]) -> NoSolution | None:
        return self._trials.failure(self._about(lines))

    def _about(self, lines: c.Sequence[Line]) -> Question:
        return dataclasses.replace(self._question, lines=lines[::-1])

    def _first_too_many(self) -> int:
        """The place of the first line that has no answer with those before it."""
        least, most = 1, len(self._lines)
        while least < most:
            middle = (least + most) // 2
            least, most = (least, middle) if self._failure(self._lines[:middle]) else (middle + 1, most)
        return least - 1

    def _give_way(self, place: int) -> None:
        loser, later = self._lines[place], self._lines[:place]
        record = self._record(loser, later)
        self.replaced[record["owner"], record["line"]] = record
        bare = [loser.bare()] if loser.is_choosy else []
        if bare and self._failure([*later, *bare]):
            bare = []
        self._lines[place : place + 1] = bare

    def _record(self, loser: Line, later: c.Sequence[Line]) -> dict[str, str]:
        """What the lock says of the line that gives way to later ones. Raises UnmetLine when it is at fault alone."""
        torch = chosen_torch(self._question)
        same = (line for line in [*later, *self._question.constraints] if line.name == loser.name)
        winner = next((line for line in same if self._trials.contradict(self._question, [line], loser)), None)
        if winner is None:
            clash = [line for line in self._trials.clash(self._about([*later, loser])) if line is not loser]
            winner = clash[-1] if clash else None
        if winner is None:
            winner = self._bound_against(loser, later)
        why = _TORCH if winner in torch else winner.demand.file if winner in self._question.constraints else _LATER
        return gave_way(loser, winner, why or _LATER)

    def _bound_against(self, loser: Line, later: c.Sequence[Line]) -> Line:
        """What binds all lines, such as the torch, and has no answer with the line. Raises UnmetLine without such."""
        alone = dataclasses.replace(self._question, lines=[loser], constraints=())
        failure = self._trials.failure(alone)
        if failure:
            raise UnmetLine(self._about([*later, loser]), failure)
        bounds = self._question.constraints
        against = (line for line in bounds if self._trials.failure(dataclasses.replace(alone, constraints=[line])))
        return next(against, bounds[0])
