# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of tests, killed as a power cut would: all of a tree at once."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """The environment in which a Python that a test starts finds the collection and the tests."""
    return {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'collections'}{os.pathsep}{CHECKOUT}"}


def kill_tree(pid: int) -> None:
    """SIGKILL the process ``pid`` and all its descendants; it is stopped first, so that it starts no further ones."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    for doomed in (*descendants(pid), pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(doomed, signal.SIGKILL)


@contextlib.contextmanager
def command_lines() -> Iterator[set[bytes]]:
    """What every user of the machine sees of every process while this lasts: arguments, with spaces between them."""
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" "))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``, the deepest first (proc(5): the fourth field of stat is the parent)."""
    children: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.extend(below)
        waiting.extend(below)
    return found[::-1]
