# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is: machine, C library, accelerator, Pythons."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import platform
import re
import shutil
import sys

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run

_NVIDIA = pathlib.Path("/proc/driver/nvidia")
_ROCM = pathlib.Path("/dev/kfd")
# Where Windows puts its driver's libraries for Linux machines of its own (WSL 2), which have no driver.
_WSL = pathlib.Path("/usr/lib/wsl/lib")
_ANSWER_SECONDS = 20.0
# The flag of a build without the global interpreter lock: wheels of the usual one do not fit it (PEP 703).
_FREE_THREADED = "t"
# Where interpreters are that are not on PATH; uv's own are below its data directory.
_PYTHON_DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/opt/python/bin", "~/.local/bin")
_PYTHON_GLOBS = ("~/.pyenv/versions/{version}*/bin", "~/.local/share/uv/python/cpython-{version}*/bin")


@dataclasses.dataclass(frozen=True)
class Facts:
    """A host as targets are matched by it. glibc: ``(2, 36)``, or None where the C library is another."""

    machine: str
    glibc: tuple[int, int] | None
    accelerator: str
    gpus: tuple[str, ...]
    hostname: str


def gather() -> Facts:
    """Look at this host; reads a few files, runs nothing."""
    name, version = platform.libc_ver()
    numbers = re.match(r"(\d+)\.(\d+)", version) if name == "glibc" else None
    return Facts(
        machine=platform.machine(),
        glibc=(int(numbers[1]), int(numbers[2])) if numbers else None,
        accelerator=_accelerator(),
        gpus=_gpus(),
        hostname=platform.node(),
    )


def _accelerator() -> str:
    if (_NVIDIA / "version").exists() or (_WSL / "libcuda.so.1").exists():
        return "cuda"
    return "rocm" if _ROCM.exists() else "cpu"


def _gpus() -> tuple[str, ...]:
    names = []
    for information in sorted(_NVIDIA.glob("gpus/*/information")):
        model = re.search(r"^Model:\s*(.+?)\s*$", information.read_text("utf-8", "replace"), re.MULTILINE)
        names.append(model[1] if model else "NVIDIA GPU")
    return tuple(names)


def find_python(version: str, preferred: str | None = None) -> pathlib.Path | None:
    """An interpreter of ``version`` (``3.11`` or ``3.11.9``) on this host, or None.

    preferred: a path or name that is tried first. Each candidate is run, because shims of version managers can be
    there and not work.
    """
    minor = ".".join(version.split(".")[:2])
    names = [preferred] if preferred else []
    names += [f"{directory}/python{minor}" for directory in _PYTHON_DIRECTORIES]
    names += [f"python{minor}", "python3", os.path.realpath(sys.executable)]
    for pattern in _PYTHON_GLOBS:
        expanded = os.path.expanduser(pattern.format(version=minor))
        # A user of a container may have no home.
        places = sorted(pathlib.Path("/").glob(expanded[1:])) if os.path.isabs(expanded) else []
        names += [str(path / f"python{minor}") for path in places]
    for name in dict.fromkeys(names):
        found = shutil.which(os.path.expanduser(name))
        if found and _version_fits(_python_version(found), version):
            return pathlib.Path(found)
    return None


def _python_version(path: str) -> str | None:
    """The version of an interpreter; None for what is none, and for a free-threaded build."""
    command = (path, "-I", "-c", "import platform, sys; print(platform.python_version(), sys.abiflags)")
    try:
        version, _space, flags = run(command, timeout=_ANSWER_SECONDS).text.strip().partition(" ")
    except (FleetError, OSError):
        return None
    return None if _FREE_THREADED in flags else version


def _version_fits(found: str | None, wanted: str) -> bool:
    return found is not None and (found == wanted or found.startswith(f"{wanted}."))
