# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Core and nodes on a host, with real git against the forge."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical
from tests.support import locks
from tests.support.processes import environment, kill_tree
from tests.support.trees import tree
from tests.unit.nodes.conftest import Host, converge, look

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context

APPLY = """
import json, pathlib, sys
from tests.unit.nodes.conftest import converge
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
lock = read_lock(json.loads(pathlib.Path(sys.argv[1]).read_text()))
converge(Context(lock, lock.targets["default"], Layout(pathlib.Path(sys.argv[2])), Settings()))
"""


def names(context: Context) -> list[tuple[str, str]]:
    """The actions of a look with what they are about."""
    return [(change.action, change.name) for change in look(context).changes]


def aside(context: Context) -> dict[str, bytes]:
    """What was put aside: path without the directories of the run and the build."""
    files = [path for path in context.layout.aside.rglob("*") if path.is_file()]
    return {"/".join(path.relative_to(context.layout.aside).parts[2:]): path.read_bytes() for path in files}


def git(directory: pathlib.Path, *arguments: str) -> str:
    """Run git as a user of the host would."""
    identity = ("-c", "user.name=u", "-c", "user.email=u@example.org")
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_bare_host_gets_both_and_a_second_run_asks_nobody(host: Host) -> None:
    context = host.context()
    assert names(context) == [("create", "ComfyUI"), ("create", "custom_nodes/palette")]
    converge(context)
    host.forge.forget_requests()
    assert look(context).changes == ()
    assert host.forge.requests == []
    assert git(context.home, "rev-parse", "HEAD") == host.core.head()
    assert git(context.home / "custom_nodes/palette", "remote", "get-url", "origin") == host.node.url
    assert (context.layout.data / "input/example.png").read_bytes() == b"\x89PNG example"


def test_checkouts_stand_without_cache_and_server(host: Host) -> None:
    context = host.context()
    converge(context)
    host.forge.close()
    (context.layout.cache).rename(context.layout.root / "gone")
    assert git(context.home, "fsck", "--full") == ""
    (context.home / "main.py").write_text("broken\n")
    converge(context)
    assert (context.home / "main.py").read_text() == "print('comfy')\n"


def test_edits_are_drift_and_are_kept_aside(host: Host) -> None:
    context = host.context()
    converge(context)
    node = context.home / "custom_nodes/palette"
    (node / "__init__.py").write_text("edited\n")
    (node / "data.bin").unlink()
    (context.home / "comfy/model.py").write_text("mine\n")
    assert names(context) == [
        ("restore", "ComfyUI/comfy/model.py"),
        ("restore", "custom_nodes/palette/__init__.py"),
        ("restore", "custom_nodes/palette/data.bin"),
    ]
    converge(context)
    assert (node / "data.bin").read_bytes() == b"\0\1"
    assert aside(context) == {"comfy/model.py": b"mine\n", "custom_nodes/palette/__init__.py": b"edited\n"}


def test_an_edit_that_keeps_size_and_time_is_seen(host: Host) -> None:
    context = host.context()
    converge(context)
    file = context.home / "main.py"
    before = file.stat()
    file.write_text("print('comfX')\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert names(context) == [("restore", "ComfyUI/main.py")]


def test_what_would_be_loaded_is_drift_and_data_is_not(host: Host) -> None:
    context = host.context()
    converge(context)
    node = context.home / "custom_nodes/palette"
    (node / "extra.py").write_text("x = 1\n")
    (node / "js/more.js").write_text("//\n")
    (node / "path.pth").write_text("import os\n")
    (node / "old.pyc").write_bytes(b"\0")
    (node / "weights.pth").write_bytes(b"\x80\x02\0 checkpoint")
    (node / "config.json").write_text("{}")
    (node / "__pycache__").mkdir()
    (node / "__pycache__/__init__.cpython-311.pyc").write_bytes(b"\0")
    (node / "clone/.git").mkdir(parents=True)
    (node / "clone/inner.py").write_text("y = 1\n")
    assert names(context) == [
        ("put aside", "custom_nodes/palette/clone/inner.py"),
        ("put aside", "custom_nodes/palette/extra.py"),
        ("put aside", "custom_nodes/palette/js/more.js"),
        ("put aside", "custom_nodes/palette/old.pyc"),
        ("put aside", "custom_nodes/palette/path.pth"),
    ]
    converge(context)
    assert (node / "config.json").exists()
    assert (node / "weights.pth").exists()
    assert look(context).notes == ("custom_nodes/palette: 2 run-time file(s), 16 bytes (no drift)",)


def test_foreign_nodes_are_put_aside_and_others_stay(host: Host) -> None:
    context = host.context()
    converge(context)
    nodes = context.home / "custom_nodes"
    (nodes / "stranger").mkdir()
    (nodes / "stranger/__init__.py").write_text("mine = 1\n")
    (nodes / "single.py").write_text("mine = 2\n")
    (nodes / "off.disabled").mkdir()
    (nodes / "off.disabled/__init__.py").write_text("")
    (nodes / "notes.txt").write_text("")
    (nodes / "linked").symlink_to(host.root.parent)
    assert names(context) == [
        ("put aside", "custom_nodes/linked"),
        ("put aside", "custom_nodes/single.py"),
        ("put aside", "custom_nodes/stranger"),
    ]
    converge(context)
    assert sorted(path.name for path in nodes.iterdir()) == [
        "notes.txt",
        "off.disabled",
        "palette",
        "websocket_image_save.py",
    ]
    assert aside(context)["custom_nodes/stranger/__init__.py"] == b"mine = 1\n"


def test_another_commit_is_checked_out_back(host: Host) -> None:
    context = host.context()
    converge(context)
    node = context.home / "custom_nodes/palette"
    (node / "new.py").write_text("new = 1\n")
    git(node, "add", "-A")
    git(node, "commit", "-m", "mine")
    (change,) = look(context).changes
    assert (change.action, change.before) == ("check out", git(node, "rev-parse", "HEAD")[:12])
    converge(context)
    assert git(node, "rev-parse", "HEAD") == host.node.head()
    assert aside(context) == {"custom_nodes/palette/new.py": b"new = 1\n"}


@pytest.mark.parametrize("damage", ["gone", "head", "index"])
def test_a_broken_repository_is_made_anew_around_its_files(host: Host, damage: str) -> None:
    context = host.context()
    converge(context)
    node = context.home / "custom_nodes/palette"
    (node / "config.json").write_text("{}")
    (node / "__init__.py").write_text("edited\n")
    if damage == "gone":
        (node / ".git").rename(host.root / "stolen")
    elif damage == "head":
        (node / ".git/HEAD").write_text("nonsense\n")
    else:
        (node / ".git/index").write_bytes(b"nonsense")
    converge(context)
    assert (node / "__init__.py").read_text() == "NODE_CLASS_MAPPINGS = {}\n"
    assert (node / "config.json").exists()


def test_marks_in_the_index_hide_nothing(host: Host) -> None:
    context = host.context()
    converge(context)
    git(context.home, "update-index", "--skip-worktree", "comfy/model.py")
    git(context.home, "update-index", "--assume-unchanged", "main.py")
    (context.home / "main.py").write_text("hidden\n")
    (context.home / "comfy/model.py").write_text("hidden\n")
    assert names(context) == [("check out", "ComfyUI")]
    converge(context)
    assert (context.home / "main.py").read_text() == "print('comfy')\n"


def test_a_link_in_place_of_a_directory_leads_nowhere(host: Host) -> None:
    context = host.context()
    converge(context)
    outside = host.root.parent / "outside"
    outside.mkdir()
    comfy = context.home / "comfy"
    comfy.rename(host.root / "was")
    comfy.symlink_to(outside)
    converge(context)
    assert list(outside.iterdir()) == []
    assert (comfy / "model.py").read_text() == "MODEL = 1\n"


def test_submodules_are_checked_out_and_restored(host: Host) -> None:
    inner = host.forge.repository("people/inner")
    commit = inner.commit({"inner.py": "INNER = 1\n"})
    host.node.submodule("lib/inner", inner.url, commit)
    submodules = [{"path": "lib/inner", "repo": inner.url, "commit": commit}]
    node = locks.node("palette", host.node.url, host.node.head(), submodules=submodules)
    context = host.context(locks.lock(locks.checkout(host.core.url, host.core.head()), [node]))
    converge(context)
    place = context.home / "custom_nodes/palette/lib/inner"
    assert (place / "inner.py").read_text() == "INNER = 1\n"
    (place / "inner.py").write_text("edited\n")
    assert names(context) == [("restore", "custom_nodes/palette/lib/inner/inner.py")]
    converge(context)


def test_data_directories_are_links_and_keep_what_was_written(host: Host) -> None:
    context = host.context()
    converge(context)
    output = context.home / "output"
    output.unlink()
    output.mkdir()
    (output / "picture.png").write_bytes(b"mine")
    assert names(context) == [("link", "ComfyUI/output")]
    converge(context)
    assert (context.layout.data / "output/picture.png").read_bytes() == b"mine"
    assert output.is_symlink()


def test_a_data_directory_takes_all_that_a_plain_one_has(host: Host, tmp_path: pathlib.Path) -> None:
    context = host.context()
    converge(context)
    output, data = context.home / "output", context.layout.data / "output"
    output.unlink()
    (output / "empty").mkdir(parents=True)
    (output / "large disk").symlink_to(tmp_path)
    (output / "gone").symlink_to("nowhere")
    for name in ("same", "other", "a directory there"):
        (output / name).write_text("content\n")
    (data / "same").write_text("content\n")
    (data / "other").symlink_to("nowhere")
    (data / "a directory there").mkdir()
    (data / "a file there").write_text("older\n")
    (output / "a file there").mkdir()
    (output / "a file there" / "inside").write_text("newer\n")
    converge(context)
    assert output.is_symlink()
    assert (output / "large disk").readlink() == tmp_path
    assert (output / "gone").readlink() == pathlib.Path("nowhere")
    assert ((output / "same").read_text(), (output / "empty").is_dir()) == ("content\n", True)
    assert (output / "other").readlink() == pathlib.Path("nowhere")
    assert (output / "a directory there").is_dir()
    assert (output / "a file there").read_text() == "older\n"
    aside = {path.name: path.read_text() for path in context.layout.aside.rglob("*") if path.is_file()}
    assert aside == {"other": "content\n", "a directory there": "content\n", "inside": "newer\n"}


def test_writable_paths_live_in_data(host: Host) -> None:
    node = locks.node("palette", host.node.url, host.node.head(), writable=["presets"])
    context = host.context(locks.lock(locks.checkout(host.core.url, host.core.head()), [node]))
    converge(context)
    (context.home / "custom_nodes/palette/presets/mine.json").write_text("{}")
    assert (context.layout.data / "nodes/palette/presets/mine.json").exists()
    assert look(context).changes == ()


def test_hooks_and_monitors_never_run(host: Host) -> None:
    context = host.context()
    converge(context)
    proof = host.root / "ran"
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        hook = context.home / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {proof}\n")
        hook.chmod(0o755)
    git(context.home, "config", "core.fsmonitor", f"touch {proof};false")
    proof.unlink(missing_ok=True)
    (context.home / "main.py").write_text("edited\n")
    converge(context)
    assert not proof.exists()


def test_lfs_pointers_are_refused(host: Host) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345678\n"
    host.node.commit({"model.safetensors": pointer})
    context = host.context()
    with pytest.raises(FleetError, match=r"node palette: .*Git LFS pointers.*model.safetensors"):
        converge(context)
    assert not (context.home / "custom_nodes/palette").exists()


def test_a_commit_that_the_server_lacks_is_named(host: Host) -> None:
    node = locks.node("palette", host.node.url, "1" * 40)
    with pytest.raises(FleetError, match=r"palette.*commit 1{40} is not in the repository"):
        converge(host.context(locks.lock(locks.checkout(host.core.url, host.core.head()), [node])))


def test_a_server_that_gives_no_commit_by_name_still_serves(host: Host) -> None:
    old = host.node.head()
    host.node.commit({"newer.py": "n = 1\n"})
    host.node.fetch_by_commit = False
    node = locks.node("palette", host.node.url, old)
    context = host.context(locks.lock(locks.checkout(host.core.url, host.core.head()), [node]))
    converge(context)
    assert git(context.home / "custom_nodes/palette", "rev-parse", "HEAD") == old


def test_all_faults_of_a_batch_are_reported(host: Host) -> None:
    nodes = [locks.node(name, f"{host.node.url}-{name}", "1" * 40) for name in ("one", "two")]
    with pytest.raises(FleetError) as caught:
        converge(host.context(locks.lock(locks.checkout(host.core.url, host.core.head()), nodes)))
    assert "node one" in str(caught.value)
    assert "node two" in str(caught.value)


def test_offline_names_what_is_missing_before_anything_changes(host: Host) -> None:
    context = host.context(offline=True)
    assert [obstacle.where for obstacle in look(context).obstacles] == [host.core.url, host.node.url]
    converge(host.context())
    again = host.context(offline=True)
    (again.home / "custom_nodes/palette").rename(host.root / "moved")
    assert look(again).obstacles == ()
    host.forge.close()
    converge(again)


def test_manager_is_configured_to_install_nothing(host: Host) -> None:
    manager = host.forge.repository("ltdrdata/ComfyUI-Manager")
    manager.commit({"__init__.py": ""})
    node = locks.node("ComfyUI-Manager", manager.url, manager.head())
    context = host.context(locks.lock(locks.checkout(host.core.url, host.core.head()), [node]))
    converge(context)
    config = context.layout.data / "user/__manager/config.ini"
    config.write_text("[default]\nnetwork_mode = public\nchannel_url = https://mine.example\n")
    assert names(context) == [("configure", "data/user/__manager/config.ini")]
    converge(context)
    assert "network_mode = offline" in config.read_text()
    assert "channel_url = https://mine.example" in config.read_text()
    assert any("install nothing" in note for note in look(context).notes)


@pytest.mark.parametrize("with_children", [True, False])
def test_a_killed_run_is_finished_by_the_next(host: Host, tmp_path: pathlib.Path, with_children: bool) -> None:
    document = tmp_path / "lock.json"
    document.write_text(canonical(host.document()))
    context = host.context()
    converge(context)
    outside = (".git", ".making", "state", "cache")
    wanted = tree(host.root, without=outside)
    chance, killed = random.Random(7), 0
    for number in range(10):
        host.root.rename(tmp_path / f"old{number}")
        command = [sys.executable, "-c", APPLY, str(document), str(host.root)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
        time.sleep(chance.uniform(0.1, 0.7))
        if with_children:
            kill_tree(process.pid)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        for directory in (context.home, context.home / "custom_nodes/palette"):
            whole = ("status", "--porcelain", "--untracked-files=no", "--", "*.py")
            assert not directory.exists() or git(directory, *whole) == ""
        converge(context)
        assert tree(host.root, without=outside) == wanted
    # Runs that ended by themselves prove nothing.
    assert killed > 0
