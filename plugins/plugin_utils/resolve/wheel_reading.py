# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many wheels asked for at once: read, with word of how far it is, as they have some GB; or for their sizes alone."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import contextlib
import pathlib
import threading
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import (
    Access,
    HttpFault,
    Session,
    request,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import ListedFile
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_contents import Content, read_content

_READ_AT_ONCE: t.Final = 6
# Nothing but waiting for answers.
_ASKED_AT_ONCE: t.Final = 20
_GONE: t.Final = frozenset({404, 410})
# Seconds between two words.
_INTERVAL: t.Final = 10.0
_MB: t.Final = 1_000_000


def read_all(
    files: c.Sequence[ListedFile],
    access: Access,
    cache: pathlib.Path,
    report: c.Callable[[str], None],
    interval: float = _INTERVAL,
) -> list[Content | FleetError]:
    """What each of ``files`` holds, or why it cannot be had. report: told of progress every ``interval`` seconds."""
    word = _Word(files, report, interval)

    def read(number: int) -> Content | FleetError:
        try:
            return read_content(files[number], access, cache, lambda done, whole: word.came(number, done, whole))
        except FleetError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        return list(pool.map(read, range(len(files))))


def sizes_of(files: c.Sequence[ListedFile], access: Access) -> list[int | FleetError | None]:
    """The sizes of files in bytes, None where a server does not say; or why there is no such file."""
    connections = threading.local()
    with contextlib.ExitStack() as stack:

        def ask(file: ListedFile) -> int | FleetError | None:
            if not hasattr(connections, "session"):
                connections.session = stack.enter_context(Session())
            try:
                with patiently(lambda: request(file.url, access, method="HEAD", session=connections.session)) as answer:
                    return answer.length
            except HttpFault as fault:
                return fault if fault.status in _GONE else None

        with concurrent.futures.ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            return list(pool.map(ask, files))


class _Word:
    """Bytes that have come of all files."""

    def __init__(self, files: c.Sequence[ListedFile], report: c.Callable[[str], None], interval: float) -> None:
        self._done = [0] * len(files)
        self._sizes = [file.size for file in files]
        self._report = report
        self._interval = interval
        self._next = time.monotonic() + interval
        self._lock = threading.Lock()

    def came(self, number: int, done: int, whole: int | None) -> None:
        with self._lock:
            self._done[number] = done
            self._sizes[number] = self._sizes[number] or whole
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + self._interval
            known = [size for size in self._sizes if size is not None]
            more = " or more" if len(known) < len(self._sizes) else ""
            self._report(
                f"reading {len(self._done)} wheels for their sha256:"
                f" {sum(self._done) / _MB:,.0f} of {sum(known) / _MB:,.0f} MB{more}"
            )
