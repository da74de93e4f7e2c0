# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that becomes full while models come: that is said, nothing wrong is placed, and it goes on afterwards."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.models import receipt
from ansible_collections.comfyops.fleet.plugins.module_utils.models.apply import apply
from tests.support.lab.testing import demand_lab
from tests.unit.models.conftest import Host, converge, look

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 4_000_000
DISK = 2 << 20


@contextlib.contextmanager
def small_disk(path: pathlib.Path) -> Iterator[None]:
    """A file system of 2 MiB at ``path``."""
    # Who may have a lab may mount.
    demand_lab()
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(path)), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(path)), check=True)


def grow(path: pathlib.Path) -> None:
    subprocess.run(("mount", "-o", f"remount,size={16 * DISK}", str(path)), check=True)


@pytest.fixture
def many_connections(host: Host, soon: None) -> None:
    """Assistants come soon, and a connection is slow enough for them to help."""
    host.forge.fault("rate", "/models/*", rate=1_500_000)


def becomes_full(host: Host, disk: pathlib.Path, requests: int = 1) -> None:
    model, small = host.model("big.safetensors", size=SIZE), host.model("small.safetensors")
    with small_disk(disk):
        context = host.context(model, small)
        with pytest.raises(FleetError, match=r"big\.safetensors: .*No space left on device.*what has come is kept"):
            apply(context, look(context))
        assert not host.file("loras/big.safetensors").exists()
        assert not host.stored(model).exists()
        grow(disk)
        receipt._read_here.clear()
        came = sum(request.sent for request in host.gets("big"))
        assert len(host.gets("big")) >= requests
        host.forget()
        host.forge.faults.clear()
        converge(context)
        assert (
            host.file("loras/big.safetensors").read_bytes()
            == host.forge.model("big.safetensors", size=SIZE).content.data
        )
        assert came > DISK // 2
        assert sum(request.sent for request in host.gets("big")) < SIZE - DISK // 2
        assert list(host.layout.partial.iterdir()) == []


def test_the_stores_disk(host: Host) -> None:
    becomes_full(host, host.layout.store.parent)


@pytest.mark.usefixtures("many_connections")
def test_the_stores_disk_with_many_connections(host: Host) -> None:
    becomes_full(host, host.layout.store.parent, requests=3)


@pytest.mark.usefixtures("many_connections")
def test_the_only_disk_with_many_connections(host: Host) -> None:
    becomes_full(host, host.layout.root, requests=3)
