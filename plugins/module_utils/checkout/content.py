# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files of a checkout are: something that would be loaded, or data that a node wrote; and which are the same."""

from __future__ import annotations

import collections.abc as c
import filecmp
import os
import pathlib

# What Python imports and what the browser loads from a node's web directory.
_LOADABLE = frozenset(
    (".py", ".pyw", ".pyc", ".pyo", ".pyd", ".so", ".js", ".mjs", ".cjs", ".css", ".html", ".htm", ".wasm")
)
# Torch checkpoints and Python's path files share a suffix; a path file is short text.
_PATH_FILE_LIMIT = 64 * 1024


def is_loadable(path: pathlib.Path) -> bool:
    """Whether Python or the browser would load the file at ``path``.

    Bytecode beside its source is made by Python itself and is not counted; without source it would be imported.
    """
    suffix = path.suffix.lower()
    if suffix in (".pyc", ".pyo"):
        return path.parent.name != "__pycache__" and not path.with_suffix(".py").exists()
    return suffix in _LOADABLE or (suffix == ".pth" and _is_path_file(path))


def is_bytecode(path: pathlib.Path) -> bool:
    """Whether the file is bytecode that Python keeps for itself: worth no line anywhere."""
    return path.parent.name == "__pycache__" and path.suffix in (".pyc", ".pyo")


def files_below(directory: pathlib.Path, left_out: c.Collection[pathlib.Path] = ()) -> c.Iterator[pathlib.Path]:
    """All files of a directory tree, ``.git`` and what is left out aside, links not followed."""
    outside = {os.fspath(path) for path in left_out}
    for parent, directories, names in os.walk(directory):
        inside = [name for name in directories if name != ".git" and os.path.join(parent, name) not in outside]
        directories[:] = inside
        links = [name for name in inside if os.path.islink(os.path.join(parent, name))]
        files = (name for name in names if os.path.join(parent, name) not in outside)
        yield from (pathlib.Path(parent, name) for name in (*files, *links))


def is_same(first: pathlib.Path, second: pathlib.Path) -> bool:
    """Whether both are links with the same text, or files with the same bytes."""
    try:
        if first.is_symlink() or second.is_symlink():
            return first.is_symlink() and second.is_symlink() and os.readlink(first) == os.readlink(second)
        return first.is_file() and second.is_file() and filecmp.cmp(first, second, shallow=False)
    except FileNotFoundError:
        # One was removed at this moment.
        return False


def _is_path_file(path: pathlib.Path) -> bool:
    try:
        if path.stat().st_size > _PATH_FILE_LIMIT:
            return False
        content = path.read_bytes()
        content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return b"\0" not in content
