# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads tensors out of safetensors files."""

from __future__ import annotations

import json
import os
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator


def tensors(path: str) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each tensor.

    Raises:
        ValueError: the file is not in that format, or is not all there.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError(f"{path}: the header is larger than the file")
        header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        if 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0) != size:
            raise ValueError(f"{path}: the file is not as long as its header says")
        for name, entry in sorted(header.items()):
            first, last = entry["data_offsets"]
            stream.seek(8 + length + first)
            yield name, stream.read(last - first)
