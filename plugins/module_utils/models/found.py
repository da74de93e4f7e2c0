# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is at the paths that ComfyUI reads. Reads no bytes, writes nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import stat

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import Place, blob, shown

OBSTRUCTION_REMEDY = (
    "Models stay in their root: make it a real directory (or a mount), move what is in the way, or set comfy_models_dir"
)


@dataclasses.dataclass(frozen=True)
class Found:
    """What is at a path.

    text: as a change shows it; None where nothing is. stored: the sha256 of the file in the store that a link leads to,
    or that has the same inode. size: of a regular file, or of the one behind somebody's own link. foreign_link: whether
    it is such a link. aside: bytes that are copied when it is put aside, because that is another file system. writable:
    somebody else could go on to write into it: it has other names, or an owner whom this user can not replace.
    """

    text: str | None
    stored: str | None = None
    size: int | None = None
    foreign_link: bool = False
    aside: int = 0
    writable: bool = False


def look(path: pathlib.Path, layout: Layout, sha256: str) -> Found:
    """What is at ``path``. sha256: the content that is wanted there, to know a hard link to it."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Found(None)
    if stat.S_ISLNK(status.st_mode):
        return _look_at_link(path, layout)
    if stat.S_ISDIR(status.st_mode):
        return Found("a directory")
    if not stat.S_ISREG(status.st_mode):
        return Found("a special file")
    aside = 0 if status.st_dev == device(layout.aside) else status.st_size
    stored = sha256 if same_file(status, blob(layout, sha256)) else None
    writable = status.st_nlink > 1 or os.geteuid() not in (0, status.st_uid)
    return Found(f"other content, {human(status.st_size)}", stored, status.st_size, aside=aside, writable=writable)


def _look_at_link(path: pathlib.Path, layout: Layout) -> Found:
    stored = stored_behind(path, layout)
    if stored is not None:
        return Found(shown(stored, None), stored)
    try:
        status = os.stat(path)
    except OSError:
        status = None
    size = status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None
    return Found(f"a link to {os.readlink(path)}", size=size, foreign_link=True)


def stored_behind(path: pathlib.Path, layout: Layout) -> str | None:
    """The sha256 of the file in the store that the link at ``path`` leads to, whether that is there or not."""
    target = os.path.realpath(path)
    sha256 = os.path.basename(target)
    return sha256 if target == os.path.join(os.path.realpath(layout.store), sha256[:2], sha256) else None


def same_file(status: os.stat_result, other: pathlib.Path) -> bool:
    """Whether ``other`` is there and is the file of that status."""
    try:
        return os.path.samestat(status, os.stat(other))
    except OSError:
        return False


def device(directory: pathlib.Path) -> int:
    """The file system of a directory that need not exist yet."""
    for candidate in (directory, *directory.parents):
        with contextlib.suppress(OSError):
            return os.stat(candidate).st_dev
    return -1


def obstruction(place: Place, layout: Layout) -> str | None:
    """Why nothing can be put at a place: its directory lies elsewhere, or a file is where a directory belongs."""
    parent = os.path.realpath(place.path.parent)
    # Directories of nodes that outlive the build are links into data/.
    roots = [place.root] if place.root == layout.models else [place.root, layout.data, layout.models]
    if not any(is_below(parent, os.path.realpath(root)) for root in roots):
        return f"its directory is in truth {parent}, outside of {place.root}"
    existing = next(each for each in (place.path.parent, *place.path.parents) if os.path.lexists(each))
    return None if os.path.isdir(existing) else f"{existing} is not a directory"


def is_below(path: str, root: str) -> bool:
    """Whether a real path is a real root, or inside of it."""
    return path == root or path.startswith(f"{root.rstrip('/')}/")
