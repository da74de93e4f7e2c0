# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask, look at the answer, and ask again more closely, until every rule is content with the answer.

What fits by its metadata may still not work together: packages that fill one module, a torchaudio of another torch. A
rule finds that in an answer and gives the question that keeps it out.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import FLEET
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Demand, Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question

_MOST_ROUNDS: t.Final = 16


@dataclasses.dataclass(frozen=True)
class Answer:
    """What meets a question.

    question: as it was asked at last, without what gave way. replaced: the lines that did, as the lock has them.
    """

    question: Question
    found: c.Sequence[Found]
    replaced: c.Sequence[c.Mapping[str, t.Any]] = ()


def constrained(question: Question, why: str, *texts: str) -> Question:
    """The question with lines of ours that bind what others ask for; as it is where these are there already.

    why: what the lines are for, as messages say it.
    """
    from packaging.requirements import Requirement

    there = {line.text for line in question.constraints}
    demand = Demand(FLEET, why, texts)
    lines = [Line(demand, text, Requirement(text)) for text in texts if text not in there]
    return dataclasses.replace(question, constraints=(*question.constraints, *lines)) if lines else question


# Gives the answer's own question when content, else a changed one. Raises FleetError where no question helps.
Rule = c.Callable[[Answer], Question]


def settle(question: Question, ask: c.Callable[[Question], Answer], rules: c.Sequence[Rule]) -> Answer:
    """The answer to ``question`` with which all rules are content. ask: raises FleetError when there is none."""
    replaced: dict[tuple[str, str], c.Mapping[str, t.Any]] = {}
    for _round in range(_MOST_ROUNDS):
        answer = ask(question)
        replaced.update({(each["owner"], each["line"]): each for each in answer.replaced})
        changed = _first_change(answer, rules)
        if changed is None:
            return dataclasses.replace(answer, replaced=list(replaced.values()))
        question = changed
    raise FleetError(
        f"the packages do not come to rest within {_MOST_ROUNDS} rounds",
        where=question.environment.where,
        remedy="Pin the packages that are named above in python_packages",
    )


def _first_change(answer: Answer, rules: c.Sequence[Rule]) -> Question | None:
    for rule in rules:
        changed = rule(answer)
        if changed is not answer.question:
            return changed
    return None
