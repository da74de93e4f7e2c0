# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels of what is installed where the tests run: real build backends for the forge's indexes, from no network."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.metadata
import re
import typing as t
from pathlib import PurePosixPath

from packaging.requirements import Requirement

from tests.support.forge.distributions import _zip, normalize

if t.TYPE_CHECKING:
    from tests.support.forge import Index, Release

# What an installer adds to a wheel's own files.
_INSTALLERS = frozenset({"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_build.json", "uv_cache.json"})


def publish_installed(index: Index, *names: str) -> dict[str, Release]:
    """Publishes wheels of installed distributions and of all that they require, by normalized name."""
    found: dict[str, Release] = {}
    waiting = [normalize(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        file, body, metadata = _installed_wheel(name)
        found[name] = index.publish(file, body, metadata)
        for line in importlib.metadata.distribution(name).requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(normalize(requirement.name))
    return found


@functools.cache
def _installed_wheel(name: str) -> tuple[str, bytes, bytes]:
    """File name, content and metadata of a wheel that installs what is installed here.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    distribution = importlib.metadata.distribution(name)
    files: dict[str, bytes] = {}
    for path in distribution.files or ():
        if path.parts[0] != ".." and path.suffix != ".pyc" and not _is_of_an_installer(path):
            files[str(path)] = path.locate().read_bytes()  # type: ignore[attr-defined]
    # setuptools has others inside, of what it brings along.
    (information,) = {path.split("/")[0] for path in files if re.fullmatch(r"[^/]+\.dist-info/METADATA", path)}
    record = "".join(f"{path},sha256={_digest(body)},{len(body)}\n" for path, body in files.items())
    files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n".encode()
    tag = next(
        line.split()[1] for line in (distribution.read_text("WHEEL") or "").splitlines() if line.startswith("Tag")
    )
    file = f"{information.removesuffix('.dist-info')}-{tag}.whl"
    return file, _zip(files), files[f"{information}/METADATA"]


def _is_of_an_installer(path: PurePosixPath) -> bool:
    return path.parent.suffix == ".dist-info" and path.name in _INSTALLERS


def _digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
