# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A download that is not whole yet: ``<sha256>.part``, hashed while it grows, and what it may be continued by.

One connection fills it from its beginning: then its size says what is there. Where several do, it has holes, and the
journal ``<sha256>.runs`` beside it says what is there. ``<sha256>.json`` has the validator (ETag or Last-Modified) of
the answer that the bytes came from, so that a file which has changed at its source is not stitched to the old one's
beginning (If-Range, RFC 9110 section 13.1.5).
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.clone import clone
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part_digest import Follower
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part_journal import (
    NEW,
    Journal,
    Span,
    merged,
    read_spans,
)

READ_ONLY = 0o444
_PRIVATE = 0o600
# How much is written again at most, in time, where the machine itself goes down.
SETTLE_SECONDS = 10.0


class Revoked(FleetError):
    """The part was thrown away while somebody still wrote into it."""


class Run:
    """Consecutive bytes of a part, which one thread writes."""

    def __init__(self, part: Part, start: int) -> None:
        self.start = self.position = start
        self.number: int | None = None
        self._part = part
        self._lock = threading.Lock()
        self._revoked = False

    def write(self, block: memoryview | bytes) -> None:
        """Add bytes. Raises OSError when the disk is full, Revoked when the part was reset meanwhile."""
        left = memoryview(block)
        with self._lock:
            if self._revoked:
                raise Revoked("the part was begun anew")
            position = self.position
            while left:
                count = os.pwrite(self._part.descriptor, left, position)
                left, position = left[count:], position + count
            self.position = position
            self._part.note(self)
        self._part.follow(self)

    def revoke(self) -> None:
        """Let nothing more be written; what is being written is waited for."""
        with self._lock:
            self._revoked = True


class Part:
    """The part of one content in a directory. Use it in ``with``. Its runs may be written in several threads.

    mixed: whether its bytes come from more than one answer, so that they may be wrong where each answer was right.
    frontier: how many bytes are there from the beginning without a hole. generation: how often it was begun anew.
    again: what was thrown away and is fetched once more, and why, as users read it.
    """

    def __init__(self, directory: pathlib.Path, sha256: str) -> None:
        self.path = directory / f"{sha256}.part"
        self._validator = directory / f"{sha256}.json"
        self._runs_path = directory / f"{sha256}.runs"
        self._sha256 = sha256
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.descriptor = -1
        self.frontier = 0
        self.mixed = False
        self.generation = 0
        self.again: list[str] = []

    def __enter__(self) -> Part:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            # A commit that was cut off leaves it read-only.
            self.path.chmod(_PRIVATE)
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        size = os.fstat(self.descriptor).st_size
        spans = read_spans(self._runs_path, size)
        self._begin([(0, size)] if spans is None else spans)
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._lock:
            self._closed.set()
        self._stop()
        empty = self.size == 0
        os.close(self.descriptor)
        if empty:
            self._remove_names()

    def _begin(self, spans: list[Span]) -> None:
        """Go on from what is there; without holes no journal is needed."""
        self._follower = Follower(self.descriptor)
        self._journal: Journal | None = None
        self._active: list[Run] = []
        self._unsettled: dict[int, Run] = {}
        self._ahead = merged(spans)
        self.frontier = 0
        self._absorb()
        self._follower.advance(self.frontier)
        if self._ahead:
            self._keep_journal()
        else:
            # In this order: what is there never seems to be more than it is.
            os.ftruncate(self.descriptor, self.frontier)
            self._remove_journal()

    @property
    def spans(self) -> list[Span]:
        """What is there, sorted, apart from each other."""
        with self._lock:
            written = [(run.start, run.position) for run in self._active]
            return merged([(0, self.frontier), *self._ahead, *written])

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return sum(end - start for start, end in self.spans)

    @property
    def whole(self) -> bool:
        """Whether the bytes are all there and right."""
        return self.size == self.frontier and self.sha256 == self._sha256

    @property
    def sha256(self) -> str:
        """Of the bytes so far."""
        return self._follower.sha256()

    @property
    def crowded(self) -> bool:
        """Whether no further run may be begun beside others."""
        return self._journal is not None and self._journal.full

    def validator(self, url: str) -> str | None:
        """What If-Range is to say when the download from ``url`` goes on; None: nothing is known about it."""
        try:
            document = json.loads(self._validator.read_text("utf-8"))
            return str(document["validator"]) if document["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, url: str, validator: str | None) -> None:
        """Say where the bytes that follow come from. url: without anything secret."""
        self.mixed = self.mixed or self.size > 0
        if validator is None:
            self._validator.unlink(missing_ok=True)
        elif self.validator(url) != validator:
            write_text(self._validator, json.dumps({"url": url, "validator": validator}) + "\n", _PRIVATE)

    def run(self, start: int, generation: int | None = None) -> Run:
        """Begin to write at ``start``, beside what others write. Raises OSError.

        generation: Revoked is raised where the part was begun anew since it had that one, and after its end.
        """
        run = Run(self, start)
        with self._lock:
            if self._closed.is_set() or generation not in (None, self.generation):
                raise Revoked("the part was begun anew")
            if self._journal is None and (self._active or start != self.frontier):
                self.mixed = True
                self._keep_journal()
            if self._journal is not None:
                run.number = self._journal.begin(start)
                self._unsettled[run.number] = run
            self._active.append(run)
        return run

    def end(self, run: Run) -> None:
        """Nothing more is written into this run."""
        with self._lock:
            if run in self._active:
                self._active.remove(run)
                if run.position > self.frontier:
                    self._ahead = merged([*self._ahead, (run.start, run.position)])

    def write(self, block: memoryview | bytes) -> None:
        """Append bytes to those that are there without a hole."""
        run = self.run(self.frontier)
        run.write(block)
        self.end(run)

    def take_blocks(self, descriptor: int) -> bool:
        """Become a file of another descriptor, without room, where the file system can do that; False where not."""
        self.reset()
        try:
            clone(descriptor, self.descriptor)
        except OSError:
            return False
        run = self.run(0)
        run.position = os.fstat(self.descriptor).st_size
        self.follow(run)
        self.end(run)
        return True

    def note(self, run: Run) -> None:
        """A run tells where it is, before anything is made of it."""
        if run.number is not None and self._journal is not None:
            self._journal.move(run.number, run.position)

    def follow(self, run: Run) -> None:
        """A run tells that it has moved."""
        with self._lock:
            if run.start <= self.frontier < run.position and run in self._active:
                self._absorb()
                self._follower.advance(self.frontier)

    def _absorb(self) -> None:
        """Move the frontier over all that touches it."""
        moved = True
        while moved:
            moved = False
            for start, end in (*self._ahead, *((run.start, run.position) for run in self._active)):
                if start <= self.frontier < end:
                    self.frontier, moved = end, True
        self._ahead = [span for span in self._ahead if span[1] > self.frontier]

    def _keep_journal(self) -> None:
        """From now on a journal says what is there. A part that was begun with one goes on with a new one."""
        spans = [(0, self.frontier), *self._ahead]
        self._journal = Journal(self._runs_path, spans)
        for number, (start, end) in enumerate(spans):
            run = Run(self, start)
            run.position = end
            self._unsettled[number] = run
        for run in self._active:
            run.number = self._journal.begin(run.start)
            self._unsettled[run.number] = run
        threading.Thread(target=self._settle_now_and_then, args=(self._journal,), name="settle", daemon=True).start()

    def _settle_now_and_then(self, journal: Journal) -> None:
        """Say in the journal what surely is on the disk, so that it is believed after the machine went down."""
        while not self._closed.wait(SETTLE_SECONDS):
            with self._lock:
                if self._journal is not journal:
                    return
                positions = {number: run.position for number, run in self._unsettled.items()}
                active = {run.number for run in self._active}
                descriptor = os.dup(self.descriptor)
            with contextlib.suppress(OSError):
                os.fdatasync(descriptor)
                with self._lock:
                    if self._journal is not journal:
                        os.close(descriptor)
                        return
                    journal.settle(positions)
                    for number in positions.keys() - active:
                        self._unsettled.pop(number, None)
            os.close(descriptor)

    def reset(self, reason: str = "") -> None:
        """Throw the bytes away; who still writes some is told by Revoked. reason: why, where users are to know."""
        size = self.size
        if reason and size:
            self.again.append(f"{human(size)} once more: {reason}")
        with self._lock:
            self.generation += 1
        self._stop()
        os.ftruncate(self.descriptor, 0)
        self._begin([])
        self.mixed = False
        self._validator.unlink(missing_ok=True)

    def commit(self, place: pathlib.Path) -> None:
        """Make the whole part the file at ``place``, read-only, in one step."""
        os.fsync(self.descriptor)
        os.fchmod(self.descriptor, READ_ONLY)
        place.parent.mkdir(parents=True, exist_ok=True)
        # First, so that they do not stay behind when this is cut off here: it is whole, and needs none.
        self._validator.unlink(missing_ok=True)
        self._remove_journal()
        self.path.replace(place)

    def _stop(self) -> None:
        """Let nobody write or read any more."""
        with self._lock:
            for run in self._active:
                run.revoke()
            self._ahead = merged([*self._ahead, *((run.start, run.position) for run in self._active)])
            self._active.clear()
            journal, self._journal = self._journal, None
            if journal is not None:
                journal.close()
        self._follower.close()

    def _remove_journal(self) -> None:
        for path in (self._runs_path, self._runs_path.with_suffix(NEW)):
            path.unlink(missing_ok=True)

    def _remove_names(self) -> None:
        for path in (self.path, self._validator, self._runs_path, self._runs_path.with_suffix(NEW)):
            with contextlib.suppress(OSError):
                path.unlink()
