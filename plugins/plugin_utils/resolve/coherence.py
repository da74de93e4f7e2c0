# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What does not work together though its metadata says that it does: the torch family, and numpy with an old torch.

Each rule holds an answer to be good, asks again with a constraint, or says which line and which entry to change.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import NODE, SPEC
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.abi import (
    CPU,
    Torch,
    built_for,
    dotted,
    torch_of,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import TORCH, Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_builds import best_build, builds_in_index
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import LOCAL
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import Answer, Rule, constrained
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question

_VISION: t.Final = "torchvision"
_AUDIO: t.Final = "torchaudio"
_NUMPY: t.Final = "numpy"
# torchvision 0.15 came with torch 2.0, and so on; from 0.29 (torch 2.14) on one fits later releases of torch, too.
_VISION_OFFSET: t.Final = 15
_VISION_STABLE: t.Final = 14
# torchaudio had the numbers of torch up to 2.11, which fits later releases of torch, too (pytorch/audio#4212).
_AUDIO_STABLE: t.Final = 11
# The first torch that was built against numpy 2 (pytorch#107302).
_NUMPY_2_SINCE: t.Final = (2, 3)
_OLD_NUMPY: t.Final = "numpy<2"
# A release of each line of numpy 1 that anybody may still ask for.
_NUMPY_1: t.Final = ("1.26.4", "1.26.0", "1.25.2", "1.24.4", "1.24.0", "1.23.5", "1.22.4", "1.21.6")
_PATCHES: t.Final = 6


def rules(layered: bool, accelerator: str | None) -> tuple[Rule, ...]:
    """The rules for ``settle``. layered: lines of core and nodes that are against them give way, as to later lines.

    accelerator: the target's.
    """
    return (
        functools.partial(torch_of_accelerator, accelerator=accelerator),
        functools.partial(torch_family, layered=layered),
        functools.partial(old_numpy, layered=layered),
    )


def torch_of_accelerator(answer: Answer, accelerator: str | None) -> Question:
    """The torch that was built for the target's accelerator, where torch is bound to an index that has several builds.

    So one index serves targets of several kinds.
    """
    torch = next((package for package in answer.found if package.name == TORCH), None)
    if torch is None or not accelerator or torch.index == DEFAULT_INDEX or _is_build_of(torch.version, accelerator):
        return answer.question
    versions = builds_in_index(answer.question, torch)
    better = best_build(answer.question, torch, versions, lambda version: _is_build_of(version, accelerator))
    if better is None:
        return answer.question
    return constrained(answer.question, f"what was built for {accelerator}", f"{TORCH}=={better}")


def _is_build_of(version: str, accelerator: str) -> bool:
    return version.partition("+")[2].startswith(accelerator)


def torch_family(answer: Answer, layered: bool = False) -> Question:
    """torchvision and torchaudio of the release that goes with torch, also where their metadata does not bind them.

    Raises FleetError where a line asks for another one, and where they are of another build than torch.
    """
    packages = {package.name: package for package in answer.found}
    torch = torch_of({name: package.version for name, package in packages.items()})
    if torch is None or torch.release[:1] != (2,):
        return answer.question
    wrong = [name for name in (_VISION, _AUDIO) if name in packages and not _goes_with(packages[name], torch)]
    if not wrong:
        return _of_one_build(answer.question, packages, torch)
    raise_all([fault for name in wrong for fault in _pinned_apart(answer.question, packages[name], torch, layered)])
    why = f"what goes with torch {torch.version}"
    return constrained(answer.question, why, *(f"{name}{_of_family(name, torch)}" for name in wrong))


def old_numpy(answer: Answer, layered: bool = False) -> Question:
    """A numpy that torch was built against: nothing of a torch before 2.3 that touches numpy works with numpy 2.

    Raises FleetError where a line wants numpy 2 nevertheless.
    """
    from packaging.version import Version

    versions = {package.name: package.version for package in answer.found}
    torch, numpy = torch_of(versions), versions.get(_NUMPY)
    if torch is None or numpy is None or torch.release[:2] >= _NUMPY_2_SINCE or Version(numpy).major < 2:  # noqa: PLR2004
        return answer.question
    lines = _against(answer.question, _NUMPY, _NUMPY_1, layered)
    if lines:
        first = dotted(_NUMPY_2_SINCE)
        raise FleetError(
            f"torch {torch.version} was built against numpy 1 and cannot work with numpy {numpy}"
            f' ("RuntimeError: Numpy is not available")'
            f"{_wanted_by([*lines, *_lines(answer.question, TORCH)])}",
            where=answer.question.environment.where,
            remedy=f"Take torch {first} or newer, or {_way(lines, _OLD_NUMPY)}",
        )
    return constrained(answer.question, f"torch {torch.version} was built against numpy 1", _OLD_NUMPY)


def _of_family(name: str, torch: Torch) -> str:
    """The versions of a member that go with torch."""
    minor = torch.release[1]
    if name == _VISION:
        first = f"0.{min(minor, _VISION_STABLE) + _VISION_OFFSET}"
        return f"=={first}.*" if minor < _VISION_STABLE else f">={first}"
    return f"==2.{minor}.*" if minor < _AUDIO_STABLE else f">=2.{_AUDIO_STABLE},<2.{minor + 1}"


def _goes_with(package: Found, torch: Torch) -> bool:
    """Whether the member goes with torch; true of what was built here, and of nightlies, whose numbers run ahead."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    if package.index == LOCAL or Version(torch.version).is_prerelease:
        return True
    return SpecifierSet(_of_family(package.name, torch)).contains(package.version, prereleases=True)


def _pinned_apart(question: Question, package: Found, torch: Torch, layered: bool) -> list[FleetError]:
    """The fault of lines that take no release of the member that goes with torch."""
    wanted = _of_family(package.name, torch)
    lines = _against(question, package.name, _releases(package.name, torch), layered)
    if not lines:
        return []
    return [
        FleetError(
            f"{package.name} {package.version} does not go with torch {torch.version}, of whose family it is:"
            f" that is {package.name}{wanted}{_wanted_by([*lines, *_lines(question, TORCH)])}",
            where=question.environment.where,
            remedy=f"Take another torch, or {_way(lines, f'{package.name}{wanted}')}",
        )
    ]


def _releases(name: str, torch: Torch) -> list[str]:
    """Versions that may exist of those that go with torch."""
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(_of_family(name, torch))
    major, minor = (0, torch.release[1] + _VISION_OFFSET) if name == _VISION else (2, torch.release[1])
    tried = [f"{major}.{number}.{patch}" for number in range(minor + 1) for patch in range(_PATCHES)]
    return [version for version in tried if version in wanted]


def _against(question: Question, name: str, versions: c.Sequence[str], layered: bool) -> list[Line]:
    """The lines about a package that take none of the versions, and do not give way."""
    lines = [line for line in _lines(question, name) if not (layered and line.demand.is_of_code)]
    return [line for line in lines if not _takes(line, versions)]


def _takes(line: Line, versions: c.Iterable[str]) -> bool:
    """Whether the line takes one of the versions, in any build."""
    from packaging.specifiers import SpecifierSet

    specifier = SpecifierSet(",".join(str(each).partition("+")[0] for each in line.requirement.specifier))
    return line.url is None and any(specifier.contains(version, prereleases=True) for version in versions)


def _of_one_build(question: Question, packages: c.Mapping[str, Found], torch: Torch) -> Question:
    """Members of torch's own build, where their index has several.

    Raises FleetError, or Failures, for those that were built for another CUDA than torch, or for one when torch is for
    none.
    """
    constrained_question, faults = question, []
    for name in (_VISION, _AUDIO):
        package = packages.get(name)
        difference = package and _difference(package, packages[TORCH], torch, question)
        if not package or not difference:
            continue
        better = _same_build(question, package, torch)
        if better is None:
            faults.append(_other_build(question, package, packages[TORCH], torch, difference))
        else:
            why = f"what was built for {torch}"
            constrained_question = constrained(constrained_question, why, f"{name}=={better}")
    raise_all(faults)
    return constrained_question


def _same_build(question: Question, package: Found, torch: Torch) -> str | None:
    """The version of a member with torch's own local version, where its index has it."""
    local = torch.version.partition("+")[2]

    def fits(version: str) -> bool:
        return version.partition("+")[2] == local and _goes_with(dataclasses.replace(package, version=version), torch)

    return best_build(question, package, builds_in_index(question, package), fits) if local else None


def _difference(package: Found, torch_package: Found, torch: Torch, question: Question) -> str | None:
    """What the member was built for, where that is not what torch was built for."""
    own = built_for(package.version)
    if own.kind is not None:
        same = own._replace(torch=(), cxx11=None) == torch.built._replace(cxx11=None)
        return None if same or torch.built.kind is None else str(own)
    of_default = package.index == DEFAULT_INDEX and torch_package.index not in (DEFAULT_INDEX, LOCAL, None)
    is_known = "+" in torch.version and torch.built.kind is not None
    # The default index's wheels for ARM were for the CPU for long, and their names do not say.
    is_plain_arm = question.environment.machine == "aarch64" and torch.built.kind == CPU
    return "what the default index has its torch for" if of_default and is_known and not is_plain_arm else None


def _other_build(question: Question, package: Found, torch_package: Found, torch: Torch, difference: str) -> FleetError:
    what = (
        f"{package.name} {package.version} of {_origin(question, package)} was built for {difference}, and {torch} of"
        f" {_origin(question, torch_package)} was not: they are of one family and have to be of one build"
    )
    index = torch_package.index
    if index in (None, LOCAL):
        remedy = f"Name a {package.name} in python_packages that was built for {torch}"
    elif index == DEFAULT_INDEX:
        remedy = f"Bind {TORCH} to the same index as {package.name}, in python.indexes"
    else:
        bound = sorted({*(name for name, where in question.indexes.bound.items() if where == index), package.name})
        entry = {"name": index, "url": question.indexes.urls[str(index)], "packages": bound}
        remedy = f"Let both come from one index; in python.indexes: {json.dumps(entry)}"
    wanted = _wanted_by(_lines(question, package.name))
    return FleetError(f"{what}{wanted}", where=question.environment.where, remedy=remedy)


def _origin(question: Question, package: Found) -> str:
    return f"the index {question.indexes.shown(package.index)}" if package.index not in (None, LOCAL) else "its own URL"


def _lines(question: Question, name: str) -> list[Line]:
    return [line for line in question.lines if line.name == name and line.is_choosy]


def _wanted_by(lines: c.Iterable[Line]) -> str:
    return "".join(f"\n  {line}" for line in lines)


def _way(lines: c.Sequence[Line], text: str) -> str:
    """What to write in place of lines."""
    owners = dict.fromkeys(line.demand.owner for line in lines)
    if set(owners) == {SPEC}:
        return f'write "{text}" in python_packages'
    nodes = [owner.removeprefix(NODE) for owner in owners if owner.startswith(NODE)]
    named = f" for node {' and '.join(nodes)}" if nodes else ""
    return f'put "{text}" into python_packages{named and f", or other lines{named} into custom_nodes[].requirements"}'
