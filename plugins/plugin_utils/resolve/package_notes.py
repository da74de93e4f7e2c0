# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user should know of a target's packages though nothing is wrong: names and builds that may not be meant."""

from __future__ import annotations

import collections.abc as c
import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import SPEC
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.abi import CUDA_RUNTIMES, built_for
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import abi
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.ages import old_pins
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question

# What the default index has under a name that people of ComfyUI use for something else, and what to write for that.
_NAMESAKES: t.Final[c.Mapping[str, tuple[str, str]]] = {
    "nunchaku": (
        "a package that splits data into linear segments, and not the inference engine of nunchaku-ai",
        '{"name": "nunchaku", "url": "https://github.com/nunchaku-ai/nunchaku/releases/download/....whl", "sha256":'
        ' "..."}',
    ),
    "clip": (
        "another package, and not OpenAI's CLIP",
        '{"name": "clip", "git": "https://github.com/openai/CLIP", "commit": "..."}',
    ),
    "apex": (
        "another package, and not NVIDIA's Apex",
        '{"name": "apex", "git": "https://github.com/NVIDIA/apex", "commit": "..."}',
    ),
    "kaolin": (
        "a placeholder, and not NVIDIA's Kaolin",
        '{"requirement": "kaolin", "index": "..."}, with NVIDIA\'s index for the target\'s torch in python.indexes',
    ),
    "sageattention": (
        "SageAttention 1.x, and not 2.x with its CUDA kernels",
        '{"name": "sageattention", "url": "https://.../sageattention-2....whl", "sha256": "..."}, or its repository'
        ' with "git" and "commit"',
    ),
}
_TORCH: t.Final = "torch"
_FAMILY: t.Final = ("torch", "torchvision", "torchaudio")
_PYTORCH: t.Final = "https://download.pytorch.org/whl"


def namesakes(question: Question, names: c.Iterable[str]) -> c.Iterator[str]:
    """Notes on packages of the default index that are other ones than people mean; not where the spec pins one."""
    meant = {line.name for line in question.lines if line.url or (line.demand.owner == SPEC and _is_pin(line))}
    for name in sorted(set(names) & _NAMESAKES.keys() - meant - set(question.local)):
        if question.indexes.of(name) == DEFAULT_INDEX:
            what, entry = _NAMESAKES[name]
            yield f"{name} of the default index is {what}; if you mean the latter, put into python_packages {entry}"


def _is_pin(line: Line) -> bool:
    return any(one.operator in ("==", "===") for one in line.requirement.specifier)


def notes(
    question: Question, found: c.Sequence[Found], accelerator: str | None, others: c.Collection[str | None] = ()
) -> c.Iterator[str]:
    """Notes on what was found. accelerator: of the target; others: of all targets of the spec."""
    from packaging.version import Version

    if question.excluded:
        yield f"left out by python.exclude: {', '.join(sorted(question.excluded))}"
    asked = {line.name for line in question.lines if line.requirement.specifier.prereleases}
    for package in found:
        if Version(package.version).is_prerelease and package.index and package.name not in asked:
            yield f"{package.name} {package.version} is a pre-release: no other version fits"
    for line in question.constraints:
        yield f"held to {line.text}: {line.demand.file}"
    yield from abi.notes(found)
    yield from _other_torch(found, accelerator, is_for_all=set(others) <= {accelerator})
    old = old_pins(question, found)
    if old is not None:
        yield old


def _other_torch(found: c.Sequence[Found], accelerator: str | None, *, is_for_all: bool) -> c.Iterator[str]:
    """A torch that was built for something else than the target's accelerator.

    The default index has one build for each platform, and indexes are bound for all targets of a spec. is_for_all: they
    have all the same accelerator; else only an index with all builds serves them.
    """
    by_name = {package.name: package for package in found}
    torch = by_name.get(_TORCH)
    if torch is None or torch.index is None or not accelerator:
        return
    has = _build_of(torch.version, by_name)
    if has.startswith(accelerator) or (torch.index != DEFAULT_INDEX and built_for(torch.version).kind is None):
        return
    if torch.index != DEFAULT_INDEX:
        yield (
            f"torch {torch.version} of the index {torch.index} is a build for {has}, and the target's accelerator is"
            f" {accelerator}: bind torch to an index for that in python.indexes, or give the target that accelerator"
        )
        return
    packages = [name for name in _FAMILY if name in by_name]
    place = accelerator if accelerator != "rocm" else "rocm<version>"
    index = {"name": f"pytorch-{accelerator}", "url": f"{_PYTORCH}/{place}"}
    entry = {**(index if is_for_all else {"name": "pytorch", "url": _PYTORCH}), "packages": packages}
    yield (
        f"torch {torch.version} of the default index is a build for {has}, and the target's accelerator is"
        f" {accelerator}; for that add to python.indexes {json.dumps(entry)}"
    )


def _build_of(torch_version: str, by_name: c.Mapping[str, Found]) -> str:
    """What a torch of the default index was built for: its local version says it, or the CUDA runtime it asks for."""
    local = torch_version.partition("+")[2]
    runtime = next((by_name[name].version for name in CUDA_RUNTIMES if name in by_name), "")
    return local or (f"cu{''.join(runtime.split('.')[:2])}" if runtime else "cpu")
