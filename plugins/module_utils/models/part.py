# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A download that is not whole yet: ``<sha256>.part``, hashed while it grows, and what it may be continued by.

Beside it lies the validator (ETag or Last-Modified) of the answer that it came from, so that a file which has changed
at its source is not stitched to the old one's beginning (If-Range, RFC 9110 section 13.1.5).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import BLOCK

READ_ONLY = 0o444
_PRIVATE = 0o600


class Part:
    """The part of one content in a directory. Use it in ``with``; opening it reads the bytes that are there already.

    mixed: whether its bytes come from more than one answer, so that they may be wrong where each answer was right.
    """

    def __init__(self, directory: pathlib.Path, sha256: str) -> None:
        self.path = directory / f"{sha256}.part"
        self._validator = directory / f"{sha256}.json"
        self._sha256 = sha256
        self.size = 0
        self.mixed = False

    def __enter__(self) -> Part:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            # A commit that was cut off leaves it read-only.
            self.path.chmod(_PRIVATE)
        self._stream = self.path.open("a+b", buffering=0)
        self._read()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stream.close()
        if self.size == 0:
            self._remove_names()

    def _read(self) -> None:
        self._digest = hashlib.sha256()
        self._stream.seek(0)
        while block := self._stream.read(BLOCK):
            self._digest.update(block)
        self.size = self._stream.tell()

    @property
    def whole(self) -> bool:
        """Whether the bytes are all there and right."""
        return self._digest.hexdigest() == self._sha256

    @property
    def sha256(self) -> str:
        """Of the bytes so far."""
        return self._digest.hexdigest()

    def validator(self, url: str) -> str | None:
        """What If-Range is to say when the download from ``url`` goes on; None: nothing is known about it."""
        try:
            document = json.loads(self._validator.read_text("utf-8"))
            return str(document["validator"]) if document["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, url: str, validator: str | None) -> None:
        """Say where the bytes that follow come from. url: without anything secret."""
        self.mixed = self.size > 0
        if validator is None:
            self._validator.unlink(missing_ok=True)
        elif self.validator(url) != validator:
            write_text(self._validator, json.dumps({"url": url, "validator": validator}) + "\n", _PRIVATE)

    def write(self, block: bytes) -> None:
        """Append bytes. Raises OSError when the disk is full."""
        left = memoryview(block)
        while left:
            left = left[self._stream.write(left) :]
        self._digest.update(block)
        self.size += len(block)

    def reset(self) -> None:
        """Throw the bytes away."""
        self._stream.truncate(0)
        self._digest = hashlib.sha256()
        self.size = 0
        self.mixed = False
        self._validator.unlink(missing_ok=True)

    def commit(self, place: pathlib.Path) -> None:
        """Make the whole part the file at ``place``, read-only, in one step."""
        os.fsync(self._stream.fileno())
        os.fchmod(self._stream.fileno(), READ_ONLY)
        place.parent.mkdir(parents=True, exist_ok=True)
        # First, so that it does not stay behind when this is cut off here.
        self._validator.unlink(missing_ok=True)
        self.path.replace(place)

    def _remove_names(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
        with contextlib.suppress(OSError):
            self._validator.unlink()
