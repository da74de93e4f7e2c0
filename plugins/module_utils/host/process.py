# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that a host runs for us: argument lists only, C locale, with a time limit, killed with their children.

AnsibleModule.run_command is not used because parts work in threads: it calls ``sys.exit`` on failure and installs a
``preexec_fn``, and neither is safe there.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_SHOWN = 2000


@dataclasses.dataclass(frozen=True)
class Completed:
    """How a program ended."""

    returncode: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "surrogateescape")


class ProcessFailed(FleetError):
    """A program that ended with a failure; ``stderr`` has what it printed."""

    def __init__(self, argv: c.Sequence[str], completed: Completed) -> None:
        self.completed = completed
        self.stderr = completed.stderr
        shown = completed.stderr.strip()[-_SHOWN:] or f"exit status {completed.returncode}"
        super().__init__(f"{pathlib.Path(argv[0]).name} {' '.join(argv[1:3])} failed: {shown}")


def run(
    argv: c.Sequence[str],
    *,
    cwd: pathlib.Path | None = None,
    environment: c.Mapping[str, str | None] | None = None,
    timeout: float = 3600,
    stdin: bytes | None = None,
    check: bool = True,
    user: int | None = None,
) -> Completed:
    """Run ``argv`` and wait for it.

    environment: added to a copy of this process's; None takes a variable out. timeout: seconds. user: the number of the
    user and group that it is to run as, without further groups; only root may say one.
    Raises ProcessFailed when ``check`` and the exit status is not 0, FleetError when the program is not there or ran
    out of time.
    """
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function # see above
            argv,
            cwd=cwd,
            env=_environment(environment or {}),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    except FileNotFoundError as error:
        raise _not_there(argv[0], cwd) from error
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _kill_group(process)
        raise FleetError(f"{' '.join(argv[:3])} did not end within {timeout:.0f} s") from error
    except BaseException:
        _kill_group(process)
        raise
    completed = Completed(process.returncode, stdout, stderr.decode("utf-8", "replace"))
    if check and completed.returncode != 0:
        raise ProcessFailed(argv, completed)
    return completed


def _not_there(program: str, cwd: pathlib.Path | None) -> FleetError:
    if cwd is not None and not cwd.is_dir():
        remedy = "Somebody removed it at this moment; run it again"
        return FleetError("the directory is not there", where=str(cwd), remedy=remedy)
    return FleetError(f"{program} is not there", remedy=f"Install {pathlib.Path(program).name} on this host")


def _environment(changes: c.Mapping[str, str | None]) -> dict[str, str]:
    merged = {**os.environ, "LC_ALL": "C.UTF-8", **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
        with contextlib.suppress(OSError):
            stream.close()
