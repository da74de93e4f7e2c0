# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RECORD: the files of installed distributions with their hashes and sizes, and which of them are not so any more.

Source: the PyPA specification "Recording installed projects".
"""

from __future__ import annotations

import base64
import collections.abc as c
import concurrent.futures
import csv
import hashlib
import os
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import BYTECODE

_BLOCK = 1024 * 1024
# Files are handed to threads in pieces: one by one costs more than it gains.
_PIECE = 64
# Wheels repaired by hand have hashes of other kinds; md5 and sha1 are not allowed in a RECORD.
_ALGORITHMS = ("sha256", "sha384", "sha512")


class RecordedFile(t.NamedTuple):
    """A line of RECORD: path below the directory of packages, hash (``sha256=...``) and size where it has them."""

    path: str
    hash: str
    size: int | None


Records = c.Mapping[str, c.Sequence[RecordedFile]]
Selected = c.Callable[[str], bool]


def read_record(metadata: pathlib.Path) -> list[RecordedFile] | None:
    """The files that ``metadata`` (a .dist-info directory) records, bytecode aside; None when there is no such list."""
    try:
        with (metadata / "RECORD").open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
        return [_recorded(row) for row in rows if f"{BYTECODE}/" not in row[0]]
    except (OSError, ValueError, csv.Error, IndexError):
        return None


def damaged_files(
    site: pathlib.Path, records: Records, selected: Selected, deep: bool, shared: bool = True
) -> dict[str, list[str]]:
    """The files of each distribution that are missing or not as recorded; distributions without any are left out.

    records: distribution to its files. selected: whether a path is to be looked at. deep: hash every file; otherwise
    those alone that are younger than their distribution's RECORD, which is written last when it is installed.
    shared: a file that several distributions have is right when it is as one of them has it.
    """
    suspects: list[tuple[str, RecordedFile]] = []
    to_hash: list[tuple[str, RecordedFile]] = []
    for name, files in records.items():
        installed = _installed_at(site, files)
        for file in filter(lambda file: selected(file.path), files):
            size, modified = _size_and_time(site, file.path)
            if size is None or (file.size is not None and size != file.size):
                suspects.append((name, file))
            elif file.hash and (deep or installed is None or modified > installed):
                to_hash.append((name, file))
    suspects += _differing(site, to_hash)
    return _without_shared(site, records if shared else {}, suspects)


def _recorded(row: list[str]) -> RecordedFile:
    path, hash_value, size = (*row, "", "")[:3]
    return RecordedFile(path, hash_value, int(size) if size else None)


def _installed_at(site: pathlib.Path, files: c.Sequence[RecordedFile]) -> int | None:
    record = next((file.path for file in files if file.path.endswith(".dist-info/RECORD")), None)
    return None if record is None else _size_and_time(site, record)[1]


def _size_and_time(site: pathlib.Path, path: str) -> tuple[int | None, int]:
    try:
        status = os.stat(f"{site}/{path}")
    except OSError:
        return None, 0
    return status.st_size, status.st_mtime_ns


def _differing(site: pathlib.Path, files: c.Sequence[tuple[str, RecordedFile]]) -> list[tuple[str, RecordedFile]]:
    """Those whose bytes are not as recorded. hashlib releases the interpreter's lock, so threads use all cores."""
    pieces = [files[start : start + _PIECE] for start in range(0, len(files), _PIECE)]
    if len(pieces) <= 1:
        return [each for each in files if not _is_as_recorded(site, each[1])]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        looked_at = pool.map(lambda piece: [each for each in piece if not _is_as_recorded(site, each[1])], pieces)
        return [each for piece in looked_at for each in piece]


def _is_as_recorded(site: pathlib.Path, file: RecordedFile) -> bool:
    algorithm, _equals, wanted = file.hash.partition("=")
    if algorithm not in _ALGORITHMS:
        return False
    digest = hashlib.new(algorithm)
    try:
        with open(f"{site}/{file.path}", "rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError:
        return False
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() == wanted.rstrip("=")


def _without_shared(
    site: pathlib.Path, records: Records, suspects: c.Sequence[tuple[str, RecordedFile]]
) -> dict[str, list[str]]:
    """The suspects by distribution, without the files that are as another distribution has them."""
    if not suspects:
        return {}
    paths = {file.path for _name, file in suspects}
    others: dict[str, list[tuple[str, RecordedFile]]] = {}
    for name, files in records.items():
        for file in files:
            if file.path in paths:
                others.setdefault(file.path, []).append((name, file))
    damaged: dict[str, list[str]] = {}
    for name, file in suspects:
        owners = (other for owner, other in others.get(file.path, ()) if owner != name and other.hash)
        if not any(_is_as_recorded(site, other) for other in owners):
            damaged.setdefault(name, []).append(file.path)
    return {name: sorted(files) for name, files in damaged.items()}
