# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program uv, run so that nothing of this machine or its user decides what comes out."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

# Certificates belong to how the network is reached; everything else of uv's environment would change the result.
_KEPT: t.Final = frozenset({"UV_SYSTEM_CERTS", "UV_NATIVE_TLS"})
# COLUMNS: uv would break its messages into lines of that length.
_DROPPED: t.Final = frozenset(
    {"COLUMNS", "RUST_LOG", "RUST_BACKTRACE", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"}
)


class Outcome(t.NamedTuple):
    """How a run of uv ended, and what it said."""

    succeeded: bool
    messages: str


def find_uv() -> str:
    """The path of uv: of the Python package ``uv``, else in PATH. Raises FleetError when there is none."""
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise FleetError(
            "the program uv, which resolves Python packages, is not on the control node",
            remedy=f"Install it: {sys.executable} -m pip install uv",
        )
    return found


def run_uv(arguments: c.Sequence[str], *, directory: pathlib.Path, cache: pathlib.Path) -> Outcome:
    """Run uv in ``directory`` with its cache in ``cache``. Raises FleetError when it cannot be started."""
    command = [find_uv(), "--no-config", "--no-progress", "--color", "never", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=_environment(cache),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        raise FleetError(f"uv cannot be started: {error}", where=command[0]) from error
    return Outcome(done.returncode == 0, done.stderr.decode(errors="replace"))


def _environment(cache: pathlib.Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and (not name.startswith("UV_") or name in _KEPT)
    }
    return {**kept, "UV_CACHE_DIR": str(cache), "UV_PYTHON_DOWNLOADS": "never", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
