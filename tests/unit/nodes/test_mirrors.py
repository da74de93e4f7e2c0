# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache of repositories that several hosts, or several runs on a control node, fill at the same time."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import (
    ensure_commit,
    has_commit,
    mirror_path,
)
from tests.support.processes import environment
from tests.unit.nodes.conftest import Host

# What is left of a killed git is waited for less long than the server takes.
FETCH = """
import pathlib, sys
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import ensure_commit
git._LOCK_SECONDS = 0.2
mirrors, url, commit = sys.argv[1:]
ensure_commit(pathlib.Path(mirrors), url, commit, reachable_at=url, credentials={})
"""


def test_two_at_once_do_each_other_no_harm(host: Host, tmp_path: pathlib.Path) -> None:
    commits = [host.core.commit({"main.py": os.urandom(300_000).hex()}) for _number in range(2)]
    host.forge.fault("rate", "/git/comfy/core*/git-upload-pack", rate=300_000)
    mirrors = tmp_path / "mirrors"
    running = []
    for commit in commits:
        command = [sys.executable, "-c", FETCH, str(mirrors), host.core.url, commit]
        running.append(subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True))
        time.sleep(0.5)
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    mirror = mirror_path(mirrors, host.core.url)
    assert all(has_commit(mirror, commit) for commit in commits)
    checked = subprocess.run(["git", "-C", str(mirror), "fsck"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("lost", ["objects", "refs", "HEAD", "config", "config.lock"])
def test_what_a_killed_git_init_left_is_made_whole(
    host: Host, tmp_path: pathlib.Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "_LOCK_SECONDS", 0.1)
    mirrors, url = tmp_path / "mirrors", host.core.url
    mirror = mirror_path(mirrors, url)
    mirror.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "--template=", str(mirror)], check=True)
    if (mirror / lost).is_dir():
        shutil.rmtree(mirror / lost)
    elif lost == "config.lock":
        (mirror / "config").rename(mirror / lost)
    else:
        (mirror / lost).unlink()
    commit = host.core.commit({"main.py": "NUMBER = 1\n"})
    assert has_commit(ensure_commit(mirrors, url, commit, reachable_at=url, credentials={}), commit)


def test_a_git_that_a_killed_run_left_does_no_harm(host: Host, tmp_path: pathlib.Path) -> None:
    mirrors, url = tmp_path / "mirrors", host.core.url
    first, second, third = (host.core.commit({"main.py": f"NUMBER = {number}\n"}) for number in range(3))
    mirror = ensure_commit(mirrors, url, first, reachable_at=url, credentials={})
    host.forge.fault("delay", "/git/comfy/core*/git-upload-pack", seconds=1.5)
    before = len(host.forge.requests)
    with subprocess.Popen([sys.executable, "-c", FETCH, str(mirrors), url, second], env=environment()) as running:
        # It has asked what the server offers, has looked at what is here, and waits for what it wants of it.
        while len(host.forge.requests) == before and running.poll() is None:
            time.sleep(0.02)
        time.sleep(0.3)
        left = ["fetch", "--quiet", "--depth=1", host.core.path.as_uri(), third]
        subprocess.run(["git", "-C", str(mirror), *left], check=True)
    assert running.returncode == 0
    assert has_commit(mirror, second)
