# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks in a git index that make git look away: "assume unchanged" and "skip worktree"."""

from __future__ import annotations

import pathlib
import struct

_HEADER = struct.Struct(">4sII")
# Up to the flags an entry has ten 32-bit numbers and a 20-byte object name (gitformat-index(5)).
_FLAGS_AT = 60
_NAME_AT = 62
_ASSUME_VALID = 0x8000
_NAME_LENGTH = 0x0FFF
_PLAIN = 2


def hides_changes(index: pathlib.Path) -> bool:
    """Whether an entry of ``index`` is marked so that git does not look at its file.

    An index of another version than 2 counts as marked: git writes version 3 only for marks, and we write none of it.
    A missing or unreadable index too.
    """
    try:
        content = index.read_bytes()
        signature, version, count = _HEADER.unpack_from(content)
        if signature != b"DIRC" or version != _PLAIN:
            return True
        return _any_marked(content, count)
    except (OSError, struct.error, ValueError):
        return True


def _any_marked(content: bytes, count: int) -> bool:
    position = _HEADER.size
    for _number in range(count):
        (flags,) = struct.unpack_from(">H", content, position + _FLAGS_AT)
        if flags & _ASSUME_VALID:
            return True
        length = flags & _NAME_LENGTH
        if length == _NAME_LENGTH:
            length = content.index(b"\0", position + _NAME_AT) - position - _NAME_AT
        # Entries are padded with 1 to 8 NUL bytes to a multiple of eight.
        position += (_NAME_AT + length + 8) // 8 * 8
    return False
