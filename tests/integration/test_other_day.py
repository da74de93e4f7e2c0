# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lock with two targets on two machines, and again on a day on which everything has newer releases."""

from __future__ import annotations

import json
import platform
import shutil
import typing as t

import pytest

from tests.integration.conftest import VERSION
from tests.support.trees import tree

if t.TYPE_CHECKING:
    import pathlib

    from tests.integration.conftest import World

MACHINE = platform.machine()
# The file that each target gets of a release with one for each.
LIBRARIES = {"here": f"manylinux_2_28_{MACHINE}", "there": f"manylinux_2_17_{MACHINE}"}


@pytest.fixture
def pair(world: World) -> World:
    """The world with a second machine, and a target for each: by the machine's facts, and by the inventory."""
    inventory = json.loads((world.directory / "hosts.json").read_text())
    inventory["all"]["hosts"]["second"] = {"comfy_root": str(world.directory / "second"), "comfy_target": "there"}
    (world.directory / "hosts.json").write_text(json.dumps(inventory))
    for target, library in LIBRARIES.items():
        modules = {"torchlike.py": f"TARGET = {target!r}\n"}
        world.forge.index("pypi").wheel("torchlike", "1.1", tag=f"py3-none-{library}", modules=modules)
    # What this is not about.
    world.spec |= {"schema_version": 3, "custom_nodes": [], "models": [], "python_packages": ["colours", "paper"]}
    world.spec["python"] = {
        "targets": {
            "here": {"platform": f"{MACHINE}-manylinux_2_28", "match": {"hostname": platform.node()}},
            "there": {"platform": f"{MACHINE}-manylinux_2_17", "match": {"hostname": "another-machine-*"}},
        }
    }
    return world


def packages(world: World) -> dict[str, dict[str, str]]:
    """The lock's versions, by target."""
    lock = json.loads((world.directory / "versions" / f"{VERSION}.lock.json").read_text())
    return {
        name: {package["name"]: package["version"] for package in target["packages"]}
        for name, target in lock["targets"].items()
    }


def library(directory: pathlib.Path) -> str:
    """For which target the library is that a machine has."""
    (found,) = directory.glob("envs/*/lib/*/site-packages/torchlike.py")
    return found.read_text()


def test_each_of_two_machines_gets_its_target_and_the_same_bytes_on_another_day(pair: World) -> None:
    pair.lock()
    lock = pair.directory / "versions" / f"{VERSION}.lock.json"
    first = lock.read_bytes()
    pair.playbooks.succeed("realize")
    assert library(pair.directory / "machine") == "TARGET = 'here'\n"
    assert library(pair.directory / "second") == "TARGET = 'there'\n"
    before, versions = tree(pair.root / "envs"), packages(pair)
    # The other day: every package has a newer release, and a locked one has a file more.
    index = pair.forge.index("pypi")
    index.wheel("torchlike", "1.2", requires=["smallmath>=0.4"], modules={"torchlike.py": ""})
    index.wheel("torchlike", "1.1", modules={"torchlike.py": "TARGET = 'any'\n"})
    for name, version in (("smallmath", "0.4"), ("colours", "2.9"), ("paper", "1.1"), ("pip", "99.0")):
        index.wheel(name, version, modules={f"{name}.py": ""})
    for name in ("machine", "cache"):
        shutil.rmtree(pair.directory / name)
    pair.playbooks.succeed("realize", "--limit", "machine")
    assert lock.read_bytes() == first
    assert tree(pair.root / "envs") == before
    # An upgrade of one name moves it and what it needs, in both targets, and nothing else.
    pair.lock("torchlike")
    moved = {"torchlike": "1.2", "smallmath": "0.4"}
    assert packages(pair) == {target: {**found, **moved} for target, found in versions.items()}
    assert versions["here"]["colours"] == "2.0"
