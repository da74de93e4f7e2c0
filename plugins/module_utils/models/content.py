# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bytes are, as far as one can tell a model from what servers give in its place."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t
import zipfile

HEAD = 1024
_MODEL_SUFFIXES = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".gguf", ".onnx", ".pkl"})
_SAFETENSORS_SUFFIXES = frozenset({".safetensors", ".sft"})
# The format's own limit (huggingface/safetensors, safetensors/src/tensor.rs: MAX_HEADER_SIZE).
_LONGEST_HEADER = 100_000_000
_LENGTH_BYTES = 8
_PICKLE_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def impostor(head: bytes, content_type: str, name: str) -> str | None:
    """What a body is that cannot be the model ``name``, by its first bytes and its declared type; None: it may be it.

    head: the first HEAD bytes, or the whole body where it is shorter. Files that are text by their name (a
    configuration, a list of words) are what they are.
    """
    if not head:
        return "an empty body"
    if head.startswith(_LFS_POINTER):
        return "a Git LFS pointer, the stand-in for a file that was not fetched from LFS"
    if pathlib.PurePath(name).suffix.lower() not in _MODEL_SUFFIXES:
        return None
    if _HTML.match(head) or (content_type.startswith("text/html") and not _BINARY.search(head)):
        title = _TITLE.search(head)
        return f"an HTML page ('{_printable(title[1])}')" if title else "an HTML page"
    if not _BINARY.search(head) and (head.lstrip()[:1] in (b"{", b"[") or content_type.startswith("application/json")):
        return f"a JSON document ({_printable(head[:80])})"
    return None


def defect(file: pathlib.Path, name: str) -> str | None:
    """Why a whole file cannot be the model ``name``; None when nothing speaks against it. Reads its beginning only."""
    with file.open("rb") as stream:
        head = stream.read(HEAD)
        found = impostor(head, "", name)
        if found:
            return f"it is {found}"
        if pathlib.PurePath(name).suffix.lower() in _SAFETENSORS_SUFFIXES:
            stream.seek(0)
            return _safetensors_defect(stream, file.stat().st_size)
    return None


def is_pickle(file: pathlib.Path, name: str) -> bool:
    """Whether loading the model ``name`` would run a pickle, be it by itself or one of torch.save.

    Python's pickle of protocol 2 and later begins with 0x80 and its number (pickletools: PROTO); since torch 1.6
    torch.save puts one into a zip file as ``<name>/data.pkl``.
    """
    with file.open("rb") as stream:
        head = stream.read(2)
    if head[:1] == b"\x80" and head[1:] in _PICKLE_PROTOCOLS:
        return True
    if head != b"PK":
        return pathlib.PurePath(name).suffix.lower() == ".pkl"
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def _safetensors_defect(stream: t.BinaryIO, size: int) -> str | None:
    """The format: 8 bytes length, a JSON header, then the tensors without gaps (huggingface/safetensors, README)."""
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if length > min(_LONGEST_HEADER, size - _LENGTH_BYTES):
        return f"its safetensors header would have {length} bytes, and the file has {size}"
    try:
        header = json.loads(stream.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        return f"its safetensors header can not be read ({type(error).__name__})"
    if end + _LENGTH_BYTES + length != size:
        return f"its safetensors header covers {end + _LENGTH_BYTES + length} bytes, and the file has {size}"
    return None


def _printable(text: bytes) -> str:
    return "".join(
        character if character.isprintable() else " " for character in text.decode("utf-8", "replace")
    ).strip()
