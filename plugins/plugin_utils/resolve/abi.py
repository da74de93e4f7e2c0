# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether wheels with compiled code fit a target's torch: what they were built for, against what it has."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.abi import (
    Built,
    Torch,
    built_for,
    dotted,
    misfits,
    torch_of,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.gpu_needs import kernels_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import TORCH
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_builds import best_build, builds_in_index
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import LOCAL
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import Answer, constrained
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question

# They are held together by a rule of their own.
_FAMILY: t.Final = frozenset({TORCH, "torchvision", "torchaudio"})
_SHOWN: t.Final = 6


class Row(t.NamedTuple):
    """A package with compiled code. built_for and runs_on (GPUs, by compute capability) are empty where not known.

    why: what it was built for that the target is not; empty where it fits.
    """

    name: str
    version: str
    built_for: str
    runs_on: str
    why: str

    def __str__(self) -> str:
        words = [f"was built for {self.built_for}"] if self.built_for else []
        words += [f"runs on GPUs of compute capability {self.runs_on}"] if self.runs_on else []
        return f"{self.name} {self.version} {' and '.join(words)}"


def abi_rows(packages: c.Mapping[str, str], users_of_torch: c.Container[str]) -> list[Row]:
    """The packages that say what they were built for, or whose kernels do not run on every GPU, by name.

    packages: version by canonical name, of one target. users_of_torch: names of those that require torch.
    """
    torch = torch_of(packages)
    rows = []
    for name, version in sorted(packages.items()):
        built, kernels = _built(name, version, users_of_torch), kernels_of(name, version)
        if built is not None or kernels is not None:
            why = ", ".join(misfits(built, torch)) if built else ""
            rows.append(Row(name, version, str(built or ""), str(kernels or ""), why))
    return rows


def notes(found: c.Sequence[Found]) -> c.Iterator[str]:
    """What is known of packages with kernels of their own."""
    for row in abi_rows({package.name: package.version for package in found}, _users_of_torch(found)):
        yield str(row)


def fitting_torch(answer: Answer) -> Question:
    """Builds that fit the torch of the answer, where the index has them for several.

    Raises FleetError, or Failures with all of them, which says what each was built for, what there is, and what to do.
    """
    users = _users_of_torch(answer.found)
    torch = torch_of({package.name: package.version for package in answer.found})
    if torch is None:
        return answer.question
    question, faults = answer.question, []
    for package in answer.found:
        built = _built(package.name, package.version, users)
        if built is None or package.index == LOCAL or not misfits(built, torch):
            continue
        others = builds_in_index(answer.question, package)
        better = best_build(answer.question, package, others, lambda version: not misfits(built_for(version), torch))
        if better is None:
            faults.append(_fault(answer.question, package, built, torch, others))
        else:
            question = constrained(question, f"what was built for {torch}", f"{package.name}=={better}")
    raise_all(faults)
    return question


def _built(name: str, version: str, users_of_torch: c.Container[str]) -> Built | None:
    """What a package was built for, where that counts; the CUDA of what does not use torch is its own affair."""
    if name in _FAMILY:
        return None
    built = built_for(version)
    return built if built.torch or (built.kind and name in users_of_torch) else None


def _users_of_torch(found: c.Iterable[Found]) -> set[str]:
    return {
        requester.removeprefix(PACKAGE)
        for package in found
        if package.name == TORCH
        for requester in package.required_by
        if requester.startswith(PACKAGE)
    }


def _fault(
    question: Question,
    package: Found,
    built: Built,
    torch: Torch,
    others: c.Iterable[str],
) -> FleetError:
    wrong = misfits(built, torch)
    wanted = [line for line in question.lines if line.name in (package.name, TORCH)]
    what = (
        f"{package.name} {package.version} was built for {built}, and the target has {torch}: {' and '.join(wrong)} "
        f"{'do' if len(wrong) > 1 else 'does'} not fit"
    )
    there = list(dict.fromkeys(str(built_for(version)) for version in others))
    if there:
        more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        what += f"; the index {question.indexes.shown(str(package.index))} has it for {'; '.join(there[:_SHOWN])}{more}"
    return FleetError(
        what + "".join(f"\n  {line}" for line in wanted),
        where=question.environment.where,
        remedy=_remedy(question, package, built, torch),
    )


def _remedy(question: Question, package: Found, built: Built, torch: Torch) -> str:
    interpreter = "".join(question.environment.python.split(".")[:2])
    wanted = [f"torch {dotted(torch.release[:2])}", *torch.built._kinds()]
    entry = f'{{"name": "{package.name}", "url": "...", "sha256": "..."}}'
    ways = [f"name a wheel for {' and '.join(wanted)} and cp{interpreter} in python_packages: {entry}"]
    if built.torch:
        line = f'"torch=={dotted(built.torch[0][:2])}.*"'
        index = f", with torch bound to an index for {built._kinds()[0]}" if built._kinds() else ""
        ways.append(f"take the torch that it fits: {line} in python_packages{index}")
    sentence = "; or ".join(ways)
    return f"{sentence[0].upper()}{sentence[1:]}"
