# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of an environment are found by real processes, however they were started."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import typing as t
import venv

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.running import programs_of

WAIT = "print('there', flush=True); input()"
OPEN = "import mmap; file = open('env/lib/extension.so')"
MAP = f"{OPEN}; held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ); file.close()"


@pytest.fixture
def environment(tmp_path: pathlib.Path) -> pathlib.Path:
    """An environment, a link to it as builds have, and something in it that is no Python."""
    place = tmp_path / "env"
    venv.create(place, symlinks=True)
    (place / "lib" / "extension.so").write_bytes(b"machine code")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / ".venv").symlink_to(place)
    return place


class Running(t.NamedTuple):
    """A process that waits, and what is said of the environment while it does."""

    number: int
    told: tuple[str, ...]


def told_of(environment: pathlib.Path, script: str) -> Running:
    """Run a script of bash beside the environment, which is to end in a Python that waits."""
    with subprocess.Popen(
        ["bash", "-c", script, "bash", WAIT, sys.executable],
        cwd=environment.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        told = programs_of([environment.with_name("other"), environment])
        process.communicate("\n")
    return Running(process.pid, told)


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ('exec "$PWD/env/bin/python" -c "$1"', "{directory}/env/bin/python"),
        ('exec "$PWD/build/.venv/bin/python" -c "$1"', "{directory}/build/.venv/bin/python"),
        ('exec build/.venv/bin/python -c "$1"', "build/.venv/bin/python"),
        ('cd build; exec ../env/bin/python -c "$1"', "../env/bin/python"),
        ('. env/bin/activate; exec python -c "$1"', "python"),
        ('cd build; PATH=.venv/bin:$PATH; exec python3 -c "$1"', "python3"),
        (f'exec "$2" -c "{MAP}; $1"', sys.executable),
    ],
)
def test_a_program_of_the_environment_is_found(environment: pathlib.Path, script: str, shown: str) -> None:
    number, told = told_of(environment, script)
    assert told == (f"{shown.format(directory=environment.parent)} (process {number})",)


@pytest.mark.parametrize(
    "script",
    [
        'cd env/bin; exec "$2" -c "$1" env/bin/python',
        '. env/bin/activate; exec "$2" -c "$1"',
        '. env/bin/activate; PATH=$(dirname "$2"):$PATH; exec python3 -c "$1"',
    ],
)
def test_others_are_not(environment: pathlib.Path, script: str) -> None:
    assert told_of(environment, script).told == ()


def test_without_environments_nothing_is_looked_at() -> None:
    assert programs_of([]) == ()
