# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's NVIDIA driver and GPUs, asked of nvidia-smi, which comes with the driver."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import pathlib
import re
import shutil

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import Completed, run

_KERNEL_MODULE = pathlib.Path("/proc/driver/nvidia/version")
_PLACES = ("/usr/bin", "/usr/local/bin", "/usr/lib/wsl/lib")
# NVIDIA's package for CUDA programs that are newer than a data center's driver; its containers have it, too.
_COMPATIBILITY = "/usr/local/cuda*/compat/libcuda.so.*"
_SECONDS = 30.0
_MODULE = re.compile(r"^NVRM version:.*?\s(?P<version>\d{3,}\.\d+(?:\.\d+)?)\s", re.MULTILINE)
_VERSION = re.compile(r"\d{3,}\.\d+(?:\.\d+)?")
_CAPABILITY = re.compile(r"(\d+)\.(\d+)")
_MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU. capability: ``(8, 9)``, None where an old driver does not say. memory: bytes."""

    name: str
    capability: tuple[int, int] | None
    memory: int | None


@dataclasses.dataclass(frozen=True)
class Nvidia:
    """A host's driver and GPUs. driver: its version, None where that cannot be told. fault: why it does not answer.

    compatibility: the version of the newest user-mode driver that NVIDIA's cuda-compat brought beside it.
    """

    driver: str | None
    gpus: tuple[Gpu, ...]
    fault: str | None = None
    compatibility: str | None = None


def look_at_nvidia(module: pathlib.Path = _KERNEL_MODULE) -> Nvidia | None:
    """The driver and the GPUs of this host; None where it has neither. module: what the kernel says of its driver."""
    program = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path=os.pathsep.join(_PLACES))
    loaded = _loaded(module)
    if program is None:
        return Nvidia(loaded, (), "nvidia-smi is not there", _compatibility()) if loaded else None
    answer = _asked(program, "name,memory.total,driver_version,compute_cap")
    if "not a valid field" in answer.text + answer.stderr:
        answer = _asked(program, "name,memory.total,driver_version")
    if answer.returncode != 0:
        said = (answer.text.strip() or answer.stderr.strip()).partition("\n")[0]
        return Nvidia(loaded, (), said or f"nvidia-smi ends with {answer.returncode}", _compatibility())
    rows = [[field.strip() for field in row.split(",")] for row in answer.text.splitlines() if row.strip()]
    driver = next((row[2] for row in rows if len(row) > 2 and _VERSION.fullmatch(row[2])), loaded)  # noqa: PLR2004
    return Nvidia(driver, tuple(_gpu(row) for row in rows), None, _compatibility())


def _asked(program: str, fields: str) -> Completed:
    try:
        return run((program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"), timeout=_SECONDS, check=False)
    except (FleetError, OSError) as error:
        return Completed(1, b"", str(error))


def _gpu(row: c.Sequence[str]) -> Gpu:
    name, memory, _driver, capability = (*row, "", "", "", "")[:4]
    numbers = _CAPABILITY.fullmatch(capability)
    return Gpu(
        name,
        (int(numbers[1]), int(numbers[2])) if numbers else None,
        int(memory) * _MIB if memory.isdecimal() else None,
    )


def _loaded(module: pathlib.Path) -> str | None:
    """The version of the driver that the kernel runs."""
    try:
        match = _MODULE.search(module.read_text("utf-8", "replace"))
    except OSError:
        return None
    return match["version"] if match else None


def _compatibility() -> str | None:
    found = [path.name.removeprefix("libcuda.so.") for path in pathlib.Path("/").glob(_COMPATIBILITY[1:])]
    versions = [version for version in found if _VERSION.fullmatch(version)]
    return max(versions, key=lambda version: [int(number) for number in version.split(".")], default=None)
