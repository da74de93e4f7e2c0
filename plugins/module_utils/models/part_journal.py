# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes of a file with holes are there: a journal of the runs that were written, exact whenever a process dies.

A run is consecutive bytes from ``start``; its position moves after each write, by a write of eight bytes, which the
kernel keeps when the process is killed. When the machine itself went down in between (another boot id), only what had
been synchronized with the disk before is believed.
"""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import struct

from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import boot_id

Span = tuple[int, int]

NEW = ".runs-new"
_MAGIC = b"comfyrun"
_HEADER = struct.Struct("<8s56s")
# start, position, position that is surely on the disk; padded, so that no run lies on two sectors of a disk.
_RUN = struct.Struct("<QQQ8x")
_NUMBER = struct.Struct("<Q")
# Runs have at least some MiB: enough for contents of terabytes, and a file with holes until then.
MOST_RUNS = 16384


def merged(spans: c.Iterable[Span]) -> list[Span]:
    """The same bytes as sorted spans that neither touch nor overlap; empty ones are left out."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def read_spans(path: pathlib.Path, size: int) -> list[Span] | None:
    """The spans that the journal at ``path`` claims of a file of ``size`` bytes; None where there is no journal.

    Raises OSError when it can not be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _HEADER.size or _HEADER.unpack_from(data)[0] != _MAGIC:
        return []
    same_boot = _HEADER.unpack_from(data)[1].rstrip(b"\0").decode("ascii", "replace") == boot_id()
    end = len(data) - (len(data) - _HEADER.size) % _RUN.size
    runs = _RUN.iter_unpack(data[_HEADER.size : end])
    return merged((start, min(size, position if same_boot else synced)) for start, position, synced in runs)


def bytes_held(directory: pathlib.Path, sha256: str) -> int:
    """How many bytes of a content a directory's part has; 0 where there is none."""
    path = directory / f"{sha256}.part"
    try:
        size = path.stat().st_size
        spans = read_spans(path.with_suffix(".runs"), size)
    except OSError:
        return 0
    return size if spans is None else sum(end - start for start, end in spans)


class Journal:
    """A journal that is written: one for each part that several connections fill."""

    def __init__(self, path: pathlib.Path, spans: c.Sequence[Span]) -> None:
        """Begin one with spans that are there, in the place of what is at ``path``. Raises OSError."""
        beside = path.with_suffix(NEW)
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, _HEADER.pack(_MAGIC, boot_id().encode()))
            for start, end in spans:
                os.write(descriptor, _RUN.pack(start, end, start))
            os.fsync(descriptor)
            os.replace(beside, path)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._runs = len(spans)

    @property
    def full(self) -> bool:
        """Whether no further run fits."""
        return self._runs >= MOST_RUNS

    def begin(self, start: int) -> int:
        """Note a new run, and give its number."""
        number = self._runs
        os.pwrite(self._descriptor, _RUN.pack(start, start, start), self._place(number))
        self._runs += 1
        return number

    def move(self, number: int, position: int) -> None:
        """Note that a run has come to ``position``: its bytes up to there are written."""
        os.pwrite(self._descriptor, _NUMBER.pack(position), self._place(number) + 8)

    def settle(self, positions: c.Mapping[int, int]) -> None:
        """Note by run what is surely on the disk."""
        for number, position in positions.items():
            os.pwrite(self._descriptor, _NUMBER.pack(position), self._place(number) + 16)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """End the use of it; the file stays."""
        os.close(self._descriptor)

    @staticmethod
    def _place(number: int) -> int:
        return _HEADER.size + number * _RUN.size
