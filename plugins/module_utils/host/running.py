# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs from a Python environment, as far as this user may look into processes (proc(5))."""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import pathlib

_PROCESSES = pathlib.Path("/proc")


def programs_of(environments: c.Iterable[pathlib.Path]) -> tuple[str, ...]:
    """Processes that were started as a program of an environment, or have files of it in use; for messages.

    A process whose user is another one says how it was started, but not which files it uses, nor its variables.
    """
    places = tuple(os.path.realpath(environment) for environment in environments)
    numbers = sorted(filter(str.isdecimal, os.listdir(_PROCESSES)), key=int) if places else []
    return tuple(
        f"{command or 'a program'} (process {number})"
        for number in numbers
        if (command := _command(_PROCESSES / number)) is not None and _is_of(_PROCESSES / number, command, places)
    )


def _command(process: pathlib.Path) -> str | None:
    """The program as it was called; None once the process has ended."""
    try:
        return os.fsdecode((process / "cmdline").read_bytes().partition(b"\0")[0])
    except OSError:
        return None


def _is_of(process: pathlib.Path, command: str, places: c.Sequence[str]) -> bool:
    # A Python of a virtual environment is a link to one elsewhere: only what it was called by leads here.
    return _directory(process, command) in [f"{place}/bin" for place in places] or _maps(process, places)


def _directory(process: pathlib.Path, command: str) -> str | None:
    """The real path of the directory that the program was found in."""
    if os.path.isabs(command):
        return os.path.realpath(os.path.dirname(command))
    with contextlib.suppress(OSError):
        current = os.readlink(process / "cwd")
        if "/" in command:
            return os.path.realpath(os.path.join(current, os.path.dirname(command)))
        for directory in _search_path(process):
            if command and os.access(os.path.join(current, directory, command), os.X_OK):
                return os.path.realpath(os.path.join(current, directory))
    return None


def _search_path(process: pathlib.Path) -> list[str]:
    """PATH of the variables that the process was started with, as activating an environment sets it."""
    for variable in (process / "environ").read_bytes().split(b"\0"):
        name, _separator, value = os.fsdecode(variable).partition("=")
        if name == "PATH":
            return value.split(":")
    return []


def _maps(process: pathlib.Path, places: c.Sequence[str]) -> bool:
    """Whether it has files of these directories in its memory: extension modules, and what they link to."""
    try:
        mapped = os.fsdecode((process / "maps").read_bytes())
    except OSError:
        return False
    return any(f" {place}/" in mapped for place in places)
