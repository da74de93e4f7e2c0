# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels read where they are: of a server that gives ranges the blocks that are looked at, and not the whole file."""

from __future__ import annotations

import collections.abc as c
import contextlib
import io
import lzma
import re
import struct
import typing as t
import zipfile
import zlib

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, Session, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently

# What is fetched before the end, in the same units.
_BLOCK: t.Final = 1 << 18
# Names and places of members are at the end of an archive, and in wheels .dist-info is mostly the last that is there.
_END: t.Final = 1 << 17
_PARTIAL: t.Final = 206
_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<size>\d+)")


# What zipfile raises for an archive that is broken, or was made to break its readers.
_BROKEN: t.Final = (
    zipfile.BadZipFile,
    EOFError,
    RuntimeError,
    UnicodeDecodeError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
# Metadata that is larger is none: a few hundred KB of an archive may unpack to many GB.
MOST_METADATA: t.Final = 16 << 20


@contextlib.contextmanager
def broken_is_no_wheel() -> c.Iterator[None]:
    """Faults of an archive's form as FleetError."""
    try:
        yield
    except _BROKEN as error:
        raise FleetError(f"is no wheel: {error}") from error


def read_metadata_file(archive: zipfile.ZipFile, path: str) -> bytes:
    """A small file of an archive. Raises FleetError for one that is larger than metadata is."""
    size = archive.getinfo(path).file_size
    if size > MOST_METADATA:
        raise FleetError(f"is no wheel: its {path} has {size} bytes")
    return archive.read(path)


class NoRanges(HttpFault):
    """The server gives whole files alone."""


@contextlib.contextmanager
def open_archive(
    url: str, access: Access, session: Session | None = None, size: int | None = None
) -> c.Iterator[zipfile.ZipFile]:
    """The archive at ``url`` (RFC 9110 section 14), whose members are fetched as they are read.

    session: whose connections are used. size: of the archive in bytes, where that is known.

    Raises NoRanges, HttpFault when it cannot be read, and zipfile.BadZipFile.
    """
    with contextlib.ExitStack() as stack:
        remote = _Remote(url, access, session or stack.enter_context(Session()), size)
        yield stack.enter_context(zipfile.ZipFile(io.BufferedReader(remote, _BLOCK)))


class _Remote(io.RawIOBase):
    """A file on a server: its end, and of the rest the blocks that are looked at, each fetched once."""

    def __init__(self, url: str, access: Access, session: Session, size: int | None) -> None:
        super().__init__()
        self._url, self._access, self._session = url, access, session
        self._blocks: dict[int, bytes] = {}
        self._position = 0
        # Some servers (PyPI's) give no ranges from the end: where that is has to be known.
        self._size = self._range(0, 1)[0] if size is None else size
        self._end_at = max(0, self._size - _END)
        self._end = self._fetched(self._end_at, self._size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def readinto(self, buffer: t.Any) -> int:
        if self._position >= self._size:
            return 0
        start, content = self._piece()
        offset = self._position - start
        found = content[offset : offset + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _piece(self) -> tuple[int, bytes]:
        """Where a fetched piece with the position begins, and the piece."""
        if self._position >= self._end_at:
            return self._end_at, self._end
        start = self._position // _BLOCK * _BLOCK
        if start not in self._blocks:
            self._blocks[start] = self._fetched(start, min(start + _BLOCK, self._end_at))
        return start, self._blocks[start]

    def _fetched(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` up to ``end``."""
        size, content = self._range(start, end)
        if size != self._size:
            raise HttpFault(f"{shown(self._url)} has {size} bytes and not {self._size}")
        return content

    def _range(self, start: int, end: int) -> tuple[int, bytes]:
        """The size of the whole file, and the bytes from ``start`` up to ``end``."""

        def ask() -> tuple[int, bytes]:
            wanted = f"bytes={start}-{end - 1}"
            with request(self._url, self._access, headers={"Range": wanted}, session=self._session) as answer:
                given = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if answer.status != _PARTIAL or given is None:
                    raise NoRanges(f"{shown(self._url)} gives no ranges")
                content = answer.read_all(_BLOCK)
                if int(given["first"]) != start or len(content) != end - start:
                    raise HttpFault(f"{shown(self._url)} gives another range than was asked for", transient=True)
                return int(given["size"]), content

        return patiently(ask)
