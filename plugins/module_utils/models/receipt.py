# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read once need not be read again: the sha256 of files, bound to their identity.

A record holds while a file's size, mtime, inode and ctime are those it had when its bytes were read. No program can
set the ctime, so an edit, a truncation or another file at the name is seen; what has no record, or another identity,
is read.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import threading
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout

FORMAT = 1
BLOCK = 1 << 20
# Longer than any kernel's clock tick (10 ms at 100 Hz): a later write gets another ctime.
_TICK_SECONDS = 0.02
_BETWEEN_SAVES_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Record:
    """A file's identity, and the sha256 of its bytes while it has that."""

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    sha256: str

    def holds(self, status: os.stat_result) -> bool:
        """Whether a file of that status is the one that was read."""
        return self == record(status, self.sha256)


def record(status: os.stat_result, sha256: str) -> Record:
    """The record of a file with that status and content."""
    return Record(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns, sha256)


# What this process has read itself, whatever the receipts say: a deep look reads each file once, as often as it looks.
_read_here: dict[str, Record] = {}
_read_here_lock = threading.Lock()
# Optional models that this process has tried in vain.
_missed_here: set[str] = set()


class Receipts:
    """The records of a host, by path. deep: believe only what this process has read itself.

    missed: why optional models were left out when they were fetched last, by sha256.
    """

    def __init__(self, layout: Layout, deep: bool) -> None:
        self._path = layout.receipts / "models.json"
        self._deep = deep
        self._saved = time.monotonic()
        document = _load(self._path)
        self._records = _records(document)
        missed = document.get("missed")
        recorded: dict[str, str] = dict(missed) if isinstance(missed, dict) else {}
        self.missed = {sha256: why for sha256, why in recorded.items() if not deep or sha256 in _missed_here}

    def known(self, path: str, status: os.stat_result) -> str | None:
        """The sha256 of a file as recorded for this identity, or None: it is to be read."""
        with _read_here_lock:
            found = _read_here.get(path)
        if found is not None and found.holds(status):
            return found.sha256
        found = None if self._deep else self._records.get(path)
        return found.sha256 if found is not None and found.holds(status) else None

    def _known_at(self, path: str) -> str | None:
        try:
            return self.known(path, os.stat(path))
        except OSError:
            return None

    def remember(self, path: str, sha256: str) -> None:
        """Record a file whose bytes were just verified, and under what identity it is there now."""
        with _read_here_lock:
            _read_here[path] = record(os.stat(path), sha256)

    def verified(self, paths: c.Iterable[str]) -> dict[str, str]:
        """The sha256 of each file, read where it is not known, several at a time. Symbolic links are followed.

        Raises FleetError when one can not be read: that is not to be taken for absence.
        """
        found = {path: self._known_at(path) for path in paths}
        known = {path: sha256 for path, sha256 in found.items() if sha256 is not None}
        return {**known, **_read_all([path for path in found if path not in known])}

    def miss(self, sha256: str, reason: str) -> None:
        """Record that an optional model could not be fetched. A deep look tries again."""
        self.missed[sha256] = reason
        _missed_here.add(sha256)

    @contextlib.contextmanager
    def kept(self) -> c.Iterator[None]:
        """Save at the end, also after a fault; then that one is told, whatever becomes of this."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                self.save()
            raise
        self.save()

    def save_now_and_then(self) -> None:
        """Save if that was not done lately, so that little is read again after a kill. What fails is tried again."""
        if time.monotonic() - self._saved > _BETWEEN_SAVES_SECONDS:
            with contextlib.suppress(OSError):
                self.save()

    def save(self) -> None:
        """Write what this process has read to what was recorded before; files that are gone are left out."""
        # An edit within the same tick as the last write would have the recorded ctime.
        time.sleep(_TICK_SECONDS)
        with _read_here_lock:
            self._records.update({path: found for path, found in _read_here.items() if _holds(path, found)})
        self._records = {path: found for path, found in self._records.items() if os.path.exists(path)}
        document = {
            "format": FORMAT,
            "files": {path: dataclasses.asdict(found) for path, found in sorted(self._records.items())},
            "missed": self.missed,
        }
        write_text(self._path, json.dumps(document, indent=1) + "\n", 0o600)
        self._saved = time.monotonic()


def record_reads(layout: Layout) -> None:
    """Record what this process has read, for the looks of others. Where that can not be written it costs only time."""
    if _read_here:
        with contextlib.suppress(OSError):
            Receipts(layout, deep=False).save()


def _holds(path: str, found: Record) -> bool:
    try:
        return found.holds(os.stat(path))
    except OSError:
        return False


def _load(path: pathlib.Path) -> dict[str, t.Any]:
    """The receipts' document; empty where there is none that can be read: then files are read instead."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) and document.get("format") == FORMAT else {}


def _records(document: c.Mapping[str, t.Any]) -> dict[str, Record]:
    try:
        return {path: Record(**entry) for path, entry in document.get("files", {}).items()}
    except (TypeError, AttributeError):
        return {}


def _read_all(paths: c.Sequence[str]) -> dict[str, str]:
    if not paths:
        return {}
    # Only here: a look that reads nothing does not pay for the import.
    import concurrent.futures

    faults: list[FleetError] = []
    found: dict[str, str] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for path, future in [(path, pool.submit(_read, path)) for path in paths]:
            try:
                found[path] = future.result()
            except OSError as error:
                faults.append(FleetError(f"can not be read: {error.strerror}", where=path))
    raise_all(faults)
    return found


def _read(path: str) -> str:
    """Hash a file, and remember it unless it changed meanwhile. hashlib lets other threads run."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        before = os.fstat(stream.fileno())
        with contextlib.suppress(OSError):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer = memoryview(bytearray(BLOCK))
        while size := stream.readinto(buffer):
            digest.update(buffer[:size])
        found = record(before, digest.hexdigest())
        if found.holds(os.fstat(stream.fileno())):
            with _read_here_lock:
                _read_here[path] = found
    return found.sha256
