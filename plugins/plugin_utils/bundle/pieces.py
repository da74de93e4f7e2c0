# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bytes of a bundle's files are: files of a directory, or ranges of a tar, which is not packed."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import hashlib
import os
import pathlib
import tarfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_BLOCK: t.Final = 1 << 20
_RECORD: t.Final = tarfile.BLOCKSIZE


class Piece(t.NamedTuple):
    """``size`` bytes of a file from ``offset`` on."""

    path: pathlib.Path
    offset: int
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether it is all of a file."""
        return self.offset == 0 and self.size == self.path.stat().st_size

    def part(self, start: int, size: int) -> Piece:
        """A range of it."""
        return Piece(self.path, self.offset + start, size)

    def blocks(self) -> c.Iterator[memoryview]:
        """Its bytes; each block is only good until the next. Raises OSError where there are fewer."""
        left = self.size
        buffer = memoryview(bytearray(min(_BLOCK, max(left, 1))))
        with self.path.open("rb", buffering=0) as stream:
            stream.seek(self.offset)
            while left:
                count = stream.readinto(buffer[: min(left, len(buffer))])
                if not count:
                    raise OSError(0, "it is shorter than it was", str(self.path))
                left -= count
                yield buffer[:count]

    def read(self) -> bytes:
        """All its bytes; for small ones."""
        return b"".join(map(bytes, self.blocks()))

    def sha256(self) -> str:
        """Of its bytes. Raises OSError."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()


def pieces_of(path: pathlib.Path) -> dict[str, Piece]:
    """The files of a bundle at ``path``, by name. Raises FleetError for what is no bundle."""
    try:
        if path.is_dir():
            return dict(_of_directory(path))
        found, _end = pieces_of_tar(path)
    except FileNotFoundError as error:
        raise FleetError("there is no bundle", where=str(path), remedy="Write it with bundle.yml") from error
    except OSError as error:
        raise unreadable(error, path) from error
    return found


def unreadable(error: OSError, path: pathlib.Path) -> FleetError:
    """What is told of bytes of a bundle that cannot be read. path: where, if the error does not say it."""
    return FleetError(
        f"can not be read ({error.strerror})",
        where=str(error.filename or path),
        remedy="See that the file is there and that you may read it, or write the bundle again with bundle.yml",
    )


def _of_directory(path: pathlib.Path) -> c.Iterator[tuple[str, Piece]]:
    for parent, directories, names in os.walk(path):
        directories[:] = [each for each in directories if not each.startswith(".")]
        for name in names:
            file = pathlib.Path(parent, name)
            if file.is_file() and not file.is_symlink():
                yield str(file.relative_to(path)), Piece(file, 0, file.stat().st_size)


def pieces_of_tar(path: pathlib.Path) -> tuple[dict[str, Piece], int]:
    """The whole files of a tar, and where the last of them ends. One that was cut off has those before the cut."""
    found: dict[str, Piece] = {}
    size, end = path.stat().st_size, 0
    with path.open("rb") as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r:") as content:
                while (member := content.next()) is not None:
                    padded = member.offset_data + -(-member.size // _RECORD) * _RECORD
                    if not member.isreg() or member.issparse() or padded > size:
                        break
                    found[member.name] = Piece(path, member.offset_data, member.size)
                    end = padded
        except tarfile.TarError:
            return found, end
    return found, end


def hashes_of(pieces: c.Iterable[Piece], done: c.Callable[[int], None]) -> dict[Piece, str]:
    """The sha256 of each, read on all cores. done: told of the bytes of each that was read. Raises OSError."""
    largest_first = sorted(set(pieces), key=lambda piece: -piece.size)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        running = {pool.submit(piece.sha256): piece for piece in largest_first}
        found = {}
        for future in concurrent.futures.as_completed(running):
            found[running[future]] = future.result()
            done(running[future].size)
    return found
