# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which build of torch an environment really has: what torch says of itself, read without importing it.

A package's name and version are what somebody called it; ``torch/version.py`` is written by torch's own build.
"""

from __future__ import annotations

import pathlib
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Target
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.abi import (
    CPU,
    CUDA,
    TORCH,
    Release,
    Torch,
    dotted,
    release_of,
    torch_of,
)

_FILE = "torch/version.py"
# __version__ = '2.9.0+cu130' and cuda: Optional[str] = '13.0'
_VERSION = re.compile(r"^__version__\s*(?::[^=]+)?=\s*['\"]([^'\"]+)", re.MULTILINE)
_CUDA = re.compile(r"^cuda\s*(?::[^=]+)?=\s*(?:None|['\"]([^'\"]*)['\"])", re.MULTILINE)


def other_torch(site: pathlib.Path, target: Target) -> str | None:
    """What the torch in the directory of packages ``site`` is, where that is not what the lock says; else None.

    A torch without the file, and what the file does not say, is taken for what it is called.
    """
    wanted = torch_of({package.name: package.version for package in target.packages})
    try:
        text = (site / _FILE).read_text("utf-8", "replace")
    except OSError:
        return None
    version, cuda = _VERSION.search(text), _CUDA.search(text)
    if wanted is None or version is None or (_same_version(version[1], wanted) and _same_cuda(cuda, wanted)):
        return None
    build = f"CUDA {cuda[1]}" if cuda and cuda[1] else "no CUDA"
    return f"{TORCH} calls itself {version[1]} for {build if cuda else 'what it does not say'}, the lock has {wanted}"


def _same_version(found: str, wanted: Torch) -> bool:
    """The default index has a torch whose name does not have the local version that it gives itself."""
    local, own = wanted.version.partition("+")[2], found.partition("+")[2]
    return (not local or _segments(local) == _segments(own)) and _without_zeros(release_of(found)) == _without_zeros(
        wanted.release
    )


def _segments(local: str) -> list[str]:
    """The parts of a local version as they are compared (PEP 440): numbers without zeros before them."""
    return [part.lstrip("0") or "0" if part.isdecimal() else part for part in re.split(r"[._-]", local.lower())]


def _without_zeros(release: Release) -> Release:
    """``2.9`` and ``2.9.0`` are the same release."""
    return _without_zeros(release[:-1]) if release and release[-1] == 0 else release


def _same_cuda(found: re.Match[str] | None, wanted: Torch) -> bool:
    if found is None or wanted.built.kind not in (CUDA, CPU):
        return True
    if wanted.built.kind == CPU:
        return not found[1]
    return wanted.built.cuda is None or dotted(release_of(found[1] or "")[:2]) == dotted(wanted.built.cuda[:2])
