# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures: making them, and writing them as PNG."""

from __future__ import annotations

import struct
import typing as t
import zlib

import arraything

if t.TYPE_CHECKING:
    from collections.abc import Mapping

CHANNELS = 3


def plain(width: int, height: int, colour: int) -> arraything.Block:
    """A picture of one colour, given as 0xRRGGBB."""
    return arraything.repeat(colour.to_bytes(CHANNELS, "big"), (height, width, CHANNELS))


def png(picture: arraything.Block, texts: Mapping[str, str]) -> bytes:
    """The picture in PNG (8 bits a channel, RGB), with text chunks."""
    height, width, channels = picture.shape
    row = width * channels
    lines = b"".join(b"\0" + bytes(picture.data[start : start + row]) for start in range(0, row * height, row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    for name, text in texts.items():
        chunks.append(_chunk(b"tEXt", name.encode() + b"\0" + text.encode("latin-1", "replace")))
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, _chunk(b"IDAT", zlib.compress(lines)), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
