# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A converge that is killed leaves only right files to be seen, and the next one finishes."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import time

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.models import receipt
from tests.support.trees import tree
from tests.unit.models.conftest import Host, actions, look, look_at_switch, switch

KILLS = 20
SIZE = 200_000


def killed(context: Context, lock: pathlib.Path, seconds: float, *options: str) -> bool:
    """Converge in another process and kill it that long after it began; False when it had ended before."""
    lock.write_text(json.dumps(context.lock.document))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.unit.models.converging", str(lock), str(context.layout.root), *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begin\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


def seen(host: Host) -> dict[str, str]:
    """What ComfyUI would see below MODELS_DIR: path to sha256. Fails for a link that leads to nothing."""
    files = [path for path in host.layout.models.rglob("*") if not path.is_dir()]
    return {str(path.relative_to(host.layout.models)): digest(path) for path in files}


def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_killed_at_random_moments(host: Host, tmp_path: pathlib.Path) -> None:
    chance = random.Random(20)
    host.forge.fault("rate", "/models/*", rate=600_000)
    stopped = 0
    for number in range(KILLS):
        receipt._read_here.clear()
        root = tmp_path / f"root{number}"
        host.layout = type(host.layout)(root)
        models = [host.model(f"{number}/{each}.safetensors", f"{each}.safetensors", size=SIZE) for each in range(6)]
        before = [*models[:2], {**models[2], "paths": models[3]["paths"]}]
        switch(host.context(*before, core="1"))
        after = host.context(*models[1:], core="2")
        served = {f"loras/{model['paths'][0].rpartition('/')[2]}": model["sha256"] for model in before}
        wanted = {f"loras/{model['name']}": model["sha256"] for model in models[1:]}
        stopped += killed(after, tmp_path / "lock.json", chance.uniform(0.0, 0.7))
        visible = seen(host)
        for path, sha256 in visible.items():
            assert sha256 in (served.get(path), wanted.get(path)), path
        for stored in host.layout.store.rglob("*"):
            assert stored.is_dir() or digest(stored) == stored.name
        switch(after)
        assert seen(host) == wanted
        assert list(host.layout.partial.iterdir()) == []
        assert host.asides() == {}
    assert stopped >= KILLS // 2, "most of them were killed on the way"


def test_a_killed_converge_ends_as_one_that_was_not(host: Host, tmp_path: pathlib.Path) -> None:
    models = [host.model(f"{each}.safetensors", size=SIZE) for each in range(3)]
    host.forge.fault("rate", "/models/*", rate=600_000)
    trees = []
    for name in ("killed", "whole"):
        context = host.context(*models)
        if name == "killed":
            assert killed(context, tmp_path / "lock.json", 0.2)
            assert actions(look(context))
        switch(context)
        assert look_at_switch(context).changes == ()
        trees.append(tree(host.layout.root, without=["receipts", "progress"]))
        host.layout.root.rename(tmp_path / name)
    assert trees[0] == trees[1]


def test_what_a_killed_download_has_got_is_not_fetched_again(host: Host, tmp_path: pathlib.Path) -> None:
    model = host.model("big.safetensors", size=2_000_000)
    number = host.forge.fault("rate", "/models/*", rate=2_000_000)
    assert killed(host.context(model), tmp_path / "lock.json", 0.5)
    part = host.layout.partial / f"{model['sha256']}.part"
    left = part.stat().st_size
    assert 0 < left < 2_000_000
    host.forge.faults.remove(number)
    host.forget()
    switch(host.context(model))
    [request] = host.gets("/models/")
    assert (request.headers["range"], request.sent) == (f"bytes={left}-", 2_000_000 - left)


def test_killed_downloads_in_ranges_fetch_next_to_nothing_twice(host: Host, tmp_path: pathlib.Path) -> None:
    """Each kill costs what is on the way and not yet written: here 20 ms of the connections' bytes."""
    chance = random.Random(9)
    host.forge.fault("rate", "/models/*", rate=250_000)
    again, ranged = [], 0
    for number in range(5):
        host.layout = type(host.layout)(tmp_path / f"root{number}")
        models = [host.model(f"{number}/{each}.safetensors", f"{each}.safetensors", size=750_000) for each in range(2)]
        host.forget()
        context = host.context(*models)
        kills = 0
        for _kill in range(2):
            kills += killed(context, tmp_path / "lock.json", chance.uniform(0.3, 0.8), "eager")
            ranged += any(host.layout.partial.glob("*.runs"))
        assert all(digest(path) == path.name for path in host.layout.store.rglob("*") if path.is_file())
        switch(context)
        assert seen(host) == {f"loras/{model['name']}": model["sha256"] for model in models}
        assert list(host.layout.partial.iterdir()) == []
        if kills:
            again.append(sum(request.sent for request in host.gets("/models/")) / 1_500_000 - 1)
    assert ranged, "some were killed while there were holes"
    assert statistics.median(again) < 0.15, again


@pytest.mark.parametrize("moment", ["adopted", "aside"])
def test_nothing_is_lost_between_two_steps(host: Host, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps in which somebody's file moves, cut off in between."""

    class Killed(BaseException):
        pass

    model = host.model("style.safetensors")
    path = host.file("loras/style.safetensors")
    path.parent.mkdir(parents=True)
    right = host.forge.model("style.safetensors").content.data
    path.write_bytes(right if moment == "adopted" else b"mine")
    original = pathlib.Path.replace

    def stop(self: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
        if str(target) == str(path):
            raise Killed
        return original(self, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(pathlib.Path, "replace", stop)
        switch(host.context(model))
    assert path.read_bytes() == (right if moment == "adopted" else b"mine")
    receipt._read_here.clear()
    switch(host.context(model))
    assert path.read_bytes() == right
    assert set(host.asides().values()) == (set() if moment == "adopted" else {b"mine"})
