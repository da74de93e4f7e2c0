# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shims: wheels without content, for packages in whose place another one (the provider) is installed.

Whoever requires the package finds its metadata, and finds its modules in the provider. The lock has a shim's sha256 and
no address: control node and hosts make the same bytes of the same words, with any Python. So what is written here may
never change for shims that a lock has.

Source: the PyPA specifications "Binary distribution format" and "Core metadata".
"""

from __future__ import annotations

import base64
import collections.abc as c
import hashlib
import io
import os
import pathlib
import tempfile
import typing as t
import zipfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package

# The first day that an archive can have.
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3


class Shim(t.NamedTuple):
    """A shim's file: its name and its bytes, its sha256 in lower-case hex, its core metadata."""

    file: str
    content: bytes
    sha256: str
    metadata: bytes


def make_shim(name: str, version: str, provider: str, requires: c.Sequence[str]) -> Shim:
    """The shim of the package ``name`` (canonical), for which ``provider`` is installed.

    version: as PEP 440 normalizes it. requires: requirement lines (PEP 508), as the lock has them.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    information = f"{stem}.dist-info"
    metadata = "".join(
        f"{line}\n"
        for line in (
            "Metadata-Version: 2.1",
            f"Name: {name}",
            f"Version: {version}",
            f"Summary: No content of its own: {provider} is installed in its place",
            *(f"Requires-Dist: {requirement}" for requirement in requires),
        )
    ).encode()
    wheel = b"Wheel-Version: 1.0\nGenerator: comfyops.fleet\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {f"{information}/METADATA": metadata, f"{information}/WHEEL": wheel}
    record = "".join(f"{path},sha256={_encoded(body)},{len(body)}\n" for path, body in files.items())
    files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n".encode()
    content = _archive(files)
    return Shim(f"{stem}-py3-none-any.whl", content, hashlib.sha256(content).hexdigest(), metadata)


def locked_shim(package: Package) -> Shim:
    """The shim that a lock names.

    Raises FleetError when it is not the locked one, as in a lock that another version of the collection made.
    """
    shim = make_shim(package.name, package.version, str(package.provider), package.requires)
    if (shim.file, shim.sha256) != (package.file, package.sha256):
        raise FleetError(
            f"the shim of {package.name} {package.version} has the sha256 {shim.sha256}, the lock says"
            f" {package.sha256}",
            where=str(package.file),
            remedy="Lock again: the lock was edited, or made by another version of the collection",
        )
    return shim


def write_shim(package: Package, place: pathlib.Path) -> None:
    """Make the file of a lock's shim at ``place``. Raises FleetError when it is not the locked one."""
    shim = locked_shim(package)
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=".shim-")
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(shim.content)
    os.replace(name, place)


def _archive(files: c.Mapping[str, bytes]) -> bytes:
    """Not compressed: that is not the same with every zlib."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, body in files.items():
            member = zipfile.ZipInfo(path, _DATE)
            member.create_system = _UNIX
            member.external_attr = _MODE
            archive.writestr(member, body)
    return buffer.getvalue()


def _encoded(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
