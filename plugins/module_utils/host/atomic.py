# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes that are whole or not there: beside, then rename."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pathlib
import shutil
import tempfile
import time

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import REMOVED

# linux/fs.h: swap two names in one step.
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def write_text(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    """Replace the file at ``path`` by one with ``text`` (UTF-8) and ``mode``; its directory is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def replace_link(link: pathlib.Path, destination: str) -> None:
    """Make ``link`` a symbolic link to ``destination`` in one step; what was at ``link`` must not be a directory."""
    link.parent.mkdir(parents=True, exist_ok=True)
    beside = link.with_name(f".{link.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    beside.symlink_to(destination)
    beside.replace(link)


def swap_in(new: pathlib.Path, place: pathlib.Path, old: pathlib.Path) -> None:
    """Put the directory or file ``new`` at ``place``; what was there goes to ``old``.

    One atomic step where the kernel can exchange names (renameat2), else two renames.
    """
    old.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(place):
        new.replace(place)
    elif _exchange(new, place):
        move(new, old)
    else:
        move(place, old)
        new.replace(place)


def move(source: pathlib.Path, destination: pathlib.Path) -> None:
    """Move ``source`` to ``destination``, which must not exist, also to another file system."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.move(str(source), str(destination))


def new_aside(directory: pathlib.Path) -> pathlib.Path:
    """A new directory below ``directory`` for what a converge puts aside, named by time (UTC)."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    directory.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(tempfile.mkdtemp(dir=directory, prefix=f"{stamp}-"))


def remove_tree(path: pathlib.Path) -> None:
    """Remove a directory tree, read-only directories included; no error when it is not there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    for parent, _directories, _files in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(parent, 0o700)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def remove_whole(path: pathlib.Path) -> None:
    """Remove a file, or a directory that is renamed first: a killed run leaves no half of it under its name.

    What it leaves has a name with REMOVED before, and goes with this function, too. No error when it is not there.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    doomed = path
    if not path.name.startswith(REMOVED):
        doomed = path.with_name(f"{REMOVED}{path.name}")
        remove_tree(doomed)
        path.rename(doomed)
    remove_tree(doomed)


def flush_file_system(directory: pathlib.Path) -> None:
    """Have the file system write what it holds back, so that a power cut after a rename can not leave empty files."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    except (AttributeError, OSError):
        os.sync()
    finally:
        os.close(descriptor)


def _exchange(first: pathlib.Path, second: pathlib.Path) -> bool:
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    done = rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return bool(done == 0)
