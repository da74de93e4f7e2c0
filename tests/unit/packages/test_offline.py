# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without the network: what the host has, what comfy_wheels_dir has, and what is missing, said before any change."""

from __future__ import annotations

import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import entry_path
from tests.unit.packages.conftest import PYTHON, Host, converge, locked, look, site, told

if t.TYPE_CHECKING:
    from tests.support.locks import Document


@pytest.fixture
def wheels(host: Host, tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with the wheels of six and pip, but not of attrs; indexes have all of them."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    host.index.wheel("attrs", "25.3.0")
    for release in (host.index.wheel("six", "1.17.0"), host.pip):
        shutil.copy(release.content.path, directory / release.filename)
    return directory


def entry(host: Host, name: str) -> Document:
    """The lock's entry for a release of the default index."""
    return locked(next(release for release in host.index.releases if release.name == name))


def test_wheels_that_were_brought_are_enough(host: Host, wheels: pathlib.Path) -> None:
    context = host.context([entry(host, "six")], offline=True, wheels_dir=wheels)
    assert look(context).obstacles == ()
    converge(context)
    assert (site(context) / "six").is_dir()
    assert host.forge.requests == []


def test_wheels_that_were_brought_are_taken_first_with_the_network_too(host: Host, wheels: pathlib.Path) -> None:
    context = host.context([entry(host, "six"), entry(host, "attrs")], wheels_dir=wheels)
    converge(context)
    assert {request.path.split("/")[2] for request in host.forge.requests if "simple" in request.path} == {"attrs"}


def test_a_brought_wheel_is_held_against_the_lock(host: Host, wheels: pathlib.Path) -> None:
    path = wheels / "six-1.17.0-py3-none-any.whl"
    content = bytearray(path.read_bytes())
    content[content.index(b"__version__")] ^= 1
    path.write_bytes(content)
    with pytest.raises(FleetError, match="six"):
        converge(host.context([entry(host, "six")], offline=True, wheels_dir=wheels))
    assert list((host.root / "envs").iterdir()) == []


def test_each_missing_distribution_is_named_before_anything_changes(host: Host, wheels: pathlib.Path) -> None:
    host.index.wheel("tqdm", "4.67.1")
    names = ("attrs", "six", "tqdm")
    planned = look(host.context([entry(host, name) for name in names], offline=True, wheels_dir=wheels))
    assert [str(obstacle).partition(" is not on this host")[0] for obstacle in planned.obstacles] == [
        f"{wheels}: attrs 25.3.0",
        f"{wheels}: tqdm 4.67.1",
    ]
    assert "Put tqdm-4.67.1-py3-none-any.whl into comfy_wheels_dir" in str(planned.obstacles[1])
    assert not host.root.exists()


def test_what_the_cache_has_is_enough(host: Host, wheels: pathlib.Path) -> None:
    names = ("attrs", "six")
    converge(host.context([entry(host, name) for name in names]))
    converge(host.context([entry(host, "attrs")]))
    shutil.rmtree(host.root / "envs")
    host.forge.forget_requests()
    context = host.context([entry(host, name) for name in names], offline=True)
    assert told(converge(context))[:2] == ["install attrs: None > 25.3.0", "install six: None > 1.17.0"]
    assert host.forge.requests == []


def test_what_the_cache_has_of_named_indexes_and_urls_is_found(host: Host) -> None:
    cpu = host.forge.index("cpu")
    torch = locked(cpu.wheel("torch", "2.9.0+cpu"))
    other = cpu.wheel("sageattention", "2.2.0+cu130")
    packages = [torch, locked(other, index=None, url=other.url, source="wheel")]
    converge(host.context(packages))
    shutil.rmtree(host.root / "envs")
    host.forge.close()
    assert told(converge(host.context(packages, offline=True)))[:2] == [
        "install sageattention: None > 2.2.0+cu130",
        "install torch: None > 2.9.0+cpu",
    ]


def test_an_environment_that_is_there_needs_nothing(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))])
    converge(context)
    shutil.rmtree(context.layout.cache)
    offline = host.context([locked(host.index.wheel("six", "1.17.0"))], offline=True)
    planned = look(offline)
    assert (planned.changes, planned.obstacles) == ((), ())


def test_another_version_in_the_cache_is_not_enough(host: Host) -> None:
    converge(host.context([locked(host.index.wheel("six", "1.17.0"))]))
    planned = look(host.context([locked(host.index.wheel("six", "1.17"))], offline=True))
    assert "six 1.17 is not on this host" in str(planned.obstacles[0])


def test_a_store_that_only_seemed_to_have_it_ends_in_a_clear_error(host: Host) -> None:
    """A look at the store does not read it: what is damaged there is named by the converge, and nothing changes."""
    six = locked(host.index.wheel("six", "1.17.0"))
    converge(host.context([six]))
    shutil.rmtree(host.root / "envs")
    context = host.context([six], offline=True)
    for package in context.target.packages:
        next(entry_path(context.layout, package, PYTHON).rglob("*.dist-info/METADATA")).unlink()
    assert look(context).obstacles == ()
    with pytest.raises(
        FleetError, match=r"is not on this host and comfy_offline is set\. Bring it in comfy_wheels_dir"
    ):
        converge(context)
    assert list(context.layout.envs.iterdir()) == []
