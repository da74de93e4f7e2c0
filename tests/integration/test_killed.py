# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed at any moment, on the host or on the control node: the next one brings the same state."""

from __future__ import annotations

import pathlib
import random
import shutil
import subprocess
import time

import pytest

from tests.integration.conftest import World
from tests.support.processes import descendants, kill_tree


@pytest.mark.timeout(900)
@pytest.mark.parametrize("control_node_only", [False, True])
def test_a_killed_run_is_finished_by_the_next(world: World, control_node_only: bool) -> None:
    world.lock()
    begin = time.monotonic()
    world.playbooks.succeed("realize")
    whole = time.monotonic() - begin
    wanted = world.state()
    chance = random.Random(3)
    for number in range(4 if control_node_only else 20):
        world.root.rename(world.directory / f"machine-{number}")
        process = subprocess.Popen(world.playbooks.command("realize"), **world.playbooks.process_options())
        time.sleep(chance.uniform(0.8, whole))
        if control_node_only:
            process.kill()
        else:
            kill_modules(process.pid)
            kill_tree(process.pid)
        process.communicate()
        finish(world)
        assert world.state() == wanted
        shutil.rmtree(world.directory / f"machine-{number}")


def kill_modules(control_node: int) -> None:
    """SIGKILL the modules on the "host", which here are descendants of ansible-playbook, with their own children."""
    for pid in descendants(control_node):
        command = pathlib.Path(f"/proc/{pid}/cmdline")
        try:
            is_module = b"AnsiballZ" in command.read_bytes()
        except OSError:
            continue
        if is_module:
            kill_tree(pid)


def finish(world: World) -> None:
    """The next run; it waits for a module that outlived its control node."""
    world.playbooks.succeed("realize")
    assert world.playbooks.succeed("realize").changed == 0
