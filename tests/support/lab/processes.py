# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of this machine as the kernel shows them in /proc, whatever namespaces they are in.

Source: proc(5), pid_namespaces(7).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from .errors import LabError

PROC = Path("/proc")
_START_TIME_FIELD = 19
_PARENT_FIELD = 1
_STATE_FIELD = 0
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclasses.dataclass(frozen=True)
class Process:
    """One process: ``pid`` and ``parent`` as this machine counts, ``inner`` as its own pid namespace does."""

    pid: int
    inner: int
    parent: int
    command: str
    pid_namespace: int
    network_namespace: int


@dataclasses.dataclass(frozen=True)
class Identity:
    """A process for good: a pid may be given again, but not with the same start time in the same boot."""

    pid: int
    start: int
    boot: str

    @property
    def alive(self) -> bool:
        """Whether that very process still runs (a zombie does not)."""
        return identity(self.pid) == self

    def terminate(self) -> None:
        """SIGTERM to that very process, if it still runs."""
        if self.alive:
            _signal(self.pid, signal.SIGTERM)


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command, which may itself hold blanks and brackets."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def identity(pid: int) -> Identity | None:
    """The identity of a process that runs, or None."""
    try:
        fields = _fields(pid)
    except _GONE:
        return None
    if fields[_STATE_FIELD] in "ZX":
        return None
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return Identity(pid, int(fields[_START_TIME_FIELD]), boot)


def _process(pid: int) -> Process | None:
    directory = PROC / str(pid)
    try:
        fields = _fields(pid)
        if fields[_STATE_FIELD] in "ZX":
            return None
        status = (directory / "status").read_text()
        inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]
        return Process(
            pid=pid,
            inner=int(inner),
            parent=int(fields[_PARENT_FIELD]),
            command=(directory / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace"),
            pid_namespace=(directory / "ns/pid").stat().st_ino,
            network_namespace=(directory / "ns/net").stat().st_ino,
        )
    except (*_GONE, StopIteration):
        return None


def environment_of(pid: int) -> list[bytes]:
    """NAME=value of a process as it was started; empty when it has ended."""
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except _GONE:
        return []


def running() -> list[Process]:
    """All processes that this machine sees, zombies and those that end while we look left out."""
    found = (_process(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None]


def with_descendants(roots: Iterable[Process], among: Iterable[Process]) -> list[Process]:
    """``roots`` and all their children, grandchildren, ... of ``among``."""
    family = {process.pid: process for process in roots}
    rest = [process for process in among if process.pid not in family]
    while True:
        children = [process for process in rest if process.parent in family]
        if not children:
            return list(family.values())
        family.update((process.pid, process) for process in children)
        rest = [process for process in rest if process.pid not in family]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_families(choose: Callable[[list[Process]], Iterable[Process]]) -> list[Process]:
    """SIGKILL the processes that ``choose`` picks out of all, with all their descendants; give those killed.

    They are stopped first, until no new ones appear: else a parent could start a child between the look and the kill.
    """
    stopped: dict[int, Process] = {}
    while True:
        around = running()
        chosen = {process.pid for process in choose(around)} | stopped.keys()
        family = with_descendants([process for process in around if process.pid in chosen], around)
        fresh = [process for process in family if process.pid not in stopped]
        if not fresh:
            break
        for process in fresh:
            _signal(process.pid, signal.SIGSTOP)
            stopped[process.pid] = process
    for pid in stopped:
        _signal(pid, signal.SIGKILL)
    return list(stopped.values())


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Return as soon as ``condition`` holds; LabError with the text ``otherwise`` after ``seconds`` without."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"{otherwise} (waited {seconds:g} s)")
        time.sleep(0.005)
