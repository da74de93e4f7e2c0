# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no lock needs any more: shown with its size, removed when asked, and never what something needs."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import time
import typing as t

from tests.integration.conftest import VERSION

if t.TYPE_CHECKING:
    from tests.integration.conftest import World

DAY = 86400.0


def second_version(world: World) -> None:
    """Another core, node, package and model in place of those of the first."""
    world.core.commit({"main.py": "print('second')\n"})
    world.forge.index("pypi").wheel("extra-paper", "1.0", modules={"extra_paper.py": "PAPER = 1\n"})
    other = world.forge.model("other.safetensors", size=250_000, seed="other")
    world.spec["custom_nodes"] = world.spec["custom_nodes"][:1]
    world.spec["python_packages"] = ["extra-paper"]
    world.spec["models"] = [
        {"source": other.url, "target_subdir": "loras", "checksum": f"sha256:{other.sha256}"},
    ]


def listed(world: World, **variables: t.Any) -> list[str]:
    """The rows of the table that gc.yml prints."""
    output = world.playbooks.succeed("gc", **variables).output
    _before, _separator, rest = output.partition("that no lock needs\n")
    return [line for line in rest.partition("\n\n")[0].splitlines() if line.startswith("  ")]


def tree_of(root: pathlib.Path) -> set[str]:
    """Every file, less what each run writes."""
    files = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    return {path for path in files if not path.startswith(("state/", "agent/"))}


def old_part(directory: pathlib.Path, digit: str) -> pathlib.Path:
    """A download that nobody has gone on with for eight days."""
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / (digit * 64)
    part.write_bytes(b"x" * 5000)
    os.utime(part, (time.time() - 8 * DAY, time.time() - 8 * DAY))
    return part


def test_what_no_lock_needs_goes_when_asked_and_nothing_else(world: World) -> None:
    world.playbooks.succeed("realize")
    first, before = world.home.name, tree_of(world.root)
    assert world.playbooks.succeed("gc", remove=True).changed == 0
    assert tree_of(world.root) == before, "what is in use is no garbage"
    versions = world.directory / "versions"
    shutil.copy(versions / f"{VERSION}.lock.json", versions / "kept.lock.json")
    second_version(world)
    world.lock("core")
    world.playbooks.succeed("realize")
    second = world.home.name
    blob = world.root / "store/sha256" / world.checkpoint.sha256[:2] / world.checkpoint.sha256
    rows = " ".join(listed(world, comfy_gc_keep_builds=0))
    assert "1 build(s)" in rows and "model" not in rows and "wheel" not in rows, "a lock that is kept names them"
    (versions / "kept.lock.json").write_text("{")
    refused = world.playbooks.run("gc", remove=True)
    assert refused.returncode == 2
    assert "kept.lock.json: can not be read" in refused.output
    (versions / "kept.lock.json").unlink()
    assert listed(world) == [], "the first build is there still"

    link = world.root / "models/checkpoints/by-hand.safetensors"
    link.symlink_to(blob)
    said = world.playbooks.succeed("gc", comfy_gc_keep_builds=0).output
    assert "1 model(s) stay that no lock names: links in MODELS_DIR lead to them" in said
    link.unlink()
    checked = world.playbooks.succeed("gc", "--check", "--diff", remove=True, comfy_gc_keep_builds=0)
    assert (checked.changed, blob.is_file(), (world.root / "builds" / first).is_dir()) == (1, True, True)
    done = world.playbooks.succeed("gc", remove=True, comfy_gc_keep_builds=0)
    assert done.changed == 1
    assert "1 model(s)" in done.output and "1 environment(s)" in done.output and "1 repository(s)" in done.output
    assert not blob.exists()
    assert [path.name for path in (world.root / "builds").iterdir() if not path.name.startswith(".")] == [second]
    assert len(list((world.root / "envs").iterdir())) == 1
    assert not list((world.root / "cache/git").glob("people-notebook-*"))
    assert not [path for path in (world.root / "state/locks").iterdir() if path.stem == first]
    assert (world.root / "data").is_dir()
    assert world.playbooks.succeed("realize").changed == 0, "what serves is whole"


def test_downloads_that_nobody_goes_on_with_and_what_was_put_aside(world: World) -> None:
    old = old_part(world.root / "store/partial", "a")
    new = old.with_name("b" * 64)
    aside = world.root / "state/aside/20200101T000000Z"
    aside.mkdir(parents=True)
    for path in (new, aside / "edited.py"):
        path.write_bytes(b"x" * 5000)
    os.utime(aside, (time.time() - 8 * DAY, time.time() - 8 * DAY))
    said = world.playbooks.succeed("gc", "-e", "remove=false")
    assert "1 part(s)" in said.output
    assert (said.changed, old.exists()) == (0, True), "a value of key=value is text"
    world.playbooks.succeed("gc", "-e", "remove=true")
    assert (old.exists(), new.exists(), aside.exists()) == (False, True, True)
    world.playbooks.succeed("gc", remove=True, comfy_gc_aside_days=5)
    assert not aside.exists()


def test_hosts_that_share_a_store_are_asked_first(world: World) -> None:
    inventory = json.loads((world.directory / "hosts.json").read_text())
    shared = world.directory / "shared"
    hosts = {name: {"comfy_root": str(world.directory / name)} for name in ("machine", "other")}
    hosts["other"]["comfy_models_dir"] = str(world.directory / "models of other")
    inventory["all"] = {**inventory["all"], "hosts": hosts}
    inventory["all"]["vars"]["comfy_shared_root"] = str(shared)
    (world.directory / "hosts.json").write_text(json.dumps(inventory))
    world.playbooks.succeed("realize")
    second_version(world)
    world.lock("core")
    world.playbooks.succeed("realize", "--limit", "machine")
    blob = shared / "store/sha256" / world.checkpoint.sha256[:2] / world.checkpoint.sha256
    (record,) = (world.directory / "other/state/locks").iterdir()
    kept = record.rename(world.directory / record.name)
    unknown = world.playbooks.run("gc", remove=True, comfy_gc_keep_builds=0)
    assert (unknown.returncode, blob.is_file()) == (2, True)
    assert f"{record.stem}: what this build needs is not known: no lock of it is recorded" in unknown.output
    assert [unknown.recap[host]["failed"] for host in hosts] == [1, 1], "neither host removes what the other may need"
    kept.rename(record)
    part = old_part(shared / "store/partial", "a")
    done = world.playbooks.succeed("gc", remove=True, comfy_gc_keep_builds=0)
    assert (part.exists(), done.output.count("1 part(s)")) == (False, 1), "the second looks when the first is done"
    assert blob.is_file(), "the other host serves it"
    world.playbooks.succeed("realize")
    (record,) = (path for path in record.parent.iterdir() if path != record)
    # Then the lock in the versions directory says what that build needs.
    kept = record.rename(world.directory / record.name)
    link = world.directory / "models of other" / "by-hand.safetensors"
    link.symlink_to(blob)
    world.playbooks.succeed("gc", remove=True, comfy_gc_keep_builds=0)
    assert blob.is_file(), "somebody linked to it on the other host"
    link.unlink()
    kept.rename(record)
    world.playbooks.succeed("gc", remove=True, comfy_gc_keep_builds=0)
    assert not blob.exists()
    assert world.playbooks.succeed("realize").changed == 0


def test_hosts_that_are_left_out_may_need_what_is_shared(world: World) -> None:
    inventory = json.loads((world.directory / "hosts.json").read_text())
    roots = {"machine": "here", "other": "here", "elsewhere": "there", "database": None}
    hosts = {
        name: {"comfy_root": str(world.directory / name)}
        | ({"comfy_shared_root": str(world.directory / shared)} if shared else {})
        for name, shared in roots.items()
    }
    inventory["all"]["hosts"] = hosts
    (world.directory / "hosts.json").write_text(json.dumps(inventory))
    part = old_part(world.directory / "here/store/partial", "a")
    left_out = world.playbooks.run("gc", remove=True, comfy_hosts="machine")
    assert left_out.returncode == 2
    assert "what other needs of what the hosts share is not known" in left_out.output
    limited = world.playbooks.run("gc", "--limit", "machine", remove=True, comfy_hosts="machine:other")
    assert limited.returncode == 2
    assert "what other needs of what the hosts share is not known" in limited.output
    assert part.exists()
    world.playbooks.succeed("gc", remove=True, comfy_hosts=["machine", "other"])
    assert not part.exists()
    world.playbooks.succeed("gc", remove=True, comfy_hosts="elsewhere")
