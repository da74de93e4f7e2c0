# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kept program ends with its keeper's starter: real processes, really killed."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.kept import KeptProcess
from tests.support.processes import descendants, environment

if t.TYPE_CHECKING:
    from collections.abc import Sequence

# Deaf to SIGTERM, with a child in a session of its own, whose parent is gone: what a node may well do.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
nap = "import os, time; print('child', os.getpid(), flush=True); time.sleep(600)"
middle = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {nap!r}], start_new_session=True)"
subprocess.run([sys.executable, "-c", middle])
print("ready", os.getpid(), flush=True)
time.sleep(600)
"""
START = """
import pathlib, sys
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.kept import KeptProcess
argv = [sys.executable, "-c", sys.argv[2]]
with KeptProcess(argv, cwd=pathlib.Path("/"), environment={}, log=pathlib.Path(sys.argv[1]), grace=0.2) as kept:
    kept.wait(600)
"""


def kept(log: pathlib.Path, argv: Sequence[str], grace: float = 5.0, **variables: str) -> KeptProcess:
    return KeptProcess(argv, cwd=log.parent, environment=variables, log=log, grace=grace)


def pids(log: pathlib.Path) -> list[int]:
    """Waits for the two lines of STUBBORN."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        lines = log.read_text().split() if log.exists() else []
        if "ready" in lines and "child" in lines:
            return [int(word) for word in lines if word.isdigit()]
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_it_says_how_a_program_ended_and_what_it_printed(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print(os.environ['X'], os.environ.get('HOME')); sys.exit(7)"
    with kept(log, [sys.executable, "-c", code], X="one") as process:
        assert process.wait(20)
        assert process.returncode == 7
    assert log.read_text() == "one None\n"


def test_a_program_that_is_not_there_is_a_fault(tmp_path: pathlib.Path) -> None:
    with kept(tmp_path / "log", [str(tmp_path / "none")]) as process, pytest.raises(FleetError, match="No such file"):
        process.wait(20)


def test_stop_is_gentle_first(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    code = "import signal, sys, time; signal.signal(15, lambda *_: (print('bye'), sys.exit())); print('up', flush=True)"
    with kept(log, [sys.executable, "-c", f"{code}\ntime.sleep(600)"]) as process:
        while not (log.exists() and "up" in log.read_text()):
            assert not process.wait(0.02)
    assert log.read_text().split() == ["up", "bye"]


def test_stop_leaves_nothing(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    with kept(log, [sys.executable, "-c", STUBBORN], grace=0.2) as process:
        left = pids(log)
        assert not process.wait(0)
    assert [gone(pid) for pid in left] == [True, True]


def test_a_kill_of_the_starter_leaves_nothing(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    starter = subprocess.Popen([sys.executable, "-c", START, str(log), STUBBORN], env=environment())
    left = pids(log)
    starter.kill()
    starter.wait()
    assert [gone(pid) for pid in left] == [True, True]


def test_a_kill_of_the_keeper_takes_the_program_along_and_is_told(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    code = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
    with kept(log, [sys.executable, "-c", code]) as one:
        while not (log.exists() and log.read_text().endswith("\n")):
            assert not one.wait(0.02)
        program = int(log.read_text().split()[1])
        keeper = next(pid for pid in descendants(os.getpid()) if program in descendants(pid))
        os.kill(keeper, signal.SIGKILL)
        with pytest.raises(FleetError, match="was killed"):
            one.wait(20)
    assert gone(program)
