# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections that bring one content from one address: one that leads, and assistants for further ranges.

The lead asks for all that is missing; it alone decides what an answer means for the part, begins it anew where the file
has changed, and reports faults. Assistants come when the host's budget sends them, are content with the state of the
file that the lead has found, and leave quietly when the server does not want them.
"""

from __future__ import annotations

import contextlib
import threading
import time

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import (
    Access,
    Answer,
    HttpFault,
    Session,
    request,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.answers import (
    PARTIAL,
    Reader,
    WrongBytes,
    extent,
    read_head,
    refuse_impostor,
    validator,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.models.connections import Connections
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part, Revoked, Run
from ansible_collections.comfyops.fleet.plugins.module_utils.models.spans import Claim, Spans

# Measured: smaller blocks cost more calls, larger ones bring nothing.
_BLOCK = 1 << 20
_NOT_SATISFIABLE = 416
_LOOK_SECONDS = 0.5
# How long a server that did not take an assistant is left alone.
_UNWELCOME_SECONDS = 30.0
MIXED = " (it came in several answers: it has changed between them, or what was there was damaged)"


class _Assistant:
    """A further connection. dismissed: it ends with the claim that it has; generation: of the part that it fills."""

    def __init__(self, proxies: bool) -> None:
        self.dismissed = False
        self.generation = 0
        self.session = Session(proxies)
        self.has_brought = False


class Reception:
    """What the connections of one file share. Use it in ``with``; ``attempt`` is the lead's."""

    def __init__(
        self,
        model: Model,
        part: Part,
        access: Access,
        cancelled: threading.Event,
        budget: Connections | None,
        url: str,
    ) -> None:
        self._model = model
        self._part = part
        self._access = access
        self._cancelled = cancelled
        self._budget = budget
        self._url = url
        self._spans = Spans(part.spans, model.size)
        self._assistants: list[_Assistant] = []
        self._session = Session(access.proxies)
        self._ranges = True
        self._validator: str | None = None
        self._unwelcome_until = 0.0
        self._fault: OSError | None = None
        self._received = 0
        self._again = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Reception:
        self._stack.enter_context(self._session)
        if self._budget is not None:
            self._stack.enter_context(self._budget.joined(self))
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()
        for assistant in list(self._assistants):
            assistant.dismissed = True
            assistant.session.cut()

    # What the budget asks

    @property
    def received(self) -> int:
        """Bytes that came over the network."""
        return self._received + self._spans.received

    @property
    def missing(self) -> int | None:
        """Bytes that are to come; None where the size is not known yet."""
        return self._spans.missing

    @property
    def connections(self) -> int:
        """The lead's, and those of assistants that are to stay."""
        return 1 + sum(not each.dismissed for each in list(self._assistants))

    @property
    def open(self) -> int:
        """The lead's connection, and all others."""
        return 1 + len(self._assistants)

    @property
    def settled(self) -> bool:
        """Whether every connection has brought something."""
        return all(each.has_brought for each in list(self._assistants))

    def grow(self) -> bool:
        """Begin with one more connection; False where that can not help."""
        unwelcome = not self._ranges or self._again or time.monotonic() < self._unwelcome_until
        if unwelcome or self._part.crowded or not self._spans.received or not self._spans.divisible:
            return False
        assistant = _Assistant(self._access.proxies)
        self._assistants.append(assistant)
        threading.Thread(target=self._assist, args=(assistant,), name="download", daemon=True).start()
        return True

    def shrink(self) -> bool:
        """Let one assistant end with what it does; False where there is none."""
        for assistant in list(self._assistants):
            if not assistant.dismissed:
                assistant.dismissed = True
                return True
        return False

    # The lead

    def attempt(self) -> None:
        """Bring all that is missing. Raises HttpFault, WrongBytes, OSError; then more may be there than before."""
        buffer, rate = memoryview(bytearray(_BLOCK)), 0.0
        while not self._spans.complete:
            if self._fault is not None:
                raise self._fault
            undivided = self._budget is None or self._budget.most == 1 or self._again or not self._ranges
            claim = self._spans.take(rate, alone=not self._assistants, undivided=undivided)
            if claim is None:
                self._spans.wait(_LOOK_SECONDS)
                self._heed()
                continue
            try:
                self._lead(claim, buffer)
            finally:
                self._spans.release(claim)
            rate = claim.rate
        self._finish()

    def _lead(self, claim: Claim, buffer: memoryview) -> None:
        headers = self._range(claim)
        try:
            with request(self._url, self._access, headers=headers, session=self._session) as answer:
                self._accept(answer, claim, bool(headers))
                self._receive(answer, claim, buffer)
        except HttpFault as fault:
            if fault.status == _NOT_SATISFIABLE and self._part.size:
                self._begin_anew(claim, f"{shown(self._url)} has become shorter")
                raise HttpFault(fault.what, transient=True, retry_after=0.0) from fault
            raise

    def _range(self, claim: Claim) -> dict[str, str]:
        bounded = claim.end is not None and claim.end != self._spans.total
        if not claim.start and not bounded:
            return {}
        known = self._part.validator(shown(self._url))
        last = "" if claim.end is None or not bounded else claim.end - 1
        headers = {"Range": f"bytes={claim.start}-{last}"}
        return {**headers, "If-Range": known} if known else headers

    def _accept(self, answer: Answer, claim: Claim, asked_for_range: bool) -> None:
        """Find out what the answer is, and write its first bytes; refuse it before anything is thrown away for it."""
        found = extent(answer)
        known = self._part.validator(shown(self._url)) if claim.start else None
        other = answer.status == PARTIAL and known is not None and validator(answer) not in (None, known)
        if found is None or other or (answer.status == PARTIAL and found.offset != claim.start):
            what = "has changed meanwhile" if other else "gives another range than was asked for"
            self._begin_anew(claim, f"{shown(answer.url)} {what}")
            raise HttpFault(f"{shown(answer.url)} {what}", transient=True, retry_after=0.0)
        head = b"" if found.offset else read_head(answer)
        refuse_impostor(answer, self._model, self._url, head, found)
        if answer.status != PARTIAL and asked_for_range:
            # It has no ranges, or another file than the one that is there: then this one, from its beginning.
            self._ranges = self._is_other(answer)
            what = "has changed since it was begun" if self._ranges else "gives no ranges, so nothing can be continued"
            self._begin_anew(claim, f"{shown(self._url)} {what}")
        if found.total is not None:
            self._spans.settle(found.total)
        self._validator = validator(answer)
        self._part.begin(shown(self._url), self._validator)
        self._write_head(claim, head)

    def _is_other(self, answer: Answer) -> bool:
        """Whether the answer is of another state of the file than what is there."""
        known = self._part.validator(shown(self._url))
        return known is not None and validator(answer) not in (None, known)

    def _write_head(self, claim: Claim, head: bytes) -> None:
        if head:
            run = self._part.run(claim.position)
            run.write(head)
            self._spans.advance(claim, len(head))
            self._part.end(run)

    def _begin_anew(self, claim: Claim, reason: str) -> None:
        """Throw away what is there; the claim is for the whole file now, and assistants leave."""
        for assistant in list(self._assistants):
            assistant.dismissed = True
        self._part.reset(reason)
        self._received += self._spans.received
        self._spans = Spans([], self._model.size)
        self._spans.adopt(claim)
        self._unwelcome_until = 0.0

    def _heed(self) -> None:
        if self._cancelled.is_set():
            raise HttpFault("given up", transient=False)

    def _finish(self) -> None:
        if self._part.size and self._part.whole:
            return
        found, mixed = self._part.sha256, self._part.mixed
        wrong = f"{shown(self._url)} gave bytes with sha256 {found}, the lock says {self._model.sha256}"
        self._part.reset(f"{wrong}{MIXED if mixed else ''}")
        self._received += self._spans.received
        self._spans = Spans([], self._model.size)
        if mixed and not self._again:
            # The bytes of several answers: each may have been right. Once more, all from one.
            self._again = True
            raise HttpFault(f"{shown(self._url)} has changed meanwhile", transient=True, retry_after=0.0)
        raise WrongBytes(wrong)

    # Bytes

    def _receive(self, answer: Answer, claim: Claim, buffer: memoryview, assistant: _Assistant | None = None) -> None:
        """Put a body into the part, up to where the claim ends by then. Raises HttpFault where it ends before."""
        reader = Reader(answer, None if self._budget is None else self._budget.pace, self._access.timeout)
        run = self._part.run(claim.position, None if assistant is None else assistant.generation)
        try:
            while self._receive_block(reader, run, claim, buffer):
                self._heed()
                if assistant is not None:
                    assistant.has_brought = True
        finally:
            self._part.end(run)
        if claim.end is None or (self._model.size is None and claim.left and self._part.whole):
            # The end is where it ends, also where the server has announced more.
            self._spans.settle(claim.position)
        elif claim.left:
            raise HttpFault(
                f"{shown(self._url)} broke off after {self._part.size} of {self._spans.total} bytes", transient=True
            )
        elif answer.length is None and claim.end == self._spans.total and reader.read(buffer[:1]):
            self._part.reset()
            raise WrongBytes(f"{shown(self._url)} gives more than the {self._spans.total} bytes that the lock says")

    def _receive_block(self, reader: Reader, run: Run, claim: Claim, buffer: memoryview) -> bool:
        room = len(buffer) if claim.end is None else min(len(buffer), claim.left)
        count = reader.read(buffer[:room]) if room else 0
        if count:
            run.write(buffer[:count])
            self._spans.advance(claim, count)
        return count > 0

    # Assistants

    def _assist(self, assistant: _Assistant) -> None:
        """Bring ranges until there are none, or the server does not want that."""
        try:
            with assistant.session:
                self._bring_ranges(assistant)
        except (HttpFault, WrongBytes, Revoked):
            if not assistant.has_brought:
                self._unwelcome_until = time.monotonic() + _UNWELCOME_SECONDS
        except OSError as error:
            self._fault = error
        finally:
            self._assistants.remove(assistant)

    def _bring_ranges(self, assistant: _Assistant) -> None:
        assistant.session.places = dict(self._session.places)
        buffer = memoryview(bytearray(_BLOCK))
        spans, rate = self._spans, self._spans.best_rate
        welcome = self._is_welcome(assistant) and spans is self._spans
        while welcome and not assistant.dismissed:
            claim = spans.take(rate, alone=False)
            if claim is None:
                return
            try:
                self._bring_range(assistant, claim, buffer)
            finally:
                spans.release(claim)
            rate = claim.rate

    def _bring_range(self, assistant: _Assistant, claim: Claim, buffer: memoryview) -> None:
        assistant.generation = self._part.generation
        with self._ask(assistant, claim.start, claim.end) as answer:
            self._receive(answer, claim, buffer, assistant)

    def _is_welcome(self, assistant: _Assistant) -> bool:
        """Whether the server takes one connection more and gives it ranges of the file that the lead receives.

        It is asked for one byte: no bytes of the lead's are left to somebody who may be refused them.
        """
        with self._ask(assistant, 1, 2) as answer:
            answer.read_all(1)
        return not assistant.dismissed

    def _ask(self, assistant: _Assistant, start: int, end: int | None) -> Answer:
        """A range, in the same state of the file as what is there. Raises HttpFault for any other answer."""
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        if self._validator is not None:
            headers["If-Range"] = self._validator
        answer = request(self._url, self._access, headers=headers, session=assistant.session)
        found = extent(answer)
        same = found is not None and found.offset == start and found.total in (None, self._spans.total)
        if answer.status != PARTIAL or not same or validator(answer) != self._validator:
            answer.__exit__()
            raise HttpFault(f"{shown(self._url)} does not give ranges of the same file")
        return answer
