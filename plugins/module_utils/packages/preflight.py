# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can run what the lock has compiled code in: its C library, driver and GPUs. Before anything changes.

Looked at only when something is to be done.
"""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import Facts, gather
from ansible_collections.comfyops.fleet.plugins.module_utils.host.nvidia import Gpu, Nvidia, look_at_nvidia
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package, Target
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.abi import CUDA, Torch, dotted, torch_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.gpu_needs import (
    Capabilities,
    driver_for,
    is_older,
    kernels_of,
    torch_capabilities,
)

_MANYLINUX = re.compile(r"(?:manylinux_(?P<major>\d+)_(?P<minor>\d+)|(?P<legacy>manylinux\d+))_(?P<machine>.+)")
_LINUX = re.compile(r"(?:manylinux_?\d+(?:_\d+)?|linux)_(?P<machine>.+)")
_CPU = "--cpu"
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


class Machine(t.NamedTuple):
    """What a host has. nvidia: None where it has no driver of NVIDIA's, or nothing needs one.

    on_cpu: ComfyUI is to run on its CPU, whatever GPUs there are and torch was built for.
    """

    facts: Facts
    nvidia: Nvidia | None
    on_cpu: bool = False


def look_at_machine(context: Context) -> Machine:
    """Look at this host; nvidia-smi is asked where torch is for CUDA and to use it."""
    machine = Machine(gather(), None, _is_on_cpu(context))
    return machine._replace(nvidia=look_at_nvidia()) if _cuda_torch(context.target, machine) else machine


def _is_on_cpu(context: Context) -> bool:
    """Whether the target is one without a GPU, or all that is launched has --cpu."""
    launch = context.lock.spec.get("launch") or {}
    every = [launch.get("args") or (), *(each["args"] for each in launch.get("instances") or ())]
    launched = every[1:] or every[:1]
    return context.target.accelerator == "cpu" or _CPU in every[0] or all(_CPU in arguments for arguments in launched)


def machine_obstacles(target: Target, machine: Machine) -> list[FleetError]:
    """Why the target's packages cannot run on this host."""
    faults = [*_libc_faults(target, machine.facts)]
    torch = _cuda_torch(target, machine)
    if torch is not None and machine.nvidia is not None:
        faults += [*_driver_faults(target, torch, machine.nvidia), *_gpu_faults(target, torch, machine)]
    return faults


def machine_notes(target: Target, machine: Machine) -> list[str]:
    """What is no obstacle, as images are made where there is no GPU, and worth a line."""
    torch = _cuda_torch(target, machine)
    if torch is None:
        return []
    if machine.nvidia is None:
        return [f"this host shows no NVIDIA GPU, and {torch} needs one: without it ComfyUI starts with --cpu only"]
    if machine.nvidia.fault:
        return [
            f"the GPUs of this host cannot be looked at ({machine.nvidia.fault}): whether {torch} runs is not known"
        ]
    return [
        f"{gpu.name} (compute capability {dotted(gpu.capability)}) cannot run {what}, which needs {needs}"
        for what, needs in _needs(target, torch, machine.facts.machine)
        if any(_runs(gpu, needs) for gpu in machine.nvidia.gpus)
        for gpu in machine.nvidia.gpus
        if gpu.capability and not _runs(gpu, needs)
    ]


def _versions(packages: c.Iterable[Package]) -> dict[str, str]:
    return {package.name: package.version for package in packages}


def _cuda_torch(target: Target, machine: Machine) -> Torch | None:
    """The torch that is to use an NVIDIA GPU."""
    torch = torch_of(_versions(target.packages))
    return torch if torch is not None and torch.built.kind == CUDA and not machine.on_cpu else None


def _libc_faults(target: Target, facts: Facts) -> c.Iterator[FleetError]:
    """Files for another machine, or for a newer glibc: a host whose target is named is not held to its platform."""
    wrong: dict[str, list[str]] = {}
    for package in target.packages:
        reason = _misfit(package.file, facts) if package.file else None
        if reason:
            wrong.setdefault(reason, []).append(package.name)
    for reason, names in wrong.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004
        yield FleetError(
            f"{', '.join(names[:3])}{more}: {reason}",
            where=f"target {target.name}",
            remedy="Take another target for this host (comfy_target), or lock one with its platform",
        )


def _misfit(file: str, facts: Facts) -> str | None:
    """What the host lacks of what a wheel's platform tags promise; None where one of them fits."""
    tags = file.removesuffix(".whl").rpartition("-")[2].split(".")
    found = [match for match in map(_LINUX.fullmatch, tags) if match]
    if not found:
        return None
    if not any(match["machine"] == facts.machine for match in found):
        return f"is for {found[0]['machine']}, and this host is {facts.machine}"
    needed = [_glibc(tag) for tag in tags if tag.endswith(facts.machine)]
    oldest = min((each for each in needed if each is not None), default=None)
    if None in needed or oldest is None or (facts.glibc is not None and facts.glibc >= oldest):
        return None
    has = f"glibc {dotted(facts.glibc)}" if facts.glibc else "another C library"
    return f"needs glibc {dotted(oldest)}, and this host has {has}"


def _glibc(tag: str) -> tuple[int, int] | None:
    """The glibc that a platform tag needs; None for one that does not say."""
    match = _MANYLINUX.fullmatch(tag)
    if match is None:
        return None
    return _LEGACY.get(match["legacy"], (2, 17)) if match["legacy"] else (int(match["major"]), int(match["minor"]))


def _driver_faults(target: Target, torch: Torch, nvidia: Nvidia) -> c.Iterator[FleetError]:
    needed = driver_for(torch.built.cuda) if torch.built.cuda else None
    has = [version for version in (nvidia.driver, nvidia.compatibility) if version]
    if needed is None or nvidia.driver is None or not all(is_older(version, needed) for version in has):
        return
    older = _older_cuda(nvidia.driver)
    yield FleetError(
        f"{torch} needs NVIDIA driver {needed} or newer, and this host has {nvidia.driver}",
        where=f"target {target.name}",
        remedy=f"Install a newer driver on it, or lock a torch for {older} for it (python.indexes)",
    )


def _older_cuda(driver: str) -> str:
    """The CUDA that runs on a driver."""
    major = next((each for each in (13, 12, 11) if not is_older(driver, str(driver_for((each,))))), None)
    return f"CUDA {major}" if major else "an older CUDA"


def _gpu_faults(target: Target, torch: Torch, machine: Machine) -> c.Iterator[FleetError]:
    """What none of the GPUs runs; where one of several does, that is a note."""
    gpus = machine.nvidia.gpus if machine.nvidia else ()
    if not gpus:
        return
    for what, needs in _needs(target, torch, machine.facts.machine):
        if any(_runs(gpu, needs) for gpu in gpus):
            continue
        there = ", ".join(dict.fromkeys(f"{gpu.name} with {dotted(gpu.capability)}" for gpu in gpus if gpu.capability))
        yield FleetError(
            f"{what} has kernels for GPUs of compute capability {needs}, and this host has {there}",
            where=f"target {target.name}",
            remedy=_remedy(what, torch),
        )


def _runs(gpu: Gpu, needs: Capabilities) -> bool:
    """Whether a GPU runs kernels; one of which nothing is known is believed to."""
    return gpu.capability is None or needs.has(gpu.capability)


def _remedy(what: str, torch: Torch) -> str:
    if what == str(torch):
        return "Lock a torch for these hosts that supports their GPUs (python.indexes)"
    return "Give these hosts a version without it, or take it out of python_packages"


def _needs(target: Target, torch: Torch, machine: str) -> c.Iterator[tuple[str, Capabilities]]:
    """What has kernels of its own, and the GPUs that run them."""
    own = torch_capabilities(torch, machine)
    if own is not None:
        yield str(torch), own
    for package in target.packages:
        kernels = kernels_of(package.name, package.version)
        if kernels is not None:
            yield f"{package.name} {package.version}", kernels
