# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that are built, from the spec to a machine: locked, pushed, kept, lost, and built on another host."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import typing as t

from tests.integration.conftest import VERSION, World
from tests.unit.resolve.test_builds import backend


def add_own_package(world: World) -> None:
    """Let the spec have a package of a git repository."""
    repository = world.forge.repository("people/own")
    commit = repository.commit(backend("return make(wheel_directory, 'own', {'own.py': 'A = 1'})"))
    world.spec["schema_version"] = 3
    world.spec["python_packages"] = [{"name": "own", "git": repository.url, "commit": commit}]
    world.write()


def locked(world: World) -> dict[str, t.Any]:
    """The package in the lock."""
    path = world.directory / "versions" / f"{VERSION}.lock.json"
    packages = json.loads(path.read_text())["targets"]["default"]["packages"]
    return next(package for package in packages if package["name"] == "own")


def stored(world: World) -> pathlib.Path:
    """Where the control node keeps its wheel."""
    package = locked(world)
    place: pathlib.Path = world.directory / "versions" / "wheels" / package["sha256"][:12] / package["file"]
    return place


def test_a_built_package_reaches_the_machine(world: World) -> None:
    add_own_package(world)
    world.playbooks.succeed("lock", "--check")
    assert not (world.directory / "versions" / "wheels").exists()
    world.lock()
    assert [action["after"] for action in world.applied() if action["name"] == "own"] == ["1.0"]
    python = world.home / ".venv/bin/python"
    subprocess.run([str(python), "-c", "import own; assert own.A == 1"], check=True)
    world.forge.forget_requests()
    # Who has everything needs neither the forge nor the control node's wheel.
    wheel = stored(world)
    shutil.rmtree(wheel.parent)
    assert world.playbooks.succeed("realize", comfy_offline=True).changed == 0
    shutil.rmtree(world.root)
    refused = world.playbooks.run("realize")
    assert refused.returncode == 2
    assert "is not on the control node, and hosts have it from nowhere else" in refused.output
    assert "what was built is built again by lock.yml" in refused.output
    before = locked(world)
    assert world.lock().changed == 0
    assert (locked(world), wheel.is_file()) == (before, True)
    world.applied()
    subprocess.run([str(python), "-c", "import own"], check=True)


def test_a_host_that_the_user_names_builds(world: World) -> None:
    """The target's glibc is older than the control node's: then the named host builds, if there is one."""
    add_own_package(world)
    inventory = json.loads((world.directory / "hosts.json").read_text())
    inventory["all"]["hosts"]["workshop"] = {}
    (world.directory / "hosts.json").write_text(json.dumps(inventory))
    done = world.playbooks.succeed("lock", "--limit", "machine", comfy_builder="workshop")
    assert "on the builder workshop" in done.output
    record = json.loads(stored(world).with_name(f"{stored(world).name}.json").read_text())
    assert record["builder"]["name"] == "the builder workshop"
    brought = world.directory / "cache/comfyops-fleet/builder"
    # What the next build needs as well stays there.
    assert [path.name for path in brought.glob("*/*")] == ["uv"]


def test_a_build_that_fails_on_another_host(world: World) -> None:
    repository = world.forge.repository("people/own")
    commit = repository.commit(backend("raise RuntimeError('this is why')"))
    world.spec["schema_version"] = 3
    world.spec["python_packages"] = [{"name": "own", "git": repository.url, "commit": commit}]
    world.write()
    failed = world.playbooks.run("lock", comfy_builder="machine")
    assert failed.returncode == 2
    assert "RuntimeError: this is why" in failed.output
    assert str(world.directory / "cache/comfyops-fleet/logs/build-own-default.log") in failed.output
