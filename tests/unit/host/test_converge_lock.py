# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock against a second converge, with real processes."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import FILE_NAME, ConvergeLock
from tests.support.processes import environment

HOLD = """
import pathlib, sys, time
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import ConvergeLock
with ConvergeLock(pathlib.Path(sys.argv[1]), "the first", 30):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""
COUNT = """
import pathlib, sys, time
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import ConvergeLock
directory = pathlib.Path(sys.argv[1])
counter = directory / "counter"
for _round in range(20):
    with ConvergeLock(directory, "count", 60):
        value = int(counter.read_text())
        time.sleep(0.001)
        counter.write_text(str(value + 1))
"""


def hold(directory: pathlib.Path, seconds: float) -> subprocess.Popen[str]:
    """A process that holds the lock by the time this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory), str(seconds)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_converge_waits_for_the_first(tmp_path: pathlib.Path) -> None:
    with hold(tmp_path, 1.0):
        begin = time.monotonic()
        with ConvergeLock(tmp_path, "the second", 30):
            assert time.monotonic() - begin > 0.5
    assert not (tmp_path / FILE_NAME).exists()


def test_then_it_says_who_holds_the_host_and_since_when(tmp_path: pathlib.Path) -> None:
    with hold(tmp_path, 60) as first:
        with pytest.raises(FleetError, match=rf"the first since 20\d\d-.*Z \(pid {first.pid} on "):
            ConvergeLock(tmp_path, "the second", 0.3).__enter__()
        first.kill()


def test_a_dead_holder_is_taken_over_at_once(tmp_path: pathlib.Path) -> None:
    first = hold(tmp_path, 60)
    first.kill()
    first.communicate()
    assert (tmp_path / FILE_NAME).exists()
    begin = time.monotonic()
    with ConvergeLock(tmp_path, "the second", 30):
        assert time.monotonic() - begin < 5
        assert json.loads((tmp_path / FILE_NAME).read_text())["what"] == "the second"


@pytest.mark.parametrize(
    ("change", "age", "dead"),
    [
        ({"boot_id": "another boot"}, 0, True),
        ({"start_time": "1"}, 0, True),
        ({"machine": "another machine"}, 0, False),
        ({"machine": "another machine"}, 120, True),
    ],
)
def test_who_counts_as_dead(tmp_path: pathlib.Path, change: dict[str, t.Any], age: float, dead: bool) -> None:
    path = tmp_path / FILE_NAME
    with hold(tmp_path, 60) as first:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        then = time.time() - age
        os.utime(path, (then, then))
        if dead:
            with ConvergeLock(tmp_path, "the second", 0.3):
                pass
        else:
            with pytest.raises(FleetError, match="another machine"):
                ConvergeLock(tmp_path, "the second", 0.3).__enter__()
        first.kill()


def test_many_at_once_are_one_at_a_time(tmp_path: pathlib.Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [
        subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)], env=environment()) for _number in range(6)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * 6
    assert (tmp_path / "counter").read_text() == "120"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter"]
