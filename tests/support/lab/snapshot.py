# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what a file tree is made of, as JSON; runs on the hosts of the lab, fed to their Python over ssh.

The one argument is the tree's root. Output: path below the root -> [type, mode, content], with ``content`` the sha256
of a file, the target of a link, and "" of anything else; an object without entries when there is nothing at that path.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def entry(path: str) -> tuple[str, int, str]:
    """(type, mode, content) of one path, links not followed."""
    status = os.lstat(path)
    kind = _TYPES[stat.S_IFMT(status.st_mode)]
    content = ""
    if kind == "link":
        content = os.readlink(path)
    elif kind == "file":
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        content = digest.hexdigest()
    return kind, stat.S_IMODE(status.st_mode), content


def snapshot(root: str) -> dict[str, tuple[str, int, str]]:
    """All entries below ``root``, and ``root`` itself as "."."""
    if not os.path.lexists(root):
        return {}
    found = {".": entry(root)}
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = os.path.join(directory, name)
            found[os.path.relpath(path, root)] = entry(path)
    return found


if __name__ == "__main__":
    json.dump(snapshot(sys.argv[1]), sys.stdout)
