# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing the store's files into an environment: shared where the file systems can do that, which is found out."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.clone import clone

CLONE, HARD_LINK, COPY = "clone", "hard link", "copy"
# Over a network every name of a file is asked for again, and what one host links another may see late.
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs")
_PIECE = 256


class Placed(t.NamedTuple):
    """A file that is to be at ``destination`` as it is at ``source``, with ``mode``."""

    source: str
    destination: str
    mode: int


def link_mode(store: pathlib.Path, environments: pathlib.Path) -> str:
    """How files of ``store`` come into ``environments`` (both are there): CLONE, HARD_LINK or COPY, by trying it."""
    if file_system(store) in _NETWORK or file_system(environments) in _NETWORK:
        return COPY
    with tempfile.NamedTemporaryFile(dir=store, prefix=".try-") as source:
        source.write(b"0123456789")
        source.flush()
        beside = environments / f".{pathlib.PurePath(source.name).name}"
        for mode, way in ((CLONE, _clone), (HARD_LINK, _link)):
            with contextlib.suppress(OSError):
                try:
                    way(Placed(source.name, str(beside), 0o644))
                    return mode
                finally:
                    beside.unlink(missing_ok=True)
    return COPY


def file_system(path: pathlib.Path) -> str:
    """The type of the file system that ``path`` is on, as mountinfo names it; empty where that can not be told."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = pathlib.Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        mount, _separator, kind = line.partition(" - ")
        if mount.split(" ")[2] == wanted:
            return kind.split(" ")[0]
    return ""


def place(files: c.Sequence[Placed], mode: str) -> None:
    """Make the files, whose directories are there and whose destinations are not. Raises OSError."""
    way = {CLONE: _clone, HARD_LINK: _link, COPY: _copy}[mode]

    def piece(start: int) -> None:
        for each in files[start : start + _PIECE]:
            way(each)

    with concurrent.futures.ThreadPoolExecutor(1 if mode == HARD_LINK else os.cpu_count()) as pool:
        for done in [pool.submit(piece, start) for start in range(0, len(files), _PIECE)]:
            done.result()


def _link(file: Placed) -> None:
    os.link(file.source, file.destination)


def _clone(file: Placed) -> None:
    with open(file.source, "rb") as source, open(file.destination, "xb") as destination:
        clone(source.fileno(), destination.fileno())
    _dress(file)


def _copy(file: Placed) -> None:
    with open(file.source, "rb") as source, open(file.destination, "xb") as destination:
        shutil.copyfileobj(source, destination, 1 << 20)
    _dress(file)


def _dress(file: Placed) -> None:
    """Times and mode as a link would have them."""
    status = os.stat(file.source)
    os.utime(file.destination, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.chmod(file.destination, file.mode)
