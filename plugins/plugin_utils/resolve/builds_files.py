# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that builds read, by their sha256: source archives, and the wheels of build environments."""

from __future__ import annotations

import hashlib
import http.client
import os
import pathlib
import tempfile
import typing as t
import urllib.parse
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import named_by_content
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import without_credentials

_TIMEOUT: t.Final = 60.0
_BLOCK: t.Final = 1 << 20


class Content(t.NamedTuple):
    """A file here, with its sha256 in lower-case hex."""

    path: pathlib.Path
    sha256: str


def download(url: str, sha256: str | None, authorization: str | None, directory: pathlib.Path) -> Content:
    """The file at ``url`` (https, http or file), kept in ``directory`` by its content, and read once only.

    sha256: what it has to have, where that is known. authorization: the header of that name, for the URL's own host
    alone. Raises FleetError.
    """
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    if sha256 is not None and (place := named_by_content(directory, sha256, name)).is_file():
        return Content(place, sha256)
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            found = _read(url, authorization, stream)
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


def _read(url: str, authorization: str | None, stream: t.BinaryIO) -> str:
    request = urllib.request.Request(url)
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.build_opener().open(request, timeout=_TIMEOUT) as answer:
            expected = answer.headers["Content-Length"]
            while block := answer.read(_BLOCK):
                digest.update(block)
                stream.write(block)
                size += len(block)
    except (OSError, http.client.HTTPException) as error:
        raise _fault(url, f"cannot be read: {error}") from error
    if expected is not None and int(expected) != size:
        raise _fault(url, f"came short: {size} of {expected} bytes")
    return digest.hexdigest()


def _fault(url: str, what: str) -> FleetError:
    return FleetError(what, where=without_credentials(url), remedy="Lock again, or take the package from elsewhere")
