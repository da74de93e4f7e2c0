# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring files of a bundle to a host, in pieces: none takes much room on the way, and what was cut off goes on.

Not by plugin_utils/hosts/transfer.py, which has each file three times on two machines while it comes: models are large.
The host checks the bytes when all has arrived.
"""

from __future__ import annotations

import collections.abc as c
import pathlib
import shlex
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.pieces import Piece, unreadable
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.progress import Progress

PIECE_BYTES: t.Final = 128 << 20
_MOST_PIECES: t.Final = 100


class Sending(t.NamedTuple):
    """A file of a bundle for a host. path: where it arrives; have: bytes of it that are there."""

    piece: Piece
    path: str
    have: int


class _Part(t.NamedTuple):
    """Bytes of a file, and where in it they belong."""

    piece: Piece
    path: str
    start: int


def send(action: t.Any, files: c.Sequence[Sending], say: c.Callable[[str], object]) -> None:
    """Bring the files to the host of ``action``, an ActionBase, most of whose methods are not annotated.

    Raises FleetError when they do not get there.
    """
    progress = Progress("bringing the bundle", sum(file.piece.size - file.have for file in files), say)
    for batch in _batches(files):
        try:
            _send(action, batch)
        except OSError as error:
            raise unreadable(error, batch[0].piece.path) from error
        progress.add(sum(part.piece.size for part in batch))


def _batches(files: c.Iterable[Sending]) -> c.Iterator[list[_Part]]:
    batch: list[_Part] = []
    size = 0
    for part in (part for file in files for part in _parts(file)):
        if batch and (len(batch) == _MOST_PIECES or size + part.piece.size > PIECE_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(part)
        size += part.piece.size
    if batch:
        yield batch


def _parts(file: Sending) -> c.Iterator[_Part]:
    for start in range(file.have, max(file.piece.size, 1), PIECE_BYTES):
        size = min(PIECE_BYTES, file.piece.size - start)
        yield _Part(file.piece.part(start, size), file.path, start)


def _send(action: t.Any, parts: c.Sequence[_Part]) -> None:
    temporary = action._make_tmp_path()
    try:
        uploaded = [action._connection._shell.join_path(temporary, str(number)) for number in range(len(parts))]
        for part, path in zip(parts, uploaded, strict=True):
            _upload(action, part.piece, path)
        action._fixup_perms2((temporary, *uploaded))
        steps = [_append(part, path) for part, path in zip(parts, uploaded, strict=True)]
        done = action._low_level_execute_command(f"umask 077; {' && '.join(steps)}")
    finally:
        action._remove_tmp_path(temporary)
    if done["rc"] != 0:
        said = str(done["stderr"]).strip() or str(done["stdout"]).strip() or f"exit status {done['rc']}"
        raise FleetError(
            f"a file of the bundle can not be put on the host ({said})",
            where=str(pathlib.PurePosixPath(parts[0].path).parent),
            remedy="Look at the room there and at who may write, and run again",
        )


def _upload(action: t.Any, piece: Piece, path: str) -> None:
    if piece.is_whole:
        action._transfer_file(str(piece.path), path)
        return
    with tempfile.NamedTemporaryFile(prefix="comfyops-fleet-") as stream:
        for block in piece.blocks():
            stream.write(block)
        stream.flush()
        action._transfer_file(stream.name, path)


def _append(part: _Part, uploaded: str) -> str:
    """A shell command: add the bytes to what has come before, and to nothing else."""
    place = shlex.quote(part.path)
    directory = shlex.quote(str(pathlib.PurePosixPath(part.path).parent))
    source = shlex.quote(uploaded)
    if part.start == 0:
        return f"mkdir -p {directory} && cat {source} > {place} && rm -f {source}"
    return f'test "$(wc -c < {place})" -eq {part.start} && cat {source} >> {place} && rm -f {source}'
