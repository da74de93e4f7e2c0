# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a bundle is put together: a directory, or a tar that grows; both go on where a killed run has ended."""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import pathlib
import tarfile
import threading
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import (
    flush_file_system,
    remove_tree,
    write_text,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle import manifest as manifests
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.manifest import Manifest
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.pieces import Piece, pieces_of, pieces_of_tar

_UNFINISHED: t.Final = ".unfinished"
_MODE: t.Final = 0o444


class Place(t.Protocol):
    """A bundle that is being written. ``add`` may be called in threads. scratch: a directory of its file system."""

    path: pathlib.Path
    scratch: pathlib.Path

    def there(self) -> dict[str, Piece]:
        """What is there of it, by name; the bytes may be wrong."""

    def begin(self, right: c.Mapping[str, Piece]) -> None:
        """From now on it is not finished. right: what stays of that which is there.

        Raises FleetError for a place where something else is.
        """

    def add(self, name: str, file: pathlib.Path) -> None:
        """Take a file of ``scratch`` in, whose bytes are right."""

    def finish(self, manifest: Manifest) -> None:
        """Have it consist of the manifest's files."""


def place_of(path: pathlib.Path, form: str) -> Place:
    """The place of a bundle. form: ``directory`` or ``tar``."""
    return Tar(path) if form == "tar" else Directory(path)


class Directory:
    """A bundle that is a directory."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.scratch = path / ".parts"

    def there(self) -> dict[str, Piece]:
        """See Place."""
        return pieces_of(self.path) if self.path.is_dir() else {}

    def begin(self, right: c.Mapping[str, Piece]) -> None:
        """See Place."""
        marks = (manifests.NAME, _UNFINISHED)
        is_used = self.path.is_file() or (self.path.is_dir() and any(self.path.iterdir()))
        if is_used and not any((self.path / mark).is_file() for mark in marks):
            raise _foreign(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / _UNFINISHED).touch()
        (self.path / manifests.NAME).unlink(missing_ok=True)

    def add(self, name: str, file: pathlib.Path) -> None:
        """See Place."""
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        file.chmod(_MODE)
        file.replace(place)

    def finish(self, manifest: Manifest) -> None:
        """See Place."""
        for name, piece in self.there().items():
            if name not in manifest.files and name != _UNFINISHED:
                piece.path.unlink()
                with contextlib.suppress(OSError):
                    piece.path.parent.rmdir()
        remove_tree(self.scratch)
        flush_file_system(self.path)
        write_text(self.path / manifests.NAME, manifest.text())
        (self.path / _UNFINISHED).unlink()


class Tar:
    """A bundle that is one file: it grows beside its place, and is renamed when it is whole."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.scratch = path.with_name(f"{path.name}.parts")
        self._growing = path.with_name(f"{path.name}{_UNFINISHED}")
        self._previous = self.scratch / "previous.tar"
        self._lock = threading.Lock()

    def there(self) -> dict[str, Piece]:
        """See Place."""
        found: dict[str, Piece] = {}
        for path in (self.path, self._previous, self._growing):
            found.update(pieces_of_tar(path)[0] if path.is_file() else {})
        return found

    def begin(self, right: c.Mapping[str, Piece]) -> None:
        """See Place."""
        if self.path.is_dir() or (self.path.is_file() and manifests.NAME not in pieces_of_tar(self.path)[0]):
            raise _foreign(self.path)
        self.scratch.mkdir(parents=True, exist_ok=True)
        inside: dict[str, Piece] = {}
        if self._growing.is_file():
            inside, end = pieces_of_tar(self._growing)
            os.truncate(self._growing, end)
        if not inside.items() <= right.items():
            # Something in it is not to stay, and nothing can be taken out of a tar.
            self._growing.replace(self._previous)
            right = {name: self._moved(piece) for name, piece in right.items()}
        self._growing.touch()
        for name, piece in right.items():
            if piece.path != self._growing:
                self._append(name, piece)

    def _moved(self, piece: Piece) -> Piece:
        return piece._replace(path=self._previous) if piece.path == self._growing else piece

    def add(self, name: str, file: pathlib.Path) -> None:
        """See Place."""
        with self._lock:
            self._append(name, Piece(file, 0, file.stat().st_size))
        file.unlink()

    def finish(self, manifest: Manifest) -> None:
        """See Place."""
        text = self.scratch / manifests.NAME
        write_text(text, manifest.text())
        self.add(manifests.NAME, text)
        with self._growing.open("ab") as stream:
            # How a tar ends (pax(1)): two blocks of zeros, and zeros to the end of a record.
            stream.write(bytes(2 * tarfile.BLOCKSIZE))
            stream.write(bytes(-stream.tell() % tarfile.RECORDSIZE))
            stream.flush()
            os.fsync(stream.fileno())
        self._growing.replace(self.path)
        remove_tree(self.scratch)

    def _append(self, name: str, piece: Piece) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = piece.size, _MODE
        with self._growing.open("ab") as stream:
            stream.write(member.tobuf(tarfile.PAX_FORMAT))
            for block in piece.blocks():
                stream.write(block)
            stream.write(bytes(-member.size % tarfile.BLOCKSIZE))


def _foreign(path: pathlib.Path) -> FleetError:
    return FleetError(
        "there is something that is no bundle", where=str(path), remedy="Move it away, or set comfy_bundle_path"
    )
