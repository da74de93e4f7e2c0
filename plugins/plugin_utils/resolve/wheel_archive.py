# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels read where they are: of a server that gives ranges the blocks that are looked at, and not the whole file."""

from __future__ import annotations

import collections.abc as c
import contextlib
import io
import re
import typing as t
import zipfile

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, Session, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently

# Names and places of members are at the end of an archive, and in wheels .dist-info is mostly the last that is there.
_BLOCK: t.Final = 1 << 18
_PARTIAL: t.Final = 206
_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<size>\d+)")


class NoRanges(HttpFault):
    """The server gives whole files alone."""


@contextlib.contextmanager
def open_archive(url: str, access: Access) -> c.Iterator[zipfile.ZipFile]:
    """The archive at ``url`` (RFC 9110 section 14), whose members are fetched as they are read.

    Raises NoRanges, HttpFault when it cannot be read, and zipfile.BadZipFile.
    """
    with Session() as session, zipfile.ZipFile(io.BufferedReader(_Remote(url, access, session), _BLOCK)) as archive:
        yield archive


class _Remote(io.RawIOBase):
    """A file on a server, in blocks that are fetched once."""

    def __init__(self, url: str, access: Access, session: Session) -> None:
        super().__init__()
        self._url, self._access, self._session = url, access, session
        self._blocks: dict[int, bytes] = {}
        self._position = 0
        self._size, end = self._fetched("bytes=-1")
        if len(end) != 1:
            raise NoRanges(f"{shown(url)} is empty")

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
        number, offset = divmod(self._position, _BLOCK)
        if self._position >= self._size:
            return 0
        if number not in self._blocks:
            last = min((number + 1) * _BLOCK, self._size) - 1
            size, self._blocks[number] = self._fetched(f"bytes={number * _BLOCK}-{last}")
            if size != self._size:
                raise HttpFault(f"{shown(self._url)} has changed meanwhile", transient=True)
        found = self._blocks[number][offset : offset + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _fetched(self, wanted: str) -> tuple[int, bytes]:
        """The size of the whole file, and a range of it."""

        def ask() -> tuple[int, bytes]:
            with request(self._url, self._access, headers={"Range": wanted}, session=self._session) as answer:
                given = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if answer.status != _PARTIAL or given is None:
                    raise NoRanges(f"{shown(self._url)} gives no ranges")
                length = int(given["last"]) - int(given["first"]) + 1
                content = answer.read_all(_BLOCK)
                if len(content) != length:
                    raise HttpFault(f"{shown(self._url)} gives another range than was asked for", transient=True)
                return int(given["size"]), content

        return patiently(ask)
