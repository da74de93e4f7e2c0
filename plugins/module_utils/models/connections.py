# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections a host's downloads have: as many as measurably help, and no more than allowed.

One for each file to begin with. Where downloads will take a while, their number is doubled and the throughput measured;
what does not help is taken back, and tried again only after a time that grows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.models.pace import Pace

TICK_SECONDS = 0.1
WINDOW_SECONDS = 0.3
# How long new connections have from their first bytes on to come up to speed, and for these to come.
SETTLE_SECONDS = 0.2
_PATIENCE_SECONDS = 3.0
# A download that ends sooner is not worth a trial.
WORTH_SECONDS = 3.0
# Of what more connections would bring if each brought as much as the ones before: what is enough, and what is so much
# that it is believed at once. Servers that limit a connection send in bursts: else it takes some windows to know.
_WORTH_GAIN = 0.25
_CLEAR_GAIN = 0.6
SURE_WINDOWS = 4
_FIRST_REST_SECONDS = 1.5
_LONGEST_REST_SECONDS = 120.0


class Download(t.Protocol):
    """What is told to use more connections, or fewer."""

    @property
    def received(self) -> int:
        """Bytes that came over the network so far."""

    @property
    def missing(self) -> int | None:
        """Bytes that are to come; None: not known."""

    @property
    def connections(self) -> int:
        """How many it has, without those that it is giving back."""

    @property
    def open(self) -> int:
        """How many it has."""

    @property
    def settled(self) -> bool:
        """Whether all of them have brought something."""

    def grow(self) -> bool:
        """Take one more; False where that can not help."""

    def shrink(self) -> bool:
        """Give one back, once it has brought what it was asked for; False where it has one only."""


@dataclasses.dataclass
class Climb:
    """Decides by what was measured. before: connections and rate before the trial that is under way."""

    most: int
    before: tuple[int, float] | None = None
    rest_until: float = 0.0
    rest: float = _FIRST_REST_SECONDS

    def decide(self, now: float, connections: int, rate: float, windows: int, seconds_left: float) -> int:
        """How many connections there should be, having measured ``rate`` bytes per second over so many windows."""
        if self.before is not None:
            count, former = self.before
            more = max(0.0, connections / count - 1)
            sure = windows >= SURE_WINDOWS
            if rate < former * (1 + (_WORTH_GAIN if sure else _CLEAR_GAIN) * more):
                return self._give_up(now, count) if sure else connections
            self.before, self.rest = None, _FIRST_REST_SECONDS
        wanted = min(self.most, connections * 2)
        if now < self.rest_until or wanted <= connections or seconds_left < WORTH_SECONDS:
            return connections
        self.before = connections, rate
        return wanted

    def _give_up(self, now: float, count: int) -> int:
        """The trial has brought nothing: back to so many, and none for a while."""
        self.before = None
        self.rest_until, self.rest = now + self.rest, min(_LONGEST_REST_SECONDS, self.rest * 2)
        return count


class Connections:
    """The budget of one host's downloads. Use it in ``with``; downloads join and leave."""

    def __init__(self, most: int, rate_limit: int | None = None) -> None:
        self.most = most
        self._climb = Climb(most)
        self.pace = Pace(rate_limit) if rate_limit else None
        self._downloads: list[Download] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        # What is measured: these downloads with so many connections; since when, from how many bytes on; its windows.
        self._state: tuple[list[int], int] | None = None
        self._since = (0.0, 0)
        self._windows = 0

    def single(self) -> Connections:
        """A budget of one connection, under the same limit: for who gives all that the line takes over one."""
        budget = Connections(1)
        budget.pace = self.pace
        return budget

    def __enter__(self) -> Connections:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    @contextlib.contextmanager
    def joined(self, download: Download) -> t.Iterator[None]:
        """Let a download take part."""
        with self._lock:
            self._downloads.append(download)
            if self._thread is None and self._climb.most > 1:
                self._thread = threading.Thread(target=self._watch, name="connections", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._downloads.remove(download)

    def _watch(self) -> None:
        """Measure windows, let what has changed settle, and change again."""
        settle = 0.0
        while not self._closed.wait(settle):
            settle = self._step()

    def _settle(self) -> None:
        """Wait until new connections bring bytes, which servers may hold back for a while."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not all(each.settled for each in list(self._downloads)) and time.monotonic() < deadline:
            if self._closed.wait(TICK_SECONDS):
                return
        self._closed.wait(SETTLE_SECONDS)

    def _step(self) -> float:
        """One window and what follows from it; gives the seconds to wait before the next."""
        with self._lock:
            downloads = list(self._downloads)
        self._measure(downloads)
        waits = 0 if self.pace is None else self.pace.waits
        if not downloads or self._closed.wait(WINDOW_SECONDS):
            return TICK_SECONDS
        if _state(downloads) != self._state:
            return 0.0
        self._windows += 1
        begin, before = self._since
        rate = (sum(each.received for each in downloads) - before) / (time.monotonic() - begin)
        if rate <= 0 or (self.pace is not None and self.pace.waits > waits):
            # Where the limit is reached, more connections bring nothing.
            return TICK_SECONDS
        return self._change(downloads, rate)

    def _measure(self, downloads: list[Download]) -> None:
        """Go on with the measurement, or begin one: of other downloads, or with more or fewer connections."""
        state = _state(downloads)
        if self._state is None or state[0] != self._state[0]:
            self._climb.before = None
        if state != self._state:
            self._state, self._windows = state, 0
            self._since = time.monotonic(), sum(each.received for each in downloads)

    def _change(self, downloads: list[Download], rate: float) -> float:
        count = sum(each.connections for each in downloads)
        left = sum(each.missing or 0 for each in downloads) / rate
        wanted = self._climb.decide(time.monotonic(), count, rate, self._windows, left)
        if wanted == count:
            return TICK_SECONDS
        by_need = sorted(downloads, key=lambda each: -(each.missing or 0) / max(1, each.connections))
        for _number in range(wanted, count):
            any(each.shrink() for each in reversed(by_need))
        for _number in range(count, wanted):
            full = sum(each.open for each in downloads) >= self._climb.most
            if full or not any(each.grow() for each in by_need):
                break
            by_need.sort(key=lambda each: -(each.missing or 0) / max(1, each.connections))
        self._settle()
        return 0.0


def _state(downloads: list[Download]) -> tuple[list[int], int]:
    return [id(each) for each in downloads], sum(each.connections for each in downloads)
