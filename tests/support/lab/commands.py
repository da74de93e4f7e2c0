# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that the lab runs, with their output, their time limit, and nothing left of them afterwards."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from .errors import CommandError, LabError
from .processes import kill_families

# Administrators' commands, also when the caller's PATH is that of a plain user.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with ``extra``, and with the system's directories at the end of PATH."""
    merged = {**os.environ, **(extra or {})}
    path = merged.get("PATH", "")
    if not path.endswith(SYSTEM_PATH):
        merged["PATH"] = f"{path}:{SYSTEM_PATH}" if path else SYSTEM_PATH
    return merged


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
    check: bool = True,
    stdin: bytes | IO[bytes] = b"",
    cwd: Path | None = None,
    start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen,
) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to its end and give its status and output as text.

    ``env`` is added to this process's environment; ``stdin`` is what the command reads. After ``timeout`` seconds the
    command is killed with all its children. Raises CommandError for a status other than 0 when ``check``, and
    LabError when the time is over.

    The output goes through files, not pipes: a command that leaves a process in the background (ssh's connection
    sharing does) would otherwise seem to run for as long as that one.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
        if isinstance(stdin, bytes):
            given.write(stdin)
            given.seek(0)
        process = start(
            argv,
            stdin=given if isinstance(stdin, bytes) else stdin,
            stdout=out,
            stderr=err,
            env=environment(env),
            cwd=cwd,
        )
        expired = _wait(process, timeout)
        out.seek(0)
        err.seek(0)
        result = subprocess.CompletedProcess(
            list(argv), process.returncode, out.read().decode(errors="replace"), err.read().decode(errors="replace")
        )
    failure = CommandError(argv, result.returncode, result.stdout, result.stderr)
    if expired:
        raise LabError(f"killed after {timeout:g} s: {failure}")
    if check and result.returncode != 0:
        raise failure
    return result


def _wait(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for the end of ``process``; kill it and its children when it takes too long or we are interrupted."""
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return True
    finally:
        if process.returncode is None:
            kill_families(lambda around: [found for found in around if found.pid == process.pid])
            process.wait()
    return False
