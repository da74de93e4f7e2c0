# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One content from one address into its part: resumed, checked while it comes, tried again where that may help."""

from __future__ import annotations

import dataclasses
import random
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.answers import WrongBytes
from ansible_collections.comfyops.fleet.plugins.module_utils.models.connections import Connections
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part
from ansible_collections.comfyops.fleet.plugins.module_utils.models.reception import Reception

__all__ = ["ATTEMPTS", "Transfer", "WrongBytes"]

ATTEMPTS = 5
# An attempt that brought this much counts as progress: the next failure is the first again.
_PROGRESS = 1 << 20
FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_LONGEST_WISH_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class Transfer:
    """What is fetched, and how. cancelled: set when the batch is given up.

    budget: of the host, where a large file may have several connections; None: it has one, at any speed. longest_wish:
    the seconds up to which a server's Retry-After is kept to.
    """

    model: Model
    part: Part
    access: Access
    cancelled: threading.Event
    attempts: int = ATTEMPTS
    budget: Connections | None = None
    longest_wish: float = _LONGEST_WISH_SECONDS

    def run(self, url: str) -> None:
        """Bring the part to the model's bytes. Raises HttpFault or WrongBytes; its part then has nothing wrong."""
        if self._is_there():
            return
        with Reception(self.model, self.part, self.access, self.cancelled, self.budget, url) as reception:
            failures = 0
            while True:
                before = self.part.size
                try:
                    reception.attempt()
                    return
                except HttpFault as fault:
                    if not fault.transient:
                        raise
                    failures = 1 if self.part.size >= before + _PROGRESS else failures + 1
                    if failures >= self.attempts:
                        raise
                    self._pause(fault, failures)

    def _is_there(self) -> bool:
        """Whether nothing is to be fetched; what can not become the model's bytes is thrown away."""
        size, spans = self.model.size, self.part.spans
        if spans and size in (None, self.part.size) and self.part.whole:
            return True
        if spans and size is not None and (spans[-1][1] > size or self.part.size == size):
            self.part.reset("what an earlier run had left of it was damaged on the disk")
        return False

    def _pause(self, fault: HttpFault, failures: int) -> None:
        """Wait as the server wishes, or a random time that grows, so that many hosts do not come back at once."""
        ceiling = min(_LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**failures)
        if fault.retry_after is None:
            seconds = random.uniform(ceiling / 2, ceiling)
        elif fault.retry_after > self.longest_wish:
            raise HttpFault(f"{fault.what}, and asks to come back in {fault.retry_after:.0f} s", status=fault.status)
        elif fault.retry_after > 0:
            # A little later than it says: it has said the same to others.
            seconds = fault.retry_after + random.uniform(0, FIRST_PAUSE_SECONDS)
        else:
            seconds = 0.0
        if self.cancelled.wait(seconds):
            raise HttpFault("given up", transient=False)
