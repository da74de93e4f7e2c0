# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that use torch without requiring it: what works with a torch that is held at an older release.

transformers switches itself off beside a torch that is too old; which ones it works with it says in an extra.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import FLEET
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import TORCH, Demand, Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_conflict import explain_conflict
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_remedies import EntryOf
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_trials import Trials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import Answer, constrained
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import NoSolution
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question

# Packages that use torch and have an extra of that name, which says what they work with; and what it brings besides.
_TORCH_USERS: t.Final = {"transformers": "accelerate"}


# What holds a package back when newer releases come.
_HOLDING: t.Final = frozenset({"==", "===", "~=", "<", "<="})


@dataclasses.dataclass(frozen=True)
class TorchUsers:
    """Packages that use torch, chosen to work with the one that a target has."""

    work: pathlib.Path
    cache: pathlib.Path
    entry_of: EntryOf

    def rule(self, answer: Answer) -> Question:
        """Bound what uses torch to releases that say that they work with it. Raises FleetError where none does.

        A torch that nobody holds is a new one, and nothing is asked.
        """
        versions = {package.name: package.version for package in answer.found}
        question = answer.question
        if TORCH not in versions or not _holds_torch(question):
            return question
        for name in (name for name in _TORCH_USERS if name in versions):
            fitting = self._fitting(question, name, versions[TORCH])
            if fitting is not None and fitting != versions[name]:
                question = constrained(question, f"what works with torch {versions[TORCH]}", f"{name}<={fitting}")
        return question

    def _fitting(self, question: Question, name: str, torch: str) -> str | None:
        """The release of a package that is found when its extra for torch is asked for as well."""
        trials = Trials(self.work, self.cache)
        line = _line(f"{FLEET} (the torch that {name} works with)", None, f"{name}[{TORCH}]")
        left_out = {*question.excluded, _TORCH_USERS[name]}
        asked = dataclasses.replace(question, lines=[*question.lines, line], excluded=left_out)
        pinned = constrained(asked, "what is chosen", f"{TORCH}=={torch}")
        try:
            return trials.versions(pinned).get(name)
        except NoSolution as failure:
            raise explain_conflict(asked, failure, trials, self.entry_of) from failure


def _holds_torch(question: Question) -> bool:
    """Whether the torch may be older than the newest: a line or an earlier lock holds it."""
    lines = (line for line in question.lines if line.name == TORCH)
    held = any(line.url or any(one.operator in _HOLDING for one in line.requirement.specifier) for line in lines)
    return held or (TORCH in question.kept and bool(question.upgrade))


def _line(owner: str, file: str | None, text: str) -> Line:
    from packaging.requirements import Requirement

    return Line(Demand(owner, file, (text,)), text, Requirement(text))
