# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask uv whether requirement lines can be met together, as often as it takes to find what clashes."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import NoSolution
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question, list_packages

# Versions by name; None for what is given by URL.
Versions = c.Mapping[str, str | None]
_Key = tuple[t.Any, ...]


class Trials:
    """Asks about variants of one question: other lines, overrides and constraints, and all else the same.

    work: a directory for scratch files. cache: uv's.
    """

    def __init__(self, work: pathlib.Path, cache: pathlib.Path) -> None:
        self._work = work
        self._cache = cache
        self._known: dict[_Key, Versions | NoSolution] = {}

    def versions(self, question: Question, *, with_needs: bool = True) -> Versions:
        """What meets the question. with_needs: also what packages need themselves. Raises NoSolution."""
        key = (with_needs, *(_texts(lines) for lines in (question.lines, question.overrides, question.constraints)))
        if key not in self._known:
            self._known[key] = self._asked(question, with_needs)
        found = self._known[key]
        if isinstance(found, NoSolution):
            raise found
        return found

    def failure(self, question: Question, *, with_needs: bool = True) -> NoSolution | None:
        """Why nothing meets the question; None where something does."""
        try:
            self.versions(question, with_needs=with_needs)
        except NoSolution as failure:
            return failure
        return None

    def contradict(self, question: Question, winners: c.Sequence[Line], line: Line) -> bool:
        """Whether no package meets a line together with the lines ``winners`` about the same, which fit each other."""
        alone = dataclasses.replace(question, lines=list(winners))
        both = dataclasses.replace(question, lines=[*winners, line])
        return bool(self.failure(both, with_needs=False)) and not self.failure(alone, with_needs=False)

    def clash(self, question: Question) -> list[Line]:
        """Lines of a question without an answer that have none by themselves, and would without any one of them."""
        failure = self.failure(question)
        if failure is None:
            return []
        concerned = [line for line in question.lines if line.name in {line.name for line in failure.concerned}]
        if concerned and self.failure(dataclasses.replace(question, lines=concerned)):
            return self._smallest(question, [], concerned, grown=False)
        return self._smallest(question, [], list(question.lines), grown=False)

    def _smallest(self, question: Question, given: list[Line], lines: list[Line], *, grown: bool) -> list[Line]:
        """The fewest of ``lines`` that have no answer beside ``given``.

        The algorithm is QuickXplain (Ulrich Junker, AAAI 2004): it asks about halves, not about each line.
        """
        if grown and self.failure(dataclasses.replace(question, lines=given)):
            return []
        if len(lines) == 1:
            return lines
        first, second = lines[: len(lines) // 2], lines[len(lines) // 2 :]
        of_second = self._smallest(question, [*given, *first], second, grown=True)
        of_first = self._smallest(question, [*given, *of_second], first, grown=bool(of_second))
        return [*of_first, *of_second]

    def _asked(self, question: Question, with_needs: bool) -> Versions | NoSolution:
        with tempfile.TemporaryDirectory(prefix="trial.", dir=self._work) as directory:
            try:
                found = list_packages(
                    question, directory=pathlib.Path(directory), cache=self._cache, with_needs=with_needs
                )
            except NoSolution as failure:
                return failure
        return {name: package.version for name, package in found.items()}


def _texts(lines: c.Iterable[Line]) -> tuple[tuple[str, str], ...]:
    return tuple((line.demand.owner, line.text) for line in lines)
