# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that ends with this process, however this process ends."""

from __future__ import annotations

import collections.abc as c
import contextlib
import inspect
import json
import pathlib
import select
import subprocess
import sys
import types
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.launch import keeper

_ENDING_SECONDS = 15.0


class KeptProcess:
    """A program, started by a keeper; leaving its ``with`` block ends it and all that it has started.

    argv: the program. environment: all of its variables. log: a file that takes what it prints, at its end. grace:
    seconds from SIGTERM to SIGKILL.
    """

    def __init__(
        self,
        argv: c.Sequence[str],
        *,
        cwd: pathlib.Path,
        environment: c.Mapping[str, str],
        log: pathlib.Path,
        grace: float,
    ) -> None:
        order = {"argv": list(argv), "cwd": str(cwd), "log": str(log), "grace": grace}
        self._grace = grace
        self._said: dict[str, t.Any] | None = None
        # Isolated (-I): the variables are for the program, and some of them are Python's.
        self._keeper = subprocess.Popen(  # pylint: disable=ansible-bad-function # it outlives a call of run_command
            [sys.executable, "-I", "-c", inspect.getsource(keeper), json.dumps(order)],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> KeptProcess:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: types.TracebackType | None
    ) -> None:
        self.stop()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for the program to end by itself; says whether it has. Raises FleetError."""
        if self._said is None and self._keeper.stdout is not None:
            readable, _writable, _failed = select.select([self._keeper.stdout], [], [], seconds)
            if readable:
                self._read()
        return self._said is not None

    @property
    def returncode(self) -> int | None:
        """The exit status with which the program ended by itself, negative for a signal; None before."""
        status = (self._said or {}).get("status")
        return int(status) if status is not None else None

    def stop(self) -> None:
        """End the program, if it runs, and everything that it has started."""
        if self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
        try:
            self._keeper.wait(self._grace + _ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()

    def _read(self) -> None:
        line = self._keeper.stdout.readline() if self._keeper.stdout is not None else b""
        try:
            self._said = json.loads(line)
        except ValueError as error:
            self._said = {}
            raise FleetError(
                "what watches over the process was killed, and the process with it",
                where="ComfyUI",
                remedy="Look at what ends processes on this host: its log for the out-of-memory killer",
            ) from error
        if self._said is not None and "error" in self._said:
            raise FleetError(f"can not be started: {self._said['error']}", where="ComfyUI")
