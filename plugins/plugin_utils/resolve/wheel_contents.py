# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What wheels hold: read whole where nobody is to be believed, once, and checked against what their names say.

A wheel is a ZIP archive with a directory ``<name>-<version>.dist-info`` (the binary distribution format of PEP 427).
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import email.parser
import hashlib
import json
import os
import pathlib
import re
import tempfile
import typing as t
import urllib.parse
import urllib.request
import zipfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import ListedFile
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_archive import (
    NoRanges,
    broken_is_no_wheel,
    open_archive,
    read_metadata_file,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import path_of

if t.TYPE_CHECKING:
    from packaging.tags import Tag

_BLOCK: t.Final = 1 << 20
_ZIP_MAGIC: t.Final = b"PK\x03\x04"
_METADATA = re.compile(r"[^/]+\.dist-info/")
_MEMBER = re.compile(r"(?P<directory>[^/]+)\.dist-info/(?P<file>METADATA|WHEEL)")
_REMEDY: t.Final = "Lock again, or take the package from elsewhere"

# Told the bytes that have come, and the whole size where that is known.
Progress = c.Callable[[int, int | None], None]


@dataclasses.dataclass(frozen=True)
class Content:
    """What a wheel holds: sha256 in lower-case hex, size in bytes, its core metadata."""

    sha256: str
    size: int
    metadata: bytes


def read_content(file: ListedFile, access: Access, cache: pathlib.Path, progress: Progress | None = None) -> Content:
    """The wheel at ``file.url`` (https, http or file), read once while it stays as it is; ``cache`` has what was found.

    Its sha256 is not compared. Raises FleetError when it cannot be read, is no wheel, or another than its name says.
    """
    if urllib.parse.urlsplit(file.url).scheme == "file":
        return _read_here(file)
    record = cache / "wheel-contents" / f"{hashlib.sha256(file.url.encode()).hexdigest()}.json"
    known = _recorded(record)
    if known and known["state"] == _state(file, access):
        return Content(known["sha256"], known["size"], known["metadata"].encode())
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=record.parent, suffix=".whl") as spool:
            content, state = patiently(lambda: _fetched(file, access, spool, progress or (lambda _done, _all: None)))
        if state["etag"] or state["modified"]:
            said = content.metadata.decode(errors="replace")
            _write(record, json.dumps({**dataclasses.asdict(content), "metadata": said, "state": state}))
    except OSError as error:
        raise FleetError(
            f"{file.name} cannot be kept there while it is read: {error.strerror}",
            where=str(record.parent),
            remedy="Make room, or set XDG_CACHE_HOME to a directory elsewhere",
        ) from error
    return content


def read_metadata(file: ListedFile, access: Access, cache: pathlib.Path) -> bytes:
    """The core metadata of the wheel at ``file.url``, of which no more is read than that where its server can do so.

    Raises FleetError as read_content does.
    """
    try:
        with broken_is_no_wheel(), open_archive(file.url, access) as archive:
            return check_names(file.name, archive)
    except NoRanges:
        return read_content(file, access, cache).metadata
    except HttpFault:
        raise
    except FleetError as error:
        raise _fault(file, error.what) from error


def check_names(file: str, archive: zipfile.ZipFile, *, with_tags: bool = True) -> bytes:
    """The core metadata of a wheel that is what its name says. Raises FleetError for one that is not.

    with_tags: it also has to say itself for which Pythons and platforms it was built.
    """
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
    from packaging.version import InvalidVersion, Version

    try:
        name, version, _build, tags = parse_wheel_filename(file)
    except InvalidWheelFilename as error:
        raise FleetError(f"{file} is no name of a wheel: {error}") from error
    found = filter(None, map(_MEMBER.fullmatch, archive.namelist()))
    members = {match["file"]: read_metadata_file(archive, match[0]) for match in found}
    # Packages ship others' metadata deeper down: setuptools/_vendor/packaging-24.2.dist-info.
    directories = {match[0] for match in map(_METADATA.match, archive.namelist()) if match}
    if len(directories) != 1 or members.keys() != {"METADATA", "WHEEL"}:
        raise FleetError(f"{file} is no wheel: it has not one directory .dist-info with METADATA and WHEEL")
    parser = email.parser.BytesHeaderParser()
    said = parser.parsebytes(members["METADATA"])
    with contextlib.suppress(InvalidVersion):
        if canonicalize_name(str(said["Name"])) == name and Version(str(said["Version"])) == version:
            if with_tags:
                _check_tags(file, tags, parser.parsebytes(members["WHEEL"]).get_all("Tag") or [])
            return members["METADATA"]
    raise FleetError(f"{file} holds {said['Name']} {said['Version']}, which is not what its name says")


def _check_tags(file: str, tags: frozenset[Tag], said: c.Sequence[str]) -> None:
    """Wheels get the name of a wider platform after their build (manylinux for linux); the rest has to be the same."""
    from packaging.tags import InvalidTag, parse_tag

    own: set[tuple[str, str, str]] = set()
    for text in said:
        with contextlib.suppress(InvalidTag):
            own.update(_kind(tag) for tag in parse_tag(str(text).strip()))
    if own and not own & {_kind(tag) for tag in tags}:
        raise FleetError(f"{file} was built for {', '.join(sorted(map(str, said)))}, which is not what its name says")


def _kind(tag: Tag) -> tuple[str, str, str]:
    return tag.interpreter, tag.abi, re.sub(r"(many|musl)?linux(\d+|_\d+_\d+)?_|macosx_\d+_\d+_", "_", tag.platform)


def _read_here(file: ListedFile) -> Content:
    path = path_of(file.url)
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            return Content(sha256, stream.tell(), _metadata(file, stream))
    except OSError as error:
        raise FleetError(f"cannot be read: {error.strerror}", where=str(path), remedy="Put the wheel there") from error


def _fetched(
    file: ListedFile, access: Access, spool: t.IO[bytes], progress: Progress
) -> tuple[Content, dict[str, str | None]]:
    digest, size = hashlib.sha256(), 0
    spool.seek(0)
    spool.truncate()
    with request(file.url, access) as answer:
        state, length = _state_of(answer.headers), answer.length
        while block := answer.read(_BLOCK):
            if not size and not block.startswith(_ZIP_MAGIC[: len(block)]):
                raise _fault(file, f"is no wheel: it begins with {block[:16]!r}")
            digest.update(block)
            spool.write(block)
            size += len(block)
            progress(size, length)
    if length not in (None, size):
        raise HttpFault(f"{shown(file.url)} came short: {size} of {length} bytes", transient=True, remedy=_REMEDY)
    if file.size not in (None, size):
        raise _fault(file, f"has {size} bytes, and its index says {file.size}")
    return Content(digest.hexdigest(), size, _metadata(file, spool)), state


def _metadata(file: ListedFile, stream: t.IO[bytes]) -> bytes:
    try:
        with broken_is_no_wheel(), zipfile.ZipFile(stream) as archive:
            return check_names(file.name, archive)
    except FleetError as error:
        raise _fault(file, error.what) from error


def _state(file: ListedFile, access: Access) -> dict[str, str | None] | None:
    """None where it cannot be had: then the file is read, and its fault is told."""
    with contextlib.suppress(HttpFault), request(file.url, access, method="HEAD") as answer:
        return _state_of(answer.headers)
    return None


def _state_of(headers: c.Mapping[str, str] | t.Any) -> dict[str, str | None]:
    """What changes when the file does."""
    return {"etag": headers["ETag"], "modified": headers["Last-Modified"], "length": headers["Content-Length"]}


def _recorded(record: pathlib.Path) -> dict[str, t.Any] | None:
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        return known if {"sha256", "size", "metadata", "state"} <= known.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def _write(record: pathlib.Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=record.parent, encoding="utf-8", delete=False) as stream:
        stream.write(text)
    os.replace(stream.name, record)


def _fault(file: ListedFile, what: str) -> FleetError:
    return FleetError(what, where=shown(file.url), remedy=_REMEDY)
