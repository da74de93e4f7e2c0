# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that builds read, by their sha256: source archives, and the wheels of build environments."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import tempfile
import typing as t
import urllib.parse
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import named_by_content
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import path_of

_BLOCK: t.Final = 1 << 20
_NAMELESS: t.Final = "file"
_REMEDY: t.Final = "Lock again, or take the package from elsewhere"


class Content(t.NamedTuple):
    """A file here, with its sha256 in lower-case hex."""

    path: pathlib.Path
    sha256: str


def download(url: str, sha256: str | None, access: Access, directory: pathlib.Path) -> Content:
    """The file at ``url`` (https, http or file), kept in ``directory`` by its content, and read once only.

    sha256: what it has to have, where that is known. Raises FleetError.
    """
    name = _name_of(url)
    if sha256 is not None and (place := named_by_content(directory, sha256, name)).is_file():
        return Content(place, sha256)
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            found = patiently(lambda: _read(url, access, stream))
        if sha256 not in (None, found):
            raise _fault(url, f"has the sha256 {found}, and {sha256} is asked for")
        place = named_by_content(directory, found, name)
        place.parent.mkdir(exist_ok=True)
        os.replace(beside, place)
    finally:
        pathlib.Path(beside).unlink(missing_ok=True)
    return Content(place, found)


def sha256_of(path: pathlib.Path) -> str:
    """The sha256 of a file here, in lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _name_of(url: str) -> str:
    """The file's name alone: a slash that is written as %2F leads nowhere."""
    name = pathlib.PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
    return _NAMELESS if name in ("", "..") else name


def _read(url: str, access: Access, stream: t.BinaryIO) -> str:
    stream.seek(0)
    stream.truncate()
    if urllib.parse.urlsplit(url).scheme == "file":
        return _read_here(url, stream)
    digest, size = hashlib.sha256(), 0
    with request(url, access) as answer:
        expected = answer.length
        while block := answer.read(_BLOCK):
            digest.update(block)
            stream.write(block)
            size += len(block)
    if expected not in (None, size):
        raise HttpFault(f"{shown(url)} came short: {size} of {expected} bytes", transient=True, remedy=_REMEDY)
    return digest.hexdigest()


def _read_here(url: str, stream: t.BinaryIO) -> str:
    try:
        with path_of(url).open("rb") as source:
            shutil.copyfileobj(source, stream)
            source.seek(0)
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise _fault(url, f"cannot be read: {error.strerror}") from error


def _fault(url: str, what: str) -> FleetError:
    return FleetError(what, where=shown(url), remedy=_REMEDY)
