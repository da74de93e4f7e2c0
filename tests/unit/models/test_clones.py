# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system whose files can share blocks (btrfs): what is copied elsewhere takes no room there."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.models import receipt
from tests.support.lab.testing import demand_lab
from tests.unit.models.conftest import Host, converge, look
from tests.unit.models.test_places import cannot

if t.TYPE_CHECKING:
    from collections.abc import Iterator

DISK = 120 << 20
SIZE = 16_000_000


@pytest.fixture
def root(host: Host, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The host's root, on a file system of its own."""
    # Who may have a lab may mount.
    demand_lab()
    image = tmp_path / "image"
    with image.open("wb") as stream:
        stream.truncate(DISK)
    host.layout.root.mkdir()
    subprocess.run(("mkfs.btrfs", "--quiet", str(image)), check=True, stdout=subprocess.DEVNULL)
    subprocess.run(("mount", "-o", "loop", str(image), str(host.layout.root)), check=True)
    yield host.layout.root
    subprocess.run(("umount", "--lazy", str(host.layout.root)), check=True)


def used(root: pathlib.Path) -> int:
    os.sync()
    found = os.statvfs(root)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def test_what_is_adopted_takes_no_room(host: Host, root: pathlib.Path) -> None:
    model = host.model("style.safetensors", size=SIZE)
    donor = root / "old" / "mine.bin"
    donor.parent.mkdir()
    donor.write_bytes(host.forge.model("style.safetensors", size=SIZE).content.data)
    before = used(root)
    converge(host.context(model, model_search_paths=(donor.parent,)))
    assert used(root) - before < SIZE // 4
    assert host.forge.requests == []
    donor.write_bytes(b"mine")
    assert host.file("loras/style.safetensors").stat().st_size == SIZE
    assert look(host.context(model, deep=True)).changes == ()


def test_a_place_without_links_is_a_clone(host: Host, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "symlink", cannot)
    model = host.model("style.safetensors", size=SIZE)
    converge(host.context(model))
    path = host.file("loras/style.safetensors")
    assert used(root) < 2 * SIZE
    assert (path.is_symlink(), path.stat().st_nlink, path.stat().st_mode & 0o777) == (False, 1, 0o444)
    more = host.model("more.safetensors", size=10_000)
    assert sum(need.size for need in look(host.context(model, more)).needs) == 10_000, "a clone takes no room"
    # Whoever writes into it writes into his own.
    path.chmod(0o644)
    path.write_bytes(b"mine")
    receipt._read_here.clear()
    assert host.stored(model).stat().st_size == SIZE
    [replace] = look(host.context(model)).changes
    assert (replace.action, replace.before) == ("replace", "other content, 4 B")
    converge(host.context(model))
    assert path.stat().st_size == SIZE
    assert host.asides() == {"models/loras/style.safetensors": b"mine"}
