# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input and bad days: a clear error before harm, a host that serves what it served, a later run that ends well."""

from __future__ import annotations

import json
import pathlib
import sys
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import ConvergeLock
from tests.integration.conftest import World
from tests.support.playbook import Playbooks

if t.TYPE_CHECKING:
    from collections.abc import Callable


def add_model(world: World, **more: t.Any) -> None:
    """One more model in the spec, locked."""
    added = world.forge.model("late.safetensors", size=200_000, seed="late", **more)
    entry = {"source": added.url, "target_subdir": "loras", "checksum": f"sha256:{added.sha256}"}
    world.spec["models"] = [*world.spec["models"], entry]
    world.lock()


def html_instead(world: World) -> Callable[[], None]:
    add_model(world)
    fault = world.forge.fault("html", "/models/late.safetensors")
    return lambda: world.forge.faults.remove(fault)


def other_bytes(world: World) -> Callable[[], None]:
    add_model(world)
    fault = world.forge.fault("wrong-content", "/models/late.safetensors")
    return lambda: world.forge.faults.remove(fault)


def gone_after_locking(world: World) -> Callable[[], None]:
    add_model(world)
    fault = world.forge.fault("status", "/models/late.safetensors", status=404)
    return lambda: world.forge.faults.remove(fault)


def other_wheel(world: World) -> Callable[[], None]:
    world.spec["python_packages"] = ["extra-paper"]
    world.forge.index("pypi").wheel("extra-paper", "1.0", modules={"extra_paper.py": "PAPER = 1\n"})
    world.lock()
    fault = world.forge.fault("wrong-content", "/files/*extra_paper*.whl")
    return lambda: world.forge.faults.remove(fault)


def index_down(world: World) -> Callable[[], None]:
    world.spec["python_packages"] = ["extra-paper"]
    world.forge.index("pypi").wheel("extra-paper", "1.0", modules={"extra_paper.py": "PAPER = 1\n"})
    world.lock()
    fault = world.forge.fault("status", "/files/*extra_paper*", status=404)
    return lambda: world.forge.faults.remove(fault)


def repository_down(world: World) -> Callable[[], None]:
    world.core.commit({"main.py": "print('newer')\n"})
    world.lock("core")
    fault = world.forge.fault("status", "/git/comfy/core*", status=404)
    return lambda: world.forge.faults.remove(fault)


Day = t.Callable[[World], t.Callable[[], None]]
DAYS: dict[Day, str] = {
    html_instead: "HTML",
    other_bytes: "sha256",
    gone_after_locking: "404",
    other_wheel: "extra-paper",
    index_down: "extra",
    repository_down: "there is no such repository",
}


@pytest.mark.parametrize("day", DAYS)
def test_a_bad_day_harms_nothing_and_passes(world: World, day: Day) -> None:
    world.playbooks.succeed("realize")
    home, models = world.home, sorted((world.root / "models").rglob("*.safetensors"))
    mend = day(world)
    failed = world.playbooks.run("realize")
    assert failed.returncode == 2, failed.output
    assert DAYS[day] in failed.output
    assert world.home == home
    assert sorted((world.root / "models").rglob("*.safetensors")) == models
    mend()
    world.playbooks.succeed("realize")
    assert world.playbooks.succeed("realize").changed == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"comfy": {"repo": "http://127.0.0.1:9/core"}}, "can not be reached"),
        ({"comfy": {"ref": "v404"}}, "has no branch or tag 'v404'"),
        ({"comfy": {"ref": None, "commit": "1" * 40}}, "is not in the repository"),
        ({"python_packages": ["colours>=3"]}, "palette"),
        ({"python_packages": ["no-such-package"]}, "no-such-package"),
    ],
)
def test_what_can_not_be_locked_says_why(world: World, change: dict[str, t.Any], reason: str) -> None:
    for key, value in change.items():
        merged = {**world.spec[key], **value} if isinstance(value, dict) else value
        world.spec[key] = {k: v for k, v in merged.items() if v is not None} if isinstance(merged, dict) else merged
    world.write()
    refused = world.playbooks.run("realize")
    assert refused.returncode == 2
    assert reason in refused.output
    assert not world.root.exists()


def test_a_way_to_make_room_that_there_is_not_is_refused_by_the_look(world: World) -> None:
    refused = world.playbooks.run("realize", comfy_space="tight")
    assert refused.returncode == 2
    assert "value of space must be one of: beside, replace, got: tight" in refused.output
    assert not world.root.exists()


def test_an_unknown_version_lists_those_that_are_there(world: World) -> None:
    unknown = world.playbooks.run("realize", version="wrold")
    assert unknown.returncode == 2
    assert "world" in unknown.output
    assert world.playbooks.run("drift", version="wrold").returncode == 4
    missing = world.playbooks.run("validate", version="")
    assert missing.returncode == 2
    assert "world" in missing.output


def test_a_host_without_the_python_is_refused_before_anything_changes(world: World) -> None:
    world.spec["env"] = {"COMFY_PYTHON": "python3.99"}
    path = world.directory / "versions/world.json"
    path.write_text(json.dumps(world.spec))
    refused = world.playbooks.run("realize")
    assert refused.returncode == 2
    assert "3.99" in refused.output
    assert not (world.root / "builds").exists()


def test_a_host_without_git_is_told_to_install_it(world: World) -> None:
    world.lock()
    bare = world.directory / "bin"
    bare.mkdir()
    hosts = {
        "machine": {
            "comfy_root": str(world.root),
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_shell_executable": "/bin/sh",
        }
    }
    inventory = world.directory / "bare.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    playbooks = Playbooks(world.playbooks.variables, inventory, environment={"PATH": str(bare)})
    refused = playbooks.run("realize")
    assert refused.returncode == 2
    assert "Install git on this host" in refused.output


def test_a_converge_that_still_runs_is_waited_for_and_then_named(world: World) -> None:
    world.lock()
    with ConvergeLock(world.root / "state", "somebody's converge", 5):
        begin = time.monotonic()
        refused = world.playbooks.run("realize", comfy_lock_timeout=1)
        assert time.monotonic() - begin > 1
    assert refused.returncode == 2
    assert "another converge holds this host: somebody's converge since" in " ".join(refused.output.split())
    world.playbooks.succeed("realize")


def test_a_root_that_is_a_file_is_refused(world: World, tmp_path: pathlib.Path) -> None:
    world.lock()
    world.root.write_text("")
    refused = world.playbooks.run("realize")
    assert refused.returncode == 2
    assert world.root.read_text() == ""
