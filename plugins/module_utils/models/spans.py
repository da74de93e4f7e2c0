# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who brings which bytes of a file: claims of connections, from the first gap on, so that they stay close together.

Close together, since the bytes are hashed in order: what comes far ahead of the rest is read from the disk once more.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import threading
import time

from ansible_collections.comfyops.fleet.plugins.module_utils.models.part_journal import Span, merged

# A connection asks for what it brings in this time: long enough that asking costs nothing beside it.
SHARE_SECONDS = 4.0
SMALLEST_SHARE = 1 << 20
# What one that is alone asks for: not all, or what is on its way would be lost when others come to help.
FIRST_SHARE = 32 << 20
_ALONE_SECONDS = 16.0
_LARGEST_SHARE = 1 << 30
# As many may come to share what is left.
_CROWD = 16
# What others bring sooner than this is left to them: taking it costs a connection and what is on its way.
WORTH_SECONDS = 2.0
# A claim that is this much slower than the one that is done may lose all that it has not yet brought.
_STRAGGLER = 4.0


@dataclasses.dataclass(eq=False)
class Claim:
    """Bytes that one connection brings. end: None where the size is not known; it may come down while they come."""

    start: int
    end: int | None
    position: int = 0
    begun: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Bytes per second so far."""
        return (self.position - self.start) / max(1e-3, time.monotonic() - self.begun)

    @property
    def left(self) -> int:
        """Bytes still to come."""
        return 0 if self.end is None else max(0, self.end - self.position)


class Spans:
    """The claims on one file. Its methods run in the threads of its connections."""

    def __init__(self, held: c.Sequence[Span], total: int | None) -> None:
        self.total = total
        self.received = 0
        self._held = merged(held)
        self._claims: list[Claim] = []
        self.changed = threading.Condition()

    @property
    def complete(self) -> bool:
        """Whether every byte is there; never where the size is not known."""
        with self.changed:
            return self.total is not None and not self._claims and self._first_gap() is None

    @property
    def missing(self) -> int | None:
        """Bytes that are not there yet; None where the size is not known."""
        with self.changed:
            if self.total is None:
                return None
            written = [(claim.start, claim.position) for claim in self._claims]
            return self.total - sum(end - start for start, end in merged([*self._held, *written]))

    @property
    def active(self) -> int:
        """How many claims there are."""
        return len(self._claims)

    @property
    def best_rate(self) -> float:
        """What the fastest connection brings per second."""
        with self.changed:
            return max((claim.rate for claim in self._claims), default=0.0)

    @property
    def divisible(self) -> bool:
        """Whether a further connection would find something to do."""
        with self.changed:
            return self._first_gap() is not None or any(claim.left > 2 * SMALLEST_SHARE for claim in self._claims)

    def take(self, rate: float, alone: bool, undivided: bool = False) -> Claim | None:
        """The next bytes for a connection of this rate; None where others bring all that is left.

        alone: no other connection is there so far. undivided: nor will there be one, so it takes all in one piece.
        """
        with self.changed:
            gap = self._first_gap() or self._divided(rate)
            if gap is None:
                return None
            start, end = gap
            if end is not None and not undivided:
                size = max(FIRST_SHARE, int(rate * _ALONE_SECONDS)) if alone else self._share(rate)
                end = min(end, start + size)
            claim = Claim(start, end, start)
            self._claims.append(claim)
            return claim

    def adopt(self, claim: Claim) -> None:
        """Let a claim of before be one on the whole of a file of which there is nothing."""
        with self.changed:
            claim.start = claim.position = 0
            claim.end = self.total
            self._claims.append(claim)

    def advance(self, claim: Claim, count: int) -> None:
        """So many bytes more of a claim are there."""
        claim.position += count
        with self.changed:
            self.received += count

    def release(self, claim: Claim) -> None:
        """A connection brings no more of a claim: what it has not brought is a gap again."""
        with self.changed:
            if claim in self._claims:
                self._claims.remove(claim)
                self._held = merged([*self._held, (claim.start, claim.position)])
            self.changed.notify_all()

    def settle(self, total: int) -> None:
        """Learn the size of the file."""
        with self.changed:
            self.total = total
            for claim in self._claims:
                claim.end = total if claim.end is None else min(claim.end, total)

    def wait(self, seconds: float) -> None:
        """Wait until a connection is done with something."""
        with self.changed:
            if self._claims:
                self.changed.wait(seconds)

    def _first_gap(self) -> tuple[int, int | None] | None:
        """The first bytes that nobody has or brings."""
        taken = [
            (each.start, each.position if each.end is None else max(each.end, each.position)) for each in self._claims
        ]
        place = 0
        for start, end in merged([*self._held, *taken]):
            if start > place:
                return place, start
            place = end
        if self.total is None:
            return None if self._claims else (place, None)
        return (place, self.total) if place < self.total else None

    def _share(self, rate: float) -> int:
        """How many bytes a connection of this rate asks for at a time; less towards the end, so that all end together.

        Of bytes that nobody brings yet, half is left for those that ask next (guided self-scheduling: Polychronopoulos
        and Kuck, 1987), so that hardly any bytes have to be taken from somebody who has asked for them.
        """
        open_bytes = (self.total or 0) - self._covered()
        fair = open_bytes // (2 * max(_CROWD, len(self._claims) + 1))
        return int(min(_LARGEST_SHARE, max(SMALLEST_SHARE, min(fair, rate * SHARE_SECONDS))))

    def _covered(self) -> int:
        """Bytes that are there or are asked for."""
        taken = [(claim.start, claim.end or claim.position) for claim in self._claims]
        return sum(end - start for start, end in merged([*self._held, *taken]))

    def _divided(self, rate: float) -> tuple[int, int | None] | None:
        """Take the later half of the claim that will take longest, or all of one that hardly moves."""
        claim = max(self._claims, key=lambda each: each.left / max(1.0, each.rate), default=None)
        if claim is None or claim.end is None or not claim.left:
            return None
        end = claim.end
        if claim.left >= 2 * SMALLEST_SHARE and claim.left > claim.rate * WORTH_SECONDS:
            claim.end = claim.position + min(max(SMALLEST_SHARE, int(rate * SHARE_SECONDS)), claim.left // 2)
        elif rate > _STRAGGLER * claim.rate and time.monotonic() - claim.begun > 1.0:
            claim.end = claim.position
        else:
            return None
        return claim.end, end
