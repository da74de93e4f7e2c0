# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that say how far a long piece of work is."""

from __future__ import annotations

import collections.abc as c
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.progress_lines import duration

_SECONDS: t.Final = 5.0


class Progress:
    """Of ``total`` bytes. say: shows a line. What ends before the first line is due says nothing."""

    def __init__(self, what: str, total: int, say: c.Callable[[str], object]) -> None:
        self._what = what
        self._total = total
        self._say = say
        self._begun = self._said = time.monotonic()
        self._done = 0

    def add(self, size: int) -> None:
        """Further bytes are done."""
        self.at(self._done + size)

    def at(self, done: int) -> None:
        """So many bytes are done."""
        self._done = done
        now = time.monotonic()
        if now - self._said < _SECONDS:
            return
        self._said = now
        rate = done / (now - self._begun)
        left = f", {duration((self._total - done) / rate)} left" if done and done < self._total else ""
        self._say(f"{self._what}: {human(done)} of {human(self._total)}, {human(rate)}/s{left}")
