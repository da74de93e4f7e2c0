# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytecode, made once for a wheel: environments share it, users of them need not make it, and could not write it."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import posixpath

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import Completed, run

_SECONDS = 3600
# What compileall ends with: all compiled, or files among them that are no Python of this version (templates, Python 2).
_USUAL = (0, 1)


def bytecode_of(path: str, python: str) -> tuple[str, ...]:
    """Where the bytecode of a module's file is for Python ``3.12``; nothing for other files. Source: PEP 3147."""
    if not path.endswith(".py"):
        return ()
    directory, name = posixpath.split(path)
    major, minor = python.split(".")[:2]
    return (posixpath.join(directory, "__pycache__", f"{name.removesuffix('.py')}.cpython-{major}{minor}.pyc"),)


def compile_bytecode(environment: pathlib.Path, site: pathlib.Path) -> None:
    """Compile all of ``site`` on all cores, so that two environments of the same files have the same bytes.

    uv's own --compile-bytecode writes the environment's path into each file, and that differs from run to run. Here
    the paths in it are relative to the environment (Python puts the real ones in when it imports), files are checked by
    their source's hash and not by its time (PEP 552), and the order of sets does not depend on a random seed.
    """
    sources = sorted(
        os.path.join(parent, name)
        for parent, _directories, names in os.walk(site)
        for name in names
        if name.endswith(".py")
    )
    workers = min(len(os.sched_getaffinity(0)), len(sources))
    with concurrent.futures.ThreadPoolExecutor(max(workers, 1)) as pool:
        compiled = pool.map(lambda part: _compile(environment, sources[part::workers]), range(workers))
        for completed in compiled:
            if completed.returncode not in _USUAL:
                said = completed.stderr[-500:] or f"exit status {completed.returncode}"
                raise FleetError(f"Python could not compile the packages: {said}", where=str(environment))


def _compile(environment: pathlib.Path, sources: list[str]) -> Completed:
    # No -I: it would ignore the seed. -S and -B: no path file of a package is run, nothing else is written.
    options = ("-s", "-S", "-B", "-m", "compileall", "-qq", "-f", "--invalidation-mode", "checked-hash")
    python = str(environment / "bin" / "python3")
    settings = {name: None for name in os.environ if name.startswith("PYTHON")}
    return run(
        [python, *options, "-s", str(environment), "-i", "-"],
        cwd=environment,
        environment={**settings, "PYTHONHASHSEED": "0"},
        stdin="\n".join(sources).encode("utf-8", "surrogateescape"),
        timeout=_SECONDS,
        check=False,
    )
