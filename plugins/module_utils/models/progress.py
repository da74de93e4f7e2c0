# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a host's downloads are: a JSON file, written once per second while they run, and what came at the end."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import threading
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import start_time
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown

FORMAT = 1
INTERVAL_SECONDS = 1.0
# Over which the rate is taken: long enough to be steady, short enough to show that a link has become slow.
_RATE_SECONDS = 10.0

WAITING, FETCHING, WHOLE, FAILED = "waiting", "fetching", "whole", "failed"


class Held(t.Protocol):
    """A part that knows how many bytes it has. again: what of it is fetched once more, and why."""

    again: list[str]

    @property
    def size(self) -> int:
        """Bytes that are there."""


class File:
    """One content that is fetched. total: None where the lock does not know its size. error: why it failed."""

    def __init__(self, name: str, total: int | None, sha256: str = "") -> None:
        self.name = name
        self.sha256 = sha256
        self.total = total
        self.state = WAITING
        self.source = ""
        self.error = ""
        self.again: list[str] = []
        self.before = 0
        self._done = 0
        self._begun = self._ended = 0.0
        self._part: Held | None = None

    @contextlib.contextmanager
    def receiving(self, part: Held) -> t.Iterator[None]:
        """While its part grows."""
        self.before, self._part, self.state, self.again = part.size, part, FETCHING, part.again
        self._begun = time.monotonic()
        try:
            yield
            self._done, self.state = part.size, WHOLE
        except BaseException as error:
            self._done, self.error, self.state = part.size, str(error), FAILED
            raise
        finally:
            self._ended, self._part = time.monotonic(), None

    def comes_from(self, url: str) -> None:
        """Say where it is asked for now."""
        self.source = shown(url)

    @property
    def done(self) -> int:
        """Bytes of it that are on this host."""
        part = self._part
        return self._done if part is None else part.size

    @property
    def seconds(self) -> float:
        """How long it took, or takes by now."""
        return (self._ended or time.monotonic()) - self._begun if self._begun else 0.0

    def document(self) -> dict[str, t.Any]:
        """As the file and the module's result have it."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "state": self.state,
            "error": self.error or None,
            "again": list(self.again),
            "from": self.source or None,
            "done": self.done,
            "total": self.total,
            "fetched": max(0, self.done - self.before) if self._begun else 0,
            "seconds": round(self.seconds, 1),
        }


class Progress:
    """Writes the file. Use it in ``with``, also where it is in use already; it stays at the end, with what came."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._files: list[File] = []
        # What the module returns: each file that was fetched, or of which some bytes were.
        self.downloads: list[dict[str, t.Any]] = []
        self._began = time.time()
        self._begun = time.monotonic()
        self._users = 0
        self._samples: collections.deque[tuple[float, int]] = collections.deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._users += 1
        if self._users == 1:
            self._write(finished=False)
            self._thread.start()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._users -= 1
        if not self._users:
            self._stopped.set()
            self._thread.join()
            # A module that went well ends with an exit, too.
            well = error is None or (isinstance(error, SystemExit) and not error.code)
            self._write(finished=True, broken=not well)

    def file(self, name: str, total: int | None, sha256: str = "") -> File:
        """A file that is to be fetched."""
        file = File(name, total, sha256)
        self._files.append(file)
        return file

    def settle(self) -> None:
        """Say in ``downloads`` what came."""
        documents = [file.document() for file in self._files if file.state != WAITING]
        keys = ("name", "state", "from", "fetched", "seconds", "again")
        self.downloads[:] = [{key: document[key] for key in keys} for document in documents]

    def document(self, finished: bool, broken: bool = False) -> dict[str, t.Any]:
        """The whole of it.

        start_time: with the pid it names the process. broken: the run has failed. rate: bytes per second of late. left:
        seconds, None where that can not be said.
        """
        files = [file.document() for file in self._files]
        done = sum(file["done"] for file in files)
        total = sum(max(file["total"] or 0, file["done"]) for file in files)
        rate = self._rate(done)
        left = round((total - done) / rate) if rate and all(file["total"] is not None for file in files) else None
        return {
            "format": FORMAT,
            "pid": os.getpid(),
            "start_time": start_time(os.getpid()),
            "began": round(self._began, 3),
            "seconds": round(time.monotonic() - self._begun, 1),
            "finished": finished,
            "broken": broken,
            "done": done,
            "total": total,
            "fetched": sum(file["fetched"] for file in files),
            "rate": round(rate),
            "left": 0 if finished else left,
            "files": files,
        }

    def _rate(self, done: int) -> float:
        now = time.monotonic()
        self._samples.append((now, done))
        first = self._samples[0]
        while now - first[0] > _RATE_SECONDS:
            self._samples.popleft()
            first = self._samples[0]
        begin, before = first
        return max(0.0, (done - before) / (now - begin)) if now > begin else 0.0

    def _watch(self) -> None:
        while not self._stopped.wait(INTERVAL_SECONDS):
            self._write(finished=False)

    def _write(self, finished: bool, broken: bool = False) -> None:
        """Not synchronized with the disk, and not worth a fault: it is only for who watches."""
        text = json.dumps(self.document(finished, broken), indent=1) + "\n"
        beside = self._path.with_name(f".{self._path.name}.new")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, "utf-8")
            beside.replace(self._path)
