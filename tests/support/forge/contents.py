# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes that the forge serves, as files named by their sha256, and generators of deterministic content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ContentKind = t.Literal["safetensors", "bytes"]
BLOCK = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Content:
    """One content at rest; ``sha256`` in lower-case hex, ``size`` in bytes."""

    path: Path
    sha256: str
    size: int

    @property
    def data(self) -> bytes:
        """All of it."""
        return self.path.read_bytes()


class ContentStore:
    """A folder of contents, each once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)

    def add(self, blocks: Iterable[bytes]) -> Content:
        """Keeps the content that the blocks make up."""
        digest, size = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self._directory, suffix=".part", delete=False) as stream:
            for block in blocks:
                digest.update(block)
                size += stream.write(block)
        path = self._directory / digest.hexdigest()
        Path(stream.name).rename(path)
        return Content(path, digest.hexdigest(), size)

    def find(self, sha256: str) -> Path | None:
        """The file of a content that is here."""
        path = self._directory / sha256
        return path if len(sha256) == 64 and path.is_file() else None


def generated(kind: ContentKind, size: int, seed: str) -> Iterator[bytes]:
    """Deterministic content of exactly that many bytes.

    ``safetensors`` is a file that a reader of that format accepts: the header's length in 8 bytes, a JSON header, data.

    Raises:
        ValueError: a safetensors file cannot be that small.
    """
    if kind == "bytes":
        yield from _noise(size, seed)
        return
    header = _safetensors_header(size, seed)
    yield header
    yield from _noise(size - len(header), seed)


def _safetensors_header(size: int, seed: str) -> bytes:
    """The header of a file with one tensor of bytes, padded with spaces to a multiple of 8 as the format asks."""
    length = 256
    data = size - 8 - length
    tensor = {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}
    header = json.dumps({"__metadata__": {"format": "pt", "seed": seed[:64]}, "weight": tensor}).encode()
    if data < 0 or len(header) > length:
        raise ValueError(f"a safetensors file of {size} bytes has no room for its header")
    return length.to_bytes(8, "little") + header.ljust(length)


def _noise(size: int, seed: str) -> Iterator[bytes]:
    for index, start in enumerate(range(0, size, BLOCK)):
        yield hashlib.shake_256(f"{seed}:{index}".encode()).digest(min(BLOCK, size - start))
