# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A question about a target's packages, answered by the rules that the spec names: ``strict`` or ``layered``."""

from __future__ import annotations

import collections.abc as c
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_conflict import explain_conflict
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_layers import (
    UnmetLine,
    settle_in_layers,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_remedies import EntryOf
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_rules import (
    Solver,
    settle_strictly,
    without_torch,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution_trials import Trials, Versions
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import Answer
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import NoSolution
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question, resolve

LAYERED: t.Final = "layered"


def answer(
    question: Question,
    rules: str,
    *,
    work: pathlib.Path,
    cache: pathlib.Path,
    entry_of: EntryOf,
    report: c.Callable[[str], None],
) -> Answer:
    """The packages that meet the question, and the lines that gave way.

    rules: ``strict`` or ``layered``. work: a directory for scratch files. cache: uv's. entry_of: gives the entry of
    python_packages for a line that names a file, for messages. report: told what a user should know.

    Raises FleetError: for lines that clash it names them and what to write; Failures when indexes cannot be read.
    """

    def solve(question: Question) -> list[Found]:
        with tempfile.TemporaryDirectory(prefix="resolve.", dir=work) as directory:
            return resolve(question, directory=pathlib.Path(directory), cache=cache, report=report)

    trials = Trials(work, cache)
    settle = settle_in_layers if rules == LAYERED else settle_strictly
    try:
        settled = settle(question, Solver(solve, _versions), trials)
    except NoSolution as failure:
        report(f"{failure.where}: the requirements have no answer: looking for what clashes")
        raise explain_conflict(question, failure, trials, entry_of) from failure
    except UnmetLine as unmet:
        raise explain_conflict(without_torch(unmet.question), unmet.failure, trials, entry_of) from unmet
    return Answer(without_torch(settled.question), settled.found, settled.replaced)


def _versions(found: c.Iterable[Found]) -> Versions:
    return {package.name: package.version for package in found}
