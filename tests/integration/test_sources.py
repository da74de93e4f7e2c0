# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on sources, from the command line to its files, with a machine that is looked at and without."""

from __future__ import annotations

import json
import shutil
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import World
    from tests.support.playbook import Run

# A host that nothing answers for.
GONE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def settings(world: World, **variables: t.Any) -> dict[str, t.Any]:
    """Write to the world's own directory; bills of materials take a second, so only where a test is about them."""
    return {"comfy_sources_dir": str(world.directory / "report"), "comfy_sources_sbom": False, **variables}


def sources(world: World, *options: str, **variables: t.Any) -> Run:
    """Run the playbook, which has to succeed."""
    return world.playbooks.succeed("sources", *options, **settings(world, **variables))


def refused(world: World, **variables: t.Any) -> Run:
    """Run it, and it has to fail."""
    run = world.playbooks.run("sources", **settings(world, **variables))
    assert run.returncode != 0, run.output
    return run


def coverage(world: World) -> dict[str, t.Any]:
    """What the report says is declared, locked, installed, importable."""
    document = json.loads((world.directory / "report" / "sources.json").read_text())
    (target,) = document["targets"].values()
    found: dict[str, t.Any] = target["coverage"]
    return found


def site(world: World) -> Path:
    """The packages of the machine's environment."""
    (found,) = (world.home / ".venv").glob("lib/*/site-packages")
    return found


def add_gone(world: World) -> None:
    """Add the host that nothing answers for."""
    inventory = json.loads((world.directory / "hosts.json").read_text())
    inventory["all"]["hosts"]["gone"] = {**GONE, "comfy_root": "/nowhere"}
    (world.directory / "hosts.json").write_text(json.dumps(inventory))


def test_a_report_needs_a_lock_and_no_host(world: World) -> None:
    unlocked = refused(world)
    assert unlocked.returncode == 2
    assert "lock.yml" in unlocked.output
    world.lock()
    planned = sources(world, "--check", "--diff")
    assert (planned.changed, (world.directory / "report").exists()) == (1, False)
    assert "+# Package sources of world" in planned.output
    wrong = refused(world, why=["colors"])
    assert wrong.returncode == 2
    assert "no target has a package colors. It has colours" in wrong.output
    assert (world.directory / "report" / "sources.csv").exists()
    first = sources(world, why="smallmath,Colours", limits=["colours"], comfy_sources_sbom=True)
    assert f"the report: {world.directory}/report/sources.html" in first.output
    assert "5 PyPI (100.0 %)" in first.output
    assert "core (requirements.txt) -> torchlike>=1 -> smallmath" in first.output
    assert "node palette (requirements.txt) -> colours<3,>=1" in first.output
    assert "below 3       node palette (requirements.txt): colours<3,>=1" in first.output
    (target,) = json.loads((world.directory / "report" / "sources.json").read_text())["targets"]
    names = {f"sbom-{target}.cdx.json", "sources.csv", "sources.html", "sources.json", "sources.md"}
    assert {path.name for path in (world.directory / "report").iterdir()} == names
    assert {name: first.recap[name]["changed"] for name in first.recap} == {"localhost": 1}
    assert coverage(world)["installed"] == {}
    assert sources(world, comfy_sources_sbom=True).changed == 0


def test_machines_are_looked_at(world: World) -> None:
    world.spec.update(schema_version=3, verify={"imports": ["torchlike", "colours.red"]})
    world.lock()
    add_gone(world)
    bare = refused(world, comfy_hosts="machine")
    assert (bare.returncode, bare.recap["machine"]["failed"]) == (2, 1)
    assert "realize.yml" in bare.output
    world.playbooks.succeed("realize", "--limit", "machine")
    assert sources(world, comfy_hosts="machine").changed == 1
    found = coverage(world)
    assert found["installed"] == {"machine": found["to_install"]}
    assert found["imports"] == {"colours.red": None, "torchlike": None}
    assert (found["failures"], found["not_looked_at"]) == ([], {})

    unreached = refused(world, comfy_hosts="all")
    assert unreached.returncode == 4, unreached.output
    assert (unreached.recap["machine"]["failed"], unreached.recap["gone"]["unreachable"]) == (0, 1)
    assert coverage(world)["installed"].keys() == {"machine"}
    assert coverage(world)["not_looked_at"].keys() == {"gone"}

    stranger = site(world) / "stranger-6.6.dist-info"
    stranger.mkdir()
    (stranger / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 6.6\n")
    shutil.rmtree(site(world) / "colours")
    broken = refused(world, comfy_hosts="machine")
    assert broken.returncode == 2
    assert "stranger 6.6 is installed, and has no source" in broken.output
    assert "ModuleNotFoundError: No module named 'colours'" in broken.output
    assert coverage(world)["imports"]["colours.red"] == "ModuleNotFoundError: No module named 'colours'"


def test_that_a_host_could_not_be_looked_at_hides_no_fault_of_the_lock(world: World) -> None:
    add_gone(world)
    world.lock()
    lock = world.directory / "versions" / "world.lock.json"
    locked = json.loads(lock.read_text())
    for target in locked["targets"].values():
        target["packages"] = [each for each in target["packages"] if each["name"] != "colours"]
    lock.write_text(json.dumps(locked))
    both = refused(world, comfy_hosts="gone")
    assert both.returncode == 4, both.output
    assert "could not look: " in both.output
    assert "asks for colours<3,>=1, and the lock has no colours" in both.output
