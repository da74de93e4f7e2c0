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


def run_uv(
    arguments: c.Sequence[str],
    *,
    directory: pathlib.Path,
    cache: pathlib.Path,
    settings: c.Mapping[str, str] | None = None,
    netrc: str = "",
) -> Outcome:
    """Run uv in ``directory`` with its cache in ``cache``.

    settings: variables of its own that others must not see in a list of processes. netrc: credentials, in that form.
    Raises FleetError when it cannot be started.
    """
    command = [find_uv(), "--no-config", "--no-progress", "--color", "never", *arguments]
    # In memory only: a killed run leaves no secret behind.
    secrets = os.memfd_create("netrc")
    try:
        os.write(secrets, netrc.encode())
        place = f"/proc/{os.getpid()}/fd/{secrets}"
        done = subprocess.run(
            command,
            cwd=directory,
            env={**_environment(cache), "NETRC": place, **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        raise FleetError(f"uv cannot be started: {error}", where=command[0]) from error
    finally:
        os.close(secrets)
    return Outcome(done.returncode == 0, done.stderr.decode(errors="replace"))


def _environment(cache: pathlib.Path) -> dict[str, str]:
    # Our own index is on this machine, and no proxy's affair.
    direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1")))
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and (not name.startswith("UV_") or name in _KEPT)
    }
    return {
        **kept,
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
        "UV_CACHE_DIR": str(cache),
        "UV_PYTHON_DOWNLOADS": "never",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }
