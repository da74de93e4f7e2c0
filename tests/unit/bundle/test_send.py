# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files get to a host in pieces, and go on where they were cut off. The host is this machine, by a real shell."""

from __future__ import annotations

import pathlib
import random
import shutil
import subprocess
import tempfile
import types
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle import send as sending
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.pieces import Piece
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.send import Sending, send

PIECE = 1000


class Here:
    """What an ActionBase can do, on this machine. sent: bytes of each file that was handed over."""

    def __init__(self) -> None:
        self._connection = types.SimpleNamespace(_shell=types.SimpleNamespace(join_path=lambda *parts: "/".join(parts)))
        self.sent: list[int] = []
        self.commands = 0
        self.cut_after: int | None = None

    def _make_tmp_path(self) -> str:
        return tempfile.mkdtemp()

    def _remove_tmp_path(self, path: str) -> None:
        shutil.rmtree(path)

    def _transfer_file(self, local: str, remote: str) -> None:
        if self.cut_after is not None and len(self.sent) >= self.cut_after:
            raise FleetError("the connection is gone")
        self.sent.append(pathlib.Path(local).stat().st_size)
        shutil.copyfile(local, remote)

    def _fixup_perms2(self, paths: t.Sequence[str]) -> None:
        for path in paths[1:]:
            pathlib.Path(path).chmod(0o600)

    def _low_level_execute_command(self, command: str) -> dict[str, t.Any]:
        self.commands += 1
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that files of some kB have several."""
    monkeypatch.setattr(sending, "PIECE_BYTES", PIECE)


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """A file as a tar is one: what is wanted is in the middle."""
    path = tmp_path / "source"
    path.write_bytes(random.Random(1).randbytes(10_000))
    return path


def silent(_line: str) -> None:
    """Nobody reads the progress."""


def test_large_and_small_and_empty_files(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    small, empty = tmp_path / "small", tmp_path / "empty"
    small.write_bytes(b"some bytes")
    empty.touch()
    wanted = {"large": Piece(source, 500, 4321), "small": Piece(small, 0, 10), "empty": Piece(empty, 0, 0)}
    here = Here()
    send(here, [Sending(piece, str(tmp_path / "host's files" / name), 0) for name, piece in wanted.items()], silent)
    for name, piece in wanted.items():
        assert (tmp_path / "host's files" / name).read_bytes() == piece.read()
    assert here.sent == [PIECE, PIECE, PIECE, PIECE, 321, 10, 0]
    assert here.commands == 5, "what is small goes together"


def test_what_was_cut_off_goes_on(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    place, piece = tmp_path / "host" / "file", Piece(source, 100, 5000)
    here = Here()
    here.cut_after = 2
    with pytest.raises(FleetError, match="the connection is gone"):
        send(here, [Sending(piece, str(place), 0)], silent)
    have = place.stat().st_size
    assert have == 2 * PIECE
    again = Here()
    send(again, [Sending(piece, str(place), have)], silent)
    assert place.read_bytes() == piece.read()
    assert sum(again.sent) == 5000 - have


def test_nothing_is_added_to_what_somebody_else_has_written(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"another length")
    with pytest.raises(FleetError, match="can not be put on the host"):
        send(Here(), [Sending(Piece(source, 0, 5000), str(place), 1000)], silent)
    assert place.read_bytes() == b"another length"


def test_a_place_that_can_not_be_made(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match=r"Not a directory|File exists"):
        send(Here(), [Sending(Piece(source, 0, 10), str(tmp_path / "file" / "below"), 0)], silent)
