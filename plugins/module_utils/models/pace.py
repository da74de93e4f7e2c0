# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's bandwidth limit: a bucket that fills at the rate, from which all connections take before they read."""

from __future__ import annotations

import threading
import time

# How much of a second may come at once: enough to be exact, little enough for others on the line.
_BURST_SECONDS = 0.1
_LEAST = 16 << 10


class Pace:
    """At most ``rate`` bytes per second in all; ``waits`` counts who had to wait. Its methods run in many threads."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.waits = 0
        self._burst = max(_LEAST, rate * _BURST_SECONDS)
        self._level = self._burst
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def take(self, wanted: int) -> int:
        """How many bytes may be read now, at most ``wanted`` and at least one; waits until they may.

        They are paid for in advance; what was not read is given back by L(give).
        """
        with self._lock:
            now = time.monotonic()
            self._level = min(self._burst, self._level + (now - self._filled) * self.rate)
            self._filled = now
            share = min(wanted, max(_LEAST // 4, int(self._burst / 4)))
            self._level -= share
            debt = -self._level
        if debt > 0:
            self.waits += 1
            time.sleep(debt / self.rate)
        return share

    def give(self, rest: int) -> None:
        """Give back what was taken and did not come."""
        with self._lock:
            self._level += rest
