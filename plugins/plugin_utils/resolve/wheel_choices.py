# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several wheels of one package in ``python_packages``, for several Pythons, machines or builds of torch.

Each target takes the one that fits it: one spec for hosts of several kinds.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import SPEC
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.abi import Torch, built_for, misfits, torch_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.abi_tags import fits_tags, wheel_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import Answer
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question


@dataclasses.dataclass(frozen=True)
class WheelChoices:
    """The lines of a target, one for each wheel, and by name those that the target may take instead."""

    lines: list[Line]
    others: c.Mapping[str, c.Sequence[Line]]

    def rule(self, answer: Answer) -> Question:
        """Take the wheel that was built for the torch of the answer.

        Raises FleetError, or Failures, with what each of a package's wheels was built for, where none was.
        """
        packages = {package.name: package for package in answer.found}
        torch = torch_of({name: package.version for name, package in packages.items()})
        question, faults = answer.question, []
        for name, lines in self.others.items():
            package = packages.get(name)
            if package is None or torch is None or not misfits(built_for(package.version), torch):
                continue
            fitting = next((line for line in lines if not misfits(built_for(_version(line)), torch)), None)
            if fitting is None:
                faults.append(_fault(answer.question, package, lines, torch))
            else:
                question = dataclasses.replace(question, lines=_with(question.lines, fitting))
        raise_all(faults)
        return question


def choose_wheels(lines: c.Sequence[Line], environment: TargetEnvironment) -> WheelChoices:
    """The lines with one wheel of each package that the spec names: the first that fits the target by its tags.

    Where none does, all are left, for whoever says why.
    """
    named: dict[str, list[Line]] = {}
    for line in lines:
        if line.demand.owner == SPEC and line.url and not line.needs_build:
            named.setdefault(line.name, []).append(line)
    fitting = {
        name: [line for line in several if fits_tags(line, environment)]
        for name, several in named.items()
        if len(several) > 1
    }
    left = [line for name, several in fitting.items() if several for line in named[name] if line is not several[0]]
    return WheelChoices(
        [line for line in lines if not any(line is other for other in left)],
        {name: several for name, several in fitting.items() if several},
    )


def _version(line: Line) -> str:
    from packaging.utils import parse_wheel_filename

    return str(parse_wheel_filename(wheel_of(line))[1])


def _with(lines: c.Iterable[Line], wanted: Line) -> list[Line]:
    """The lines with another wheel of a package that the spec names."""
    return [wanted if line.name == wanted.name and line.demand.owner == SPEC and line.url else line for line in lines]


def _fault(question: Question, package: Found, lines: c.Iterable[Line], torch: Torch) -> FleetError:
    built = "; ".join(f"{wheel_of(line)} was built for {built_for(_version(line))}" for line in lines)
    return FleetError(
        f"none of the wheels of {package.name} in python_packages fits {torch}: {built}",
        where=question.environment.where,
        remedy=f"Add one that was built for {torch} there",
    )
