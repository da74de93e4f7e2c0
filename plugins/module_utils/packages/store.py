# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of unpacked wheels, with bytecode: what environments share. One entry for each wheel, Python and origin.

An entry is a directory in the shape of an environment (``lib/python3.12/site-packages``, ``bin``). Beside it lies its
list: each file with its sha256, and what it looked like when that was last known to be right. The list is not in the
entry, so nothing that an environment shares leads to it. Files are read-only. Whoever is root can write to them all the
same, and through one environment's hard link into every other: so each file is looked at before it is used again, and
read where it does not look as it did.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import direct_url

FORMAT = 1
_BLOCK = 1024 * 1024
_PIECE = 64
_ORIGIN_DIGITS = 8
_EXECUTABLE, _PLAIN = 0o555, 0o444


class Seen(t.NamedTuple):
    """A file's status when its content was known to be right. changed: ctime, which nobody can set."""

    inode: int
    size: int
    modified: int
    changed: int


class StoredFile(t.NamedTuple):
    """A file of an entry; ``seen`` is None when it is to be read before it is used."""

    sha256: str
    executable: bool
    seen: Seen | None

    @property
    def mode(self) -> int:
        """Its mode, in the store and in environments."""
        return _EXECUTABLE if self.executable else _PLAIN


class Entry(t.NamedTuple):
    """An entry: its directory, and its files by their path in an environment."""

    directory: pathlib.Path
    files: c.Mapping[str, StoredFile]


def store_of(layout: Layout) -> pathlib.Path:
    """Where the entries are."""
    return layout.cache / "wheels"


def entry_path(layout: Layout, package: Package, python: str) -> pathlib.Path:
    """The directory of a package's entry for Python ``3.12`` or ``3.12.4``. Minor versions share no bytecode."""
    major, minor = python.split(".")[:2]
    origin = direct_url(package)
    suffix = f"-{hashlib.sha256(origin.encode()).hexdigest()[:_ORIGIN_DIGITS]}" if origin else ""
    return store_of(layout) / f"{package.sha256}-cp{major}{minor}{suffix}"


def is_there(directory: pathlib.Path) -> bool:
    """Whether there is an entry; its content is not looked at."""
    return list_of(directory).is_file() and directory.is_dir()


def read_entry(directory: pathlib.Path) -> Entry | None:
    """The entry; None when it is not there, or not whole."""
    try:
        content = json.loads(list_of(directory).read_text("utf-8"))
        if content["format"] != FORMAT or not directory.is_dir():
            return None
        files = {
            str(path): StoredFile(str(sha256), bool(executable), Seen(*seen) if seen else None)
            for path, (sha256, executable, seen) in content["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Entry(directory, files)


def write_list(entry: Entry) -> None:
    """Keep the entry's list; from now on it is there."""
    content = {"format": FORMAT, "files": entry.files}
    descriptor, name = tempfile.mkstemp(dir=entry.directory.parent, prefix=".list-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(content, separators=(",", ":")))
    os.chmod(name, 0o644)
    os.replace(name, list_of(entry.directory))


def discard(directory: pathlib.Path) -> None:
    """Take an entry out of the store."""
    list_of(directory).unlink(missing_ok=True)
    remove_tree(directory)


def damaged(entry: Entry) -> list[str]:
    """The files of the entry that are missing, or whose bytes are not the right ones any more."""
    suspects = [path for path, file in entry.files.items() if file.seen is None or file.seen != _look(entry, path)]
    if not suspects:
        return []
    pieces = [suspects[start : start + _PIECE] for start in range(0, len(suspects), _PIECE)]

    def wrong(piece: list[str]) -> list[str]:
        return [path for path in piece if sha256_of(f"{entry.directory}/{path}") != entry.files[path].sha256]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [path for piece in pool.map(wrong, pieces) for path in piece]


def look_again(entry: Entry, proven: bool) -> Entry:
    """The entry with its files as they look now, after links to them came or went.

    proven: all are known to be right at this moment. Otherwise a file that looks different in more than that keeps what
    it was known by, and will be read before it is used.
    """
    files = {}
    for path, file in entry.files.items():
        now = _look(entry, path)
        same = proven or (file.seen is not None and now is not None and now[:3] == file.seen[:3])
        files[path] = file._replace(seen=now if same else file.seen)
    return Entry(entry.directory, files)


def sha256_of(path: str) -> str | None:
    """The sha256 of a file; None when it can not be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def make_read_only(directory: pathlib.Path, files: c.Mapping[str, StoredFile]) -> None:
    """Nobody may write to the files, everybody may read them, whatever the umask was when they were made."""
    for path, file in files.items():
        # A file system without modes, such as FAT, has none to set.
        with contextlib.suppress(PermissionError):
            os.chmod(directory / path, file.mode)
    for parent, _directories, _names in os.walk(directory):
        with contextlib.suppress(PermissionError):
            os.chmod(parent, 0o755)


def list_of(directory: pathlib.Path) -> pathlib.Path:
    """The file that makes a directory of the store an entry, beside it."""
    return directory.with_name(f"{directory.name}.json")


def _look(entry: Entry, path: str) -> Seen | None:
    try:
        status = os.lstat(f"{entry.directory}/{path}")
    except OSError:
        return None
    return Seen(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
