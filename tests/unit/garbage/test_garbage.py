# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found on a host's disk while others are at work there, and what its removal gives."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.action.comfy_gc import table
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.plan import Rules, plan
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import lock_record
from ansible_collections.comfyops.fleet.plugins.modules.comfy_gc import Look
from tests.support.processes import environment

MIB = 1 << 20
# A program that makes and removes what looks like entries of a store, as other hosts do, until its input ends.
OTHER_HOST = """
import os, pathlib, select, shutil, sys
store = pathlib.Path(sys.argv[1])
print("at work", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for number in range(40):
        place = store / f"{number:02}" / "entry"
        place.mkdir(parents=True)
        (place / "file").write_bytes(b"x")
    for number in range(40):
        shutil.rmtree(store / f"{number:02}")
"""
# The same as a removal that is killed when it has begun.
KILLED = """
import os, pathlib, shutil, signal, sys
shutil.rmtree = lambda path: path.exists() and os.kill(os.getpid(), signal.SIGKILL)
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage import apply, observe
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
layout = Layout(pathlib.Path(sys.argv[1]))
apply.apply(layout, [item for item in observe.observe(layout, 0).items if str(item.path) == sys.argv[2]])
"""


def content(layout: Layout) -> list[str]:
    """All files below the root."""
    return sorted(str(path.relative_to(layout.root)) for path in layout.root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("directory", "file"),
    [
        ("builds/demo-0a1b2c3d4e5f", "main.py"),
        ("envs/0a1b2c3d4e5f", "pyvenv.cfg"),
        ("agent/uv-0a1b2c3d4e5f", "uv"),
        (f"cache/wheels/{'a' * 64}-cp312", "bin/tool"),
        ("cache/git/core-0a1b2c3d4e5f.git", "HEAD"),
    ],
)
def test_what_a_killed_removal_leaves_goes_with_the_next(tmp_path: pathlib.Path, directory: str, file: str) -> None:
    layout = Layout(tmp_path)
    kept = ["agent/uv-ffffffffffff/uv", "cache/wheels/README", "data/user/mine.json"]
    for name in (f"{directory}/{file}", *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("content\n")
    lock_record(layout, "demo-0a1b2c3d4e5f").parent.mkdir(parents=True)
    lock_record(layout, "demo-0a1b2c3d4e5f").write_text("{}")
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(tmp_path / directory)]
    assert subprocess.run(arguments, env=environment(), check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / directory).exists()
    assert [path for path in content(layout) if path.endswith(file) and ".removed." in path]
    rules = Rules(keep_builds=0)
    _planned, items = plan(observe(layout, time.time()), rules)
    apply(layout, items)
    gone = "builds" in directory
    assert content(layout) == sorted([*kept, *([] if gone else ["state/locks/demo-0a1b2c3d4e5f.json"])])
    assert plan(observe(layout, time.time()), rules)[1] == ()


def test_looking_goes_on_while_another_host_removes(tmp_path: pathlib.Path) -> None:
    layout = Layout(tmp_path / "root", shared_root=tmp_path / "shared")
    layout.store.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_HOST, str(layout.store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"at work\n"
        seen = [len(observe(layout, 0).items) for _look in range(200)]
        other.stdin.close()
    assert max(seen) > 0
    assert len(set(seen)) > 1, "it was at work all the time"


def test_what_several_things_share_is_free_when_all_go(tmp_path: pathlib.Path) -> None:
    one, other = tmp_path / "envs/0a1b2c3d4e5f/bin", tmp_path / f"cache/wheels/{'a' * 64}-cp312/bin"
    for directory in (one, other):
        directory.mkdir(parents=True)
    (one / "tool").write_bytes(os.urandom(MIB))
    os.link(one / "tool", other / "tool")
    options: dict[str, t.Any] = {"named": {}, "keep_builds": None, "part_days": 7.0, "aside_days": None}
    look = Look({"root": str(tmp_path), **options})
    look()
    found = look.result()
    assert {item["kind"]: item["size"] < MIB for item in found["garbage"]} == {"environment": True, "wheel": True}
    assert MIB <= found["freed"] < 2 * MIB
    assert "  1.0 MB  that several of these have in common" in table("machine", {**found, "notes": []})
