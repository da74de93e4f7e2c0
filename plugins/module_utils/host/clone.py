# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies that take no room: two files with the same blocks, each side writing to its own (btrfs, XFS, bcachefs)."""

from __future__ import annotations

import fcntl

# linux/fs.h
_FICLONE = 0x40049409


def clone(source: int, destination: int) -> None:
    """Let the file of one descriptor have the blocks of another's. Raises OSError where the file systems can not."""
    fcntl.ioctl(destination, _FICLONE, source)
