# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory tree as data, to compare states byte for byte."""

from __future__ import annotations

import collections.abc as c
import hashlib
import os
import pathlib


def tree(root: pathlib.Path, without: c.Collection[str] = ()) -> dict[str, str]:
    """Path to kind, mode and content (sha256, or where a link leads); names in ``without`` are left out everywhere."""
    found: dict[str, str] = {}
    for parent, directories, files in os.walk(root):
        directories[:] = [name for name in directories if name not in without]
        for name in (*directories, *(name for name in files if name not in without)):
            path = pathlib.Path(parent, name)
            found[str(path.relative_to(root))] = _described(path)
    return found


def _described(path: pathlib.Path) -> str:
    if path.is_symlink():
        return f"link {os.readlink(path)}"
    mode = oct(path.stat().st_mode & 0o7777)
    return f"directory {mode}" if path.is_dir() else f"file {mode} {hashlib.sha256(path.read_bytes()).hexdigest()}"
