# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into many wheels at once, of which no more is read than their metadata and the names of their files.

What was seen is kept by the wheel's server and sha256, so that it is looked at once.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import contextlib
import hashlib
import io
import json
import os
import pathlib
import tempfile
import threading
import typing as t
import urllib.parse
import urllib.request
import zipfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, Session, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import ListedFile
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_archive import (
    MOST_METADATA,
    NoRanges,
    broken_is_no_wheel,
    open_archive,
    read_metadata_file,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_contents import check_names, read_content
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import path_of

_AT_ONCE: t.Final = 16
# Beside a wheel, in an index of PEP 658.
_METADATA: t.Final = ".metadata"


class Member(t.NamedTuple):
    """A file of a wheel: its path in there, CRC-32 and size in bytes."""

    path: str
    crc: int
    size: int


class Look(t.NamedTuple):
    """What was seen of a wheel: its core metadata, its files and its size in bytes.

    The two are None where a server gives whole files alone.
    """

    metadata: bytes
    members: tuple[Member, ...] | None
    size: int | None


def look_into(files: c.Sequence[ListedFile], access: Access, cache: pathlib.Path) -> list[Look | FleetError]:
    """What there is to see of each of ``files``, or why it cannot be seen.

    sha256 and size of the files are taken for true where they are given. cache: of the control node.
    """
    connections = threading.local()
    with contextlib.ExitStack() as stack:

        def look(file: ListedFile) -> Look | FleetError:
            if not hasattr(connections, "session"):
                connections.session = stack.enter_context(Session())
            try:
                return _kept_or_seen(file, access, cache, connections.session)
            except FleetError as fault:
                return fault

        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(look, files))


def read_member(file: ListedFile, path: str, access: Access) -> bytes | None:
    """The content of one file of a wheel that was looked into; None where it cannot be had any more."""
    try:
        with broken_is_no_wheel(), _opened(file, access, None) as archive:
            return read_metadata_file(archive, path)
    except (FleetError, OSError, KeyError):
        return None


def _kept_or_seen(file: ListedFile, access: Access, cache: pathlib.Path, session: Session) -> Look:
    # A hash is what an index says: a wrong one must not become another server's word. Of a file without one it is the
    # URL, under which indexes have one file for ever.
    said = f"{urllib.parse.urlsplit(file.url).netloc} {file.sha256}" if file.sha256 else file.url
    key = hashlib.sha256(said.encode()).hexdigest()
    record = cache / "wheel-looks" / f"{key}.json"
    known = _recorded(record)
    if known is None:
        known = _seen(file, access, cache, session)
        # What cannot be kept is looked at again.
        with contextlib.suppress(OSError):
            _write(record, known)
    return known


def _seen(file: ListedFile, access: Access, cache: pathlib.Path, session: Session) -> Look:
    try:
        with broken_is_no_wheel(), _opened(file, access, session) as archive:
            return _look(file, archive)
    except NoRanges:
        beside = _beside(file, access, session)
        return Look(beside or read_content(file, access, cache).metadata, None, None)
    except OSError as error:
        raise FleetError(f"cannot be read: {error.strerror or error}", where=shown(file.url)) from error
    except HttpFault:
        raise
    except FleetError as error:
        raise FleetError(error.what, where=shown(file.url)) from error


@contextlib.contextmanager
def _opened(file: ListedFile, access: Access, session: Session | None) -> c.Iterator[zipfile.ZipFile]:
    if urllib.parse.urlsplit(file.url).scheme == "file":
        with zipfile.ZipFile(path_of(file.url)) as archive:
            yield archive
    else:
        with open_archive(file.url, access, session, file.size) as archive:
            yield archive


def _look(file: ListedFile, archive: zipfile.ZipFile) -> Look:
    members = tuple(Member(each.filename, each.CRC, each.file_size) for each in archive.infolist() if not each.is_dir())
    size = t.cast("t.IO[bytes]", archive.fp).seek(0, io.SEEK_END)
    # Indexes have wheels that were renamed for more Pythons than they say they are for (decord), and they work.
    return Look(check_names(file.name, archive, with_tags=False), members, size)


def _beside(file: ListedFile, access: Access, session: Session) -> bytes | None:
    """The metadata beside the file, None where there is none."""

    def ask() -> bytes:
        with request(f"{file.url}{_METADATA}", access, session=session) as answer:
            return answer.read_all(MOST_METADATA)

    try:
        return patiently(ask)
    except HttpFault as fault:
        if fault.status is None:
            raise
        return None


def _recorded(record: pathlib.Path) -> Look | None:
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        members = known["members"]
        listed = None if members is None else tuple(Member(*each) for each in members)
        return Look(known["metadata"].encode(), listed, known["size"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(record: pathlib.Path, look: Look) -> None:
    content = {**look._asdict(), "metadata": look.metadata.decode(errors="replace")}
    record.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=record.parent, encoding="utf-8", delete=False) as stream:
        json.dump(content, stream, separators=(",", ":"))
    os.replace(stream.name, record)
