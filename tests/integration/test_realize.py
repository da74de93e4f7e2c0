# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole path on one machine: spec, lock, realize, again, and after every kind of change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t
import urllib.request

import pytest

from tests.integration.conftest import VERSION, World

if t.TYPE_CHECKING:
    from collections.abc import Callable


def test_a_bare_machine_and_a_second_run(world: World) -> None:
    first = world.playbooks.succeed("realize")
    assert first.changed > 0
    lock = (world.directory / "versions" / f"{VERSION}.lock.json").read_bytes()
    world.forge.forget_requests()
    second = world.playbooks.succeed("realize")
    assert second.changed == 0
    # The lock and the look: no further task runs.
    assert second.ok == 2
    assert world.forge.requests == []
    assert (world.directory / "versions" / f"{VERSION}.lock.json").read_bytes() == lock
    assert (world.home / "custom_nodes/palette/__init__.py").exists()
    assert (world.root / "models/checkpoints/one.safetensors").read_bytes() == world.checkpoint.content.data
    imported = [str(world.home / ".venv/bin/python"), "-c", "import torchlike, smallmath, colours.red, paper"]
    subprocess.run(imported, check=True)
    assert world.playbooks.run("drift").returncode == 0


def test_locking_again_gives_the_same_bytes_and_moves_only_what_is_named(world: World) -> None:
    world.lock()
    path = world.directory / "versions" / f"{VERSION}.lock.json"
    first = path.read_bytes()
    world.core.commit({"newer.py": ""})
    world.forge.index("pypi").wheel("colours", "2.5", modules={"colours/__init__.py": ""})
    assert world.lock().changed == 0
    assert path.read_bytes() == first
    assert world.playbooks.succeed("lock", comfy_lock_check=True).changed == 0
    world.lock("core")
    moved = json.loads(path.read_text())
    assert moved["core"]["commit"] == world.core.head()
    assert moved["targets"] == json.loads(first)["targets"]
    world.lock("colours")
    versions = {
        package["name"]: package["version"]
        for package in json.loads(path.read_text())["targets"]["default"]["packages"]
    }
    assert versions["colours"] == "2.5"
    path.unlink()
    world.lock()
    assert json.loads(path.read_text())["core"]["commit"] == world.core.head()


def test_a_stale_lock_is_refused_and_says_what_changed(world: World) -> None:
    world.lock()
    world.spec["python_packages"] = ["paper"]
    world.write()
    refused = world.playbooks.run("realize")
    assert refused.returncode == 2
    assert "the lock is stale" in refused.output
    assert "/python_packages: added" in refused.output
    assert world.playbooks.run("drift").returncode == 4
    assert not world.root.exists()


def new_core_commit(world: World) -> None:
    world.core.commit({"main.py": "print('newer')\n"})
    world.lock("core")


def node_removed(world: World) -> None:
    world.spec["custom_nodes"] = world.spec["custom_nodes"][:1]
    world.lock()


def package_pinned(world: World) -> None:
    world.spec["python_packages"] = ["colours==1.5"]
    world.lock()


def model_added(world: World) -> None:
    added = world.forge.model("lora.safetensors", size=50_000, seed="2")
    entry = {"source": added.url, "target_subdir": "loras", "checksum": f"sha256:{added.sha256}"}
    world.spec["models"] = [*world.spec["models"], entry]
    world.lock()


def model_replaced(world: World) -> None:
    other = world.forge.model("other.safetensors", size=60_000, seed="3")
    path = world.spec["models"][0]["target_path"]
    world.spec["models"] = [{"source": other.url, "target_path": path, "checksum": f"sha256:{other.sha256}"}]
    world.lock()


CHANGES = (new_core_commit, node_removed, package_pinned, model_added, model_replaced)


@pytest.mark.parametrize("change", CHANGES)
def test_one_run_converges_and_the_check_before_it_foretold_it(world: World, change: Callable[[World], None]) -> None:
    world.playbooks.succeed("realize")
    (world.home / "custom_nodes/palette/config.json").write_text('{"mine": true}')
    before = world.state()
    build = world.home.name
    change(world)
    foretold = world.applied("--check", "--diff")
    assert world.state() == before
    done = world.applied()
    assert done
    assert done == foretold
    assert world.playbooks.succeed("realize").changed == 0
    assert (world.home / "custom_nodes/palette/config.json").read_text() == '{"mine": true}'
    if change in (model_added, model_replaced):
        assert world.home.name == build


def test_the_check_before_the_first_run_foretells_it_and_writes_nothing(world: World) -> None:
    foretold = world.applied("--check", "--diff")
    assert not world.root.exists()
    assert not (world.directory / "versions" / f"{VERSION}.lock.json").exists()
    world.lock()
    assert world.applied() == foretold


def test_damage_is_shown_repaired_and_foretold(world: World) -> None:
    world.playbooks.succeed("realize")
    clean = world.state()
    (world.home / "custom_nodes/palette/__init__.py").write_text("edited\n")
    (world.home / "custom_nodes/stranger.py").write_text("x = 1\n")
    site = next((world.home / ".venv/lib").glob("python3*/site-packages"))
    shutil.rmtree(site / "colours")
    blob = next(path for path in (world.root / "store/sha256").rglob("*") if path.is_file())
    blob.chmod(0o644)
    os.truncate(blob, 1000)
    drift = world.playbooks.run("drift")
    assert drift.returncode == 2
    for part in ("palette/__init__.py", "stranger.py", "colours", "checkpoint.safetensors"):
        assert part in drift.output
    foretold = world.applied("--check")
    assert world.applied() == foretold
    assert world.state() == clean
    assert world.playbooks.run("drift").returncode == 0


def test_rollback_brings_back_models_and_data(world: World) -> None:
    world.playbooks.succeed("realize")
    first = world.home.name
    lock = (world.directory / "versions" / f"{VERSION}.lock.json").read_text()
    spec = json.dumps(world.spec)
    model_replaced(world)
    new_core_commit(world)
    world.playbooks.succeed("realize")
    assert world.home.name != first
    (world.home / "custom_nodes/palette/config.json").write_text("later")
    world.spec = json.loads(spec)
    world.write()
    (world.directory / "versions" / f"{VERSION}.lock.json").write_text(lock)
    world.forge.close()
    world.playbooks.succeed("realize")
    assert world.home.name == first
    assert (world.root / "models/checkpoints/one.safetensors").read_bytes() == world.checkpoint.content.data
    assert (world.home / "custom_nodes/palette/config.json").read_text() == "later"


def test_delete_removes_what_only_the_version_uses(world: World) -> None:
    world.playbooks.succeed("realize")
    refused = world.playbooks.run("delete")
    assert refused.returncode == 2
    assert "is the build that serves" in refused.output
    assert world.home.is_dir()
    world.playbooks.succeed("delete", comfy_force=True)
    assert [path.name for path in (world.root / "builds").iterdir() if not path.name.startswith(".")] == []
    assert list((world.root / "envs").iterdir()) == []
    assert any(path.is_file() for path in (world.root / "store").rglob("*"))
    assert world.playbooks.succeed("delete").changed == 0
    world.playbooks.succeed("realize")


def test_offline_it_installs_from_brought_wheels_and_names_what_is_missing(world: World) -> None:
    world.playbooks.succeed("realize")
    world.spec["python_packages"] = ["extra-paper"]
    extra = world.forge.index("pypi").wheel("extra-paper", "1.0", modules={"extra_paper.py": "PAPER = 1\n"})
    world.lock()
    wheels = world.directory / "wheels"
    wheels.mkdir()
    before = world.state()
    refused = world.playbooks.run("realize", comfy_offline=True)
    assert refused.returncode == 2
    assert "extra-paper 1.0 is not on this host and comfy_offline is set" in " ".join(refused.output.split())
    assert world.state() == before
    content = urllib.request.build_opener().open(extra.url).read()
    (wheels / extra.filename).write_bytes(content)
    world.forge.close()
    world.playbooks.succeed("realize", comfy_offline=True, comfy_wheels_dir=str(wheels))
    subprocess.run([str(world.home / ".venv/bin/python"), "-c", "import extra_paper"], check=True)
    assert world.playbooks.succeed("realize", comfy_offline=True).changed == 0


def test_a_model_in_a_nodes_folder_is_the_builds_own_and_not_carried(world: World) -> None:
    target = "$COMFY_HOME/custom_nodes/palette/weights.safetensors"
    for number in ("1", "2"):
        model = world.forge.model(f"weights{number}.safetensors", size=40_000, seed=f"w{number}")
        entry = {"source": model.url, "target_path": target, "checksum": f"sha256:{model.sha256}"}
        world.spec["models"] = [world.spec["models"][0], entry]
        world.core.commit({"main.py": f"print({number})\n"})
        world.lock("core")
        world.playbooks.succeed("realize")
        placed = world.home / "custom_nodes/palette/weights.safetensors"
        assert placed.read_bytes() == model.content.data
        assert world.playbooks.succeed("realize").changed == 0
