# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by a Python of its own: keeps a program for as long as whoever started this lives, and ends it with all it made.

Its standard input is the life-line: nobody writes to it, and its end, which a kill of the starter brings about too, is
the order to stop. Its one line on standard output says how the program ended. Orphans of the program become children of
this process (PR_SET_CHILD_SUBREAPER, prctl(2)), so none outlives it, whatever process group it made for itself. Its
text is what is run, so it imports nothing of the collection.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
import typing as t

_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.1
_LAST_SECONDS = 10.0


def keep(order: dict[str, t.Any]) -> dict[str, t.Any]:
    """Start ``order["argv"]`` and stay until it has ended or is to end; says its exit status or why there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    told: list[int] = []

    def die_with_parent() -> None:
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # Handlers, since what is ignored stays so in the program.
        signal.signal(number, lambda received, _frame: told.append(received))
    try:
        with open(order["log"], "ab") as log:
            program = subprocess.Popen(  # pylint: disable=ansible-bad-function # it is no module
                order["argv"],
                cwd=order["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # For the case that this process, which has one thread, is killed itself.
                preexec_fn=die_with_parent,  # noqa: PLW1509 # pylint: disable=subprocess-popen-preexec-fn
            )
    except OSError as error:
        return {"error": str(error)}
    while program.poll() is None and not told and not _is_over(_LOOK_SECONDS):
        pass
    ended = program.returncode
    _end(program, float(order["grace"]))
    return {"status": ended}


def _is_over(seconds: float) -> bool:
    """Wait, and say whether the starter has let go."""
    readable, _writable, _failed = select.select([0], [], [], seconds)
    return bool(readable)


def _end(program: subprocess.Popen[bytes], grace: float) -> None:
    """End the program's group in order, then by force, then whatever has left the group."""
    if program.poll() is None:
        _signal_group(program.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(grace)
    _signal_group(program.pid, signal.SIGKILL)
    program.wait()
    deadline = time.monotonic() + _LAST_SECONDS
    while time.monotonic() < deadline:
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            reaped, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not reaped:
            time.sleep(_LOOK_SECONDS / 10)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _children() -> list[int]:
    """The processes whose parent this is (proc(5): the fourth field of stat)."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                if int(stat.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(keep(json.loads(sys.argv[1]))) + "\n")
