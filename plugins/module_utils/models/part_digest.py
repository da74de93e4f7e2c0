# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sha256 of a file while it grows: a thread follows the end of what is there without a hole.

It reads what was just written, which the kernel still has in memory; so the digest is known when the last byte comes,
and a file that is continued is read from the disk while the network brings its rest.
"""

from __future__ import annotations

import hashlib
import os
import threading

_BLOCK = 1 << 18
# Less than this is not worth a thread: it is read when the digest is asked for.
_WORTH_A_THREAD = 4 << 20


class Follower:
    """Hashes the first ``frontier`` bytes of a file. Its methods are for one thread at a time, but for ``advance``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._frontier = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._fault: OSError | None = None

    def advance(self, frontier: int) -> None:
        """Say that the first ``frontier`` bytes are there."""
        with self._changed:
            self._frontier = frontier
            if self._thread is None and frontier - self._hashed >= _WORTH_A_THREAD:
                self._thread = threading.Thread(target=self._follow, name="sha256", daemon=True)
                self._thread.start()
            elif frontier - self._hashed >= _BLOCK:
                self._changed.notify()

    def sha256(self) -> str:
        """Of all bytes up to the frontier; waits until they are read. Raises OSError when they can not be."""
        self._stop()
        if self._fault is not None:
            raise self._fault
        buffer = memoryview(bytearray(min(_BLOCK, max(1, self._frontier - self._hashed))))
        while self._hashed < self._frontier:
            self._hash(buffer)
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread; what it has hashed counts no more."""
        with self._changed:
            self._frontier = min(self._frontier, self._hashed)
        self._stop()

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._changed:
                self._stopped = True
                self._changed.notify()
            thread.join()
            self._stopped = False

    def _follow(self) -> None:
        buffer = memoryview(bytearray(_BLOCK))
        try:
            while self._wait():
                self._hash(buffer)
        except OSError as error:
            self._fault = error

    def _wait(self) -> bool:
        """Until there is a block to hash; False at the end."""
        with self._changed:
            while self._frontier - self._hashed < _BLOCK:
                if self._stopped:
                    return self._hashed < self._frontier
                self._changed.wait()
            return True

    def _hash(self, buffer: memoryview) -> None:
        count = os.preadv(self._descriptor, [buffer[: self._frontier - self._hashed]], self._hashed)
        if count <= 0:
            raise OSError(5, "the file is shorter than what was written to it")
        self._digest.update(buffer[:count])
        self._hashed += count
