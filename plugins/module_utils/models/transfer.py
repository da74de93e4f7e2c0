# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One content from one address into its part: resumed, checked while it comes, tried again where that may help."""

from __future__ import annotations

import dataclasses
import random
import re
import threading
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, Answer, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.content import HEAD, impostor
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import BLOCK

ATTEMPTS = 5
# An attempt that brought this much counts as progress: the next failure is the first again.
_PROGRESS = 1 << 20
FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_LONGEST_WISH_SECONDS = 300.0
_PARTIAL = 206
_NOT_SATISFIABLE = 416
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class WrongBytes(FleetError):
    """An answer that came well and is not the model: trying again would give the same."""


@dataclasses.dataclass(frozen=True)
class Transfer:
    """What is fetched, and how. cancelled: set when the batch is given up."""

    model: Model
    part: Part
    access: Access
    cancelled: threading.Event
    attempts: int = ATTEMPTS

    def run(self, url: str) -> None:
        """Bring the part to the model's bytes. Raises HttpFault or WrongBytes; its part then has nothing wrong."""
        failures = 0
        while True:
            before = self.part.size
            try:
                self._attempt(url)
                return
            except HttpFault as fault:
                if not fault.transient:
                    raise
                failures = 1 if self.part.size >= before + _PROGRESS else failures + 1
                if failures >= self.attempts:
                    raise
                self._pause(fault, failures)

    def _pause(self, fault: HttpFault, failures: int) -> None:
        """Wait as the server wishes, or a random time that grows, so that many hosts do not come back at once."""
        if fault.retry_after is None:
            ceiling = min(_LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**failures)
            seconds = random.uniform(ceiling / 2, ceiling)
        elif fault.retry_after > _LONGEST_WISH_SECONDS:
            raise HttpFault(f"{fault.what}, and asks to come back in {fault.retry_after:.0f} s", status=fault.status)
        else:
            seconds = fault.retry_after
        if self.cancelled.wait(seconds):
            raise HttpFault("given up", transient=False)

    def _attempt(self, url: str) -> None:
        if self.part.size and self.part.whole:
            return
        if self.model.size is not None and self.part.size >= self.model.size:
            self.part.reset()
        try:
            with request(url, self.access, headers=self._range(url)) as answer:
                self._receive(answer, url)
        except HttpFault as fault:
            if fault.status == _NOT_SATISFIABLE and self.part.size:
                self.part.reset()
                raise HttpFault(fault.what, transient=True, retry_after=0.0) from fault
            raise

    def _range(self, url: str) -> dict[str, str]:
        if not self.part.size:
            return {}
        validator = self.part.validator(shown(url))
        headers = {"Range": f"bytes={self.part.size}-"}
        return {**headers, "If-Range": validator} if validator else headers

    def _receive(self, answer: Answer, url: str) -> None:
        offset = self._offset(answer)
        head = b"" if offset else self._head(answer)
        self._refuse_impostor(answer, url, head, offset)
        if not offset:
            self.part.reset()
        self.part.begin(shown(url), _validator(answer))
        self.part.write(head)
        while block := answer.read(BLOCK):
            self.part.write(block)
            self._refuse_excess(url)
            if self.cancelled.is_set():
                raise HttpFault("given up", transient=False)
        self._finish(answer, url, offset)

    def _offset(self, answer: Answer) -> int:
        """Where the answer's body begins in the file; a server without ranges, or with a new file, begins at 0."""
        if answer.status != _PARTIAL:
            return 0
        span = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != self.part.size:
            self.part.reset()
            raise HttpFault(
                f"{shown(answer.url)} gives another range than was asked for", transient=True, retry_after=0.0
            )
        return self.part.size

    @staticmethod
    def _head(answer: Answer) -> bytes:
        head = b""
        while len(head) < HEAD and (block := answer.read(HEAD - len(head))):
            head += block
        return head

    def _refuse_impostor(self, answer: Answer, url: str, head: bytes, offset: int) -> None:
        """Before a byte is written: a page in place of the model does not cost what is there of it."""
        length, size = answer.length, self.model.size
        if length is not None and size is not None and length + offset == size:
            return
        found = None if offset else impostor(head, answer.headers.get("Content-Type", "").lower(), self._file_name())
        if found:
            raise WrongBytes(f"{shown(url)} gave {found} in place of the model")
        if length is not None and size is not None:
            raise WrongBytes(f"{shown(url)} has {length + offset} bytes, the lock says {size}")

    def _file_name(self) -> str:
        """A name with the model's suffix: that of a path, since names and URLs may have none."""
        names = [*self.model.paths, urllib.parse.urlsplit(self.model.url).path, self.model.name]
        return names[0].rpartition("/")[2]

    def _refuse_excess(self, url: str) -> None:
        if self.model.size is not None and self.part.size > self.model.size:
            self.part.reset()
            raise WrongBytes(f"{shown(url)} gives more than the {self.model.size} bytes that the lock says")

    def _finish(self, answer: Answer, url: str, offset: int) -> None:
        if self.part.size and self.part.whole:
            return
        expected = self.model.size
        if expected is None and answer.length is not None:
            expected = answer.length + offset
        if expected is not None and self.part.size < expected:
            raise HttpFault(f"{shown(url)} broke off after {self.part.size} of {expected} bytes", transient=True)
        found, mixed = self.part.sha256, self.part.mixed
        self.part.reset()
        if mixed:
            # The bytes of several answers: each may have been right. Once more, all from one.
            raise HttpFault(f"{shown(url)} has changed meanwhile", transient=True, retry_after=0.0)
        raise WrongBytes(f"{shown(url)} gave bytes with sha256 {found}, the lock says {self.model.sha256}")


def _validator(answer: Answer) -> str | None:
    """What identifies this state of the file in If-Range: a strong ETag, else the date (RFC 9110 section 13.1.5)."""
    etag = answer.headers.get("ETag", "").strip()
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified")
