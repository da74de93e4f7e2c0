# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The NAR hash of a tree of files: what Nix calls the hash of a path, computed without Nix.

Source: E. Dolstra, "The Purely Functional Software Deployment Model" (2006), figure 5.2, and src/libutil/archive.cc of
Nix. A NAR knows contents, links, directories and whether a file can be executed; no times, owners or other modes.
"""

from __future__ import annotations

import collections.abc as c
import hashlib
import os
import pathlib
import stat
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_BLOCK: t.Final = 1 << 20
_ALIGNMENT: t.Final = 8
# What nixpkgs' fetchgit removes of what it checked out: the repository, and those of submodules.
GIT: t.Final = frozenset({".git"})


def nar_sha256(path: pathlib.Path, without: c.Collection[str] = frozenset()) -> str:
    """The sha256 of the NAR of a file or directory, in lower-case hexadecimal; nothing is held in memory.

    without: names that are left out wherever they are. Raises FleetError for what a NAR cannot hold (a socket, a
    device), and for a file that changes meanwhile.
    """
    digest = hashlib.sha256()
    for block in _archive(path, without):
        digest.update(block)
    return digest.hexdigest()


def _archive(path: pathlib.Path, without: c.Collection[str]) -> c.Iterator[bytes]:
    yield from map(_text, (b"nix-archive-1",))
    yield from _node(os.fsencode(path), {os.fsencode(name) for name in without})


def _node(path: bytes, without: c.Collection[bytes]) -> c.Iterator[bytes]:
    status = os.lstat(path)
    yield _text(b"(") + _text(b"type")
    if stat.S_ISLNK(status.st_mode):
        yield from map(_text, (b"symlink", b"target", os.readlink(path)))
    elif stat.S_ISREG(status.st_mode):
        yield from _file(path, status)
    elif stat.S_ISDIR(status.st_mode):
        yield from _directory(path, without)
    else:
        raise FleetError(
            "is no file, directory or link, and Nix has no others",
            where=os.fsdecode(path),
            remedy="Take another commit, or another format",
        )
    yield _text(b")")


def _directory(path: bytes, without: c.Collection[bytes]) -> c.Iterator[bytes]:
    yield _text(b"directory")
    # In the order of the names' bytes.
    for name in sorted(each for each in os.listdir(path) if each not in without):
        yield b"".join(map(_text, (b"entry", b"(", b"name", name, b"node")))
        yield from _node(os.path.join(path, name), without)
        yield _text(b")")


def _file(path: bytes, status: os.stat_result) -> c.Iterator[bytes]:
    yield _text(b"regular")
    if status.st_mode & stat.S_IXUSR:
        yield _text(b"executable") + _text(b"")
    yield _text(b"contents") + status.st_size.to_bytes(8, "little")
    left = status.st_size
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            left -= len(block)
            yield block
    if left:
        raise FleetError("changed while it was read", where=os.fsdecode(path), remedy="Run again")
    yield bytes(-status.st_size % _ALIGNMENT)


def _text(value: bytes) -> bytes:
    """A string: its length in 8 bytes, the last first, and itself, filled up to whole words."""
    return len(value).to_bytes(8, "little") + value + bytes(-len(value) % _ALIGNMENT)
