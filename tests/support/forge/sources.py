# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source trees below ``content``: what the demo's repositories and wheels are made of."""

from __future__ import annotations

from pathlib import Path

CONTENT = Path(__file__).with_name("content")
# A .gitignore in this repository would be obeyed in this repository: the tree has it by another name.
RENAMED = {"gitignore": ".gitignore"}
SOURCE_SUFFIXES = {".example", ".html", ".js", ".py", ".toml", ".txt", ""}


def source_tree(name: str, prefix: str = "") -> dict[str, bytes]:
    """The files of a tree by their path, below ``prefix``; none where there is no such tree.

    Only sources count: whatever tools leave beside them must not change the commits and hashes that are made of them.
    """
    root = CONTENT / name
    files = {}
    for path in sorted(root.rglob("*")):
        below = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in below.parts)
        if path.is_file() and not hidden and path.suffix in SOURCE_SUFFIXES:
            files[(Path(prefix) / below.with_name(RENAMED.get(path.name, path.name))).as_posix()] = path.read_bytes()
    return files
