# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a file of which nobody says the sha256, once, to know it: on the control node, or on a host that keeps it.

There is nothing yet that the bytes could be checked by. So a connection that breaks is only continued where the server
can say that the file is still the one that was begun (If-Range, RFC 9110 section 13.1.5), and begun anew elsewhere.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import threading
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, Answer, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.models.content import HEAD, impostor

BLOCK = 1 << 20
ATTEMPTS = 5
_PROGRESS = 1 << 20
_LONGEST_PAUSE_SECONDS = 30.0
_LONGEST_WISH_SECONDS = 300.0
FIRST_PAUSE_SECONDS = 0.5
_PARTIAL = 206
_NOT_SATISFIABLE = 416
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

Report = c.Callable[[int, "int | None"], None]


@dataclasses.dataclass(frozen=True)
class Content:
    """What was read: sha256 in hex, size in bytes."""

    sha256: str
    size: int


def first_read(
    url: str,
    file_name: str,
    access: Access,
    *,
    keep: pathlib.Path | None = None,
    report: Report = lambda _size, _whole: None,
    cancelled: threading.Event | None = None,
) -> Content:
    """The content that a URL gives. file_name: says what may be in it.

    keep: the file that gets the bytes; what is in it from before, with its note beside it, is continued. report: is
    told the bytes so far and the whole size (None: unknown). Raises HttpFault, FleetError for what is no model, OSError
    for the disk.
    """
    stop = cancelled or threading.Event()
    with _Received(url, keep) as received:
        failures = 0
        while True:
            before = received.size
            try:
                return _attempt(url, file_name, access, received, report, stop)
            except HttpFault as fault:
                failures = 1 if received.size >= before + _PROGRESS else failures + 1
                if not fault.transient or failures >= ATTEMPTS:
                    raise
                _pause(fault, failures, stop)


def note_beside(keep: pathlib.Path) -> pathlib.Path:
    """The file beside a kept one that says what it may be continued by."""
    return keep.with_name(f"{keep.name}.json")


class _Received:
    """The bytes so far: their digest, and in a file where they are kept. Use it in ``with``."""

    def __init__(self, url: str, keep: pathlib.Path | None) -> None:
        self._url = shown(url)
        self._keep = keep
        self._stream: t.BinaryIO | None = None
        self._digest = hashlib.sha256()
        self.size = 0
        self.validator: str | None = None

    def __enter__(self) -> _Received:
        if self._keep is not None:
            self._keep.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._keep.open("a+b")
            self.validator = self._noted()
            self._stream.seek(0)
            while self.validator is not None and (block := self._stream.read(BLOCK)):
                self._count(block)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def begin(self, validator: str | None) -> None:
        """Throw away what is there: what follows is the file from its first byte."""
        self._digest, self.size, self.validator = hashlib.sha256(), 0, validator
        if self._stream is not None and self._keep is not None:
            self._stream.seek(0)
            self._stream.truncate()
            note_beside(self._keep).unlink(missing_ok=True)
            if validator is not None:
                write_text(
                    note_beside(self._keep), json.dumps({"url": self._url, "validator": validator}) + "\n", 0o600
                )

    def write(self, block: bytes) -> None:
        """Append."""
        if self._stream is not None:
            self._stream.write(block)
        self._count(block)

    def content(self) -> Content:
        """What was received, safe on the disk."""
        if self._stream is not None:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        return Content(self._digest.hexdigest(), self.size)

    def _count(self, block: bytes) -> None:
        self._digest.update(block)
        self.size += len(block)

    def _noted(self) -> str | None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            document = json.loads(note_beside(self._keep or pathlib.Path()).read_text("utf-8"))
            return str(document["validator"]) if document["url"] == self._url else None
        return None


def _attempt(
    url: str, file_name: str, access: Access, received: _Received, report: Report, stop: threading.Event
) -> Content:
    headers = {}
    if received.size and received.validator is not None:
        headers = {"Range": f"bytes={received.size}-", "If-Range": received.validator}
    try:
        with request(url, access, headers=headers) as answer:
            whole = _whole_size(answer, received)
            first = b"" if received.size else _head(answer, file_name, url)
            for block in _blocks(first, answer):
                received.write(block)
                report(received.size, whole)
                if stop.is_set():
                    raise HttpFault("given up")
    except HttpFault as fault:
        if fault.status != _NOT_SATISFIABLE or not received.size:
            raise
        received.begin(None)
        raise HttpFault(fault.what, transient=True, retry_after=0.0) from fault
    if whole is not None and received.size != whole:
        raise HttpFault(f"{shown(url)} broke off after {received.size} of {whole} bytes", transient=True)
    return received.content()


def _whole_size(answer: Answer, received: _Received) -> int | None:
    """How large the file is; what was received is thrown away where the answer does not continue it."""
    if answer.status == _PARTIAL:
        span = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if span is not None and int(span[1]) == received.size:
            return int(span[2])
        received.begin(None)
        raise HttpFault(f"{shown(answer.url)} gives another range than was asked for", transient=True, retry_after=0.0)
    etag = answer.headers.get("ETag", "").strip()
    received.begin(etag if etag.startswith('"') else answer.headers.get("Last-Modified"))
    return answer.length


def _head(answer: Answer, file_name: str, url: str) -> bytes:
    head = b""
    while len(head) < HEAD and (block := answer.read(HEAD - len(head))):
        head += block
    found = impostor(head, answer.headers.get("Content-Type", "").lower(), file_name)
    if found:
        raise FleetError(f"{shown(url)} gave {found} in place of the model", remedy="Correct the source")
    return head


def _blocks(first: bytes, answer: Answer) -> c.Iterator[bytes]:
    if first:
        yield first
    while block := answer.read(BLOCK):
        yield block


def _pause(fault: HttpFault, failures: int, stop: threading.Event) -> None:
    """As long as the server wishes, or a random time that grows."""
    ceiling = min(_LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**failures)
    seconds = random.uniform(ceiling / 2, ceiling) if fault.retry_after is None else fault.retry_after
    if seconds > _LONGEST_WISH_SECONDS:
        raise HttpFault(f"{fault.what}, and asks to come back in {seconds:.0f} s", status=fault.status)
    if stop.wait(seconds):
        raise HttpFault("given up")
