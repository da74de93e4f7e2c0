# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer to a request for a model or a range of it is: where its bytes belong, and whether they may be it."""

from __future__ import annotations

import dataclasses
import re
import time
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Answer, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.content import HEAD, impostor
from ansible_collections.comfyops.fleet.plugins.module_utils.models.pace import Pace

PARTIAL = 206
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
# Bytes are put into the file after this time at the latest: what was not is fetched again after a kill.
GATHER_SECONDS = 0.02
# A connection that brings less than this over the whole time-out has stalled, though a byte comes now and then.
_SLOWEST = 1024


class WrongBytes(FleetError):
    """An answer that came well and is not the model: trying again would give the same."""


@dataclasses.dataclass(frozen=True)
class Extent:
    """Where an answer's body begins in the file, and the file's size (None: not said)."""

    offset: int
    total: int | None


def extent(answer: Answer) -> Extent | None:
    """The extent of an answer; None for a partial one whose range can not be read (RFC 9110 section 14.4)."""
    if answer.status != PARTIAL:
        return Extent(0, answer.length)
    span = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if span is None:
        return None
    return Extent(int(span[1]), int(span[3]) if span[3] != "*" else None)


def validator(answer: Answer) -> str | None:
    """What identifies this state of the file in If-Range: a strong ETag, else the date (RFC 9110 section 13.1.5)."""
    etag = answer.headers.get("ETag", "").strip()
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified")


def read_head(answer: Answer) -> bytes:
    """The first bytes of a body: HEAD, or all of a shorter one."""
    head = b""
    while len(head) < HEAD and (block := answer.read(HEAD - len(head))):
        head += block
    return head


def refuse_impostor(answer: Answer, model: Model, url: str, head: bytes, found: Extent) -> None:
    """Before a byte is written: a page in place of the model does not cost what is there of it. Raises WrongBytes."""
    if found.total is not None and found.total == model.size:
        return
    content_type = answer.headers.get("Content-Type", "").lower()
    what = None if found.offset else impostor(head, content_type, _file_name(model))
    if what:
        raise WrongBytes(f"{shown(url)} gave {what} in place of the model")
    if found.total is not None and model.size is not None:
        raise WrongBytes(f"{shown(url)} has {found.total} bytes, the lock says {model.size}")


def _file_name(model: Model) -> str:
    """A name with the model's suffix: that of a path, since names and URLs may have none."""
    names = [*model.paths, urllib.parse.urlsplit(model.url).path, model.name]
    return names[0].rpartition("/")[2]


class Reader:
    """Reads a body in large blocks, no faster than the host's limit, and notices when it hardly comes any more."""

    def __init__(self, answer: Answer, pace: Pace | None, patience: float) -> None:
        self._answer = answer
        self._pace = pace
        self._patience = patience
        self._fault: HttpFault | None = None
        self._waited = 0.0
        self._came = 0

    def read(self, buffer: memoryview) -> int:
        """Fill the buffer as far as bytes come soon; 0 at the end. Raises HttpFault, once what came was given out."""
        if self._fault is not None:
            raise self._fault
        filled, begin = 0, time.monotonic()
        while filled < len(buffer) and time.monotonic() - begin < GATHER_SECONDS:
            try:
                count = self._read_once(buffer[filled:])
            except HttpFault as fault:
                if not filled:
                    raise
                self._fault = fault
                break
            if not count:
                break
            filled += count
        return filled

    def _read_once(self, buffer: memoryview) -> int:
        size = len(buffer) if self._pace is None else self._pace.take(len(buffer))
        begin = time.monotonic()
        count = self._answer.read_into(buffer[:size])
        if self._pace is not None:
            self._pace.give(size - count)
        self._waited += time.monotonic() - begin
        self._came += count
        if self._waited >= self._patience:
            if self._came < _SLOWEST * self._waited:
                raise HttpFault(
                    f"{shown(self._answer.url)} has stalled: {self._came} bytes in {self._waited:.0f} s", transient=True
                )
            self._waited, self._came = 0.0, 0
        return count
