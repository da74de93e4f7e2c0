# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the modules that a spec names (``verify.imports``) can be imported, each in a fresh process."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    distributions,
    environment_site,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.record import read_record

_SECONDS = 180.0
_ANSWER_SECONDS = 20.0
# Code of packages runs here: not as root, where there is a choice. The number of "nobody" everywhere.
_NOBODY = 65534
_IMPORT = "import importlib, sys; importlib.import_module(sys.argv[1])"
_LIBRARY = re.compile(r"(\S+\.so[\w.]*): cannot open shared object file")
_MISSING = re.compile(r"No module named '([^']+)'")


class Imported(t.NamedTuple):
    """A module, the package of the environment that brings it, and the last line of what Python said against it."""

    module: str
    package: str | None
    error: str | None


def import_modules(context: Context, environment: pathlib.Path) -> list[Imported]:
    """Import what the spec names with the environment's Python, as many at once as there are cores."""
    modules = wanted_imports(context)
    if not modules:
        return []
    home = tempfile.mkdtemp(prefix="comfy-imports-")
    try:
        user = _user(environment, home)
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            errors = list(pool.map(lambda module: _error(environment, module, home, user), modules))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    owners = _owners(environment_site(environment, context.target.python), modules)
    return [Imported(module, owners.get(module), errors[number]) for number, module in enumerate(modules)]


def wanted_imports(context: Context) -> tuple[str, ...]:
    """The modules that the spec names."""
    return tuple(dict.fromkeys((context.lock.spec.get("verify") or {}).get("imports") or ()))


def import_faults(imported: c.Iterable[Imported]) -> list[FleetError]:
    """One fault for each module that can not be imported."""
    return [_fault(each, each.error) for each in imported if each.error is not None]


def _user(environment: pathlib.Path, home: str) -> int | None:
    """Nobody, where this is root and nobody can get to the environment."""
    if os.geteuid() != 0:
        return None
    os.chown(home, _NOBODY, _NOBODY)
    try:
        argv = [str(environment / "bin" / "python"), "-I", "-c", ""]
        return _NOBODY if run(argv, timeout=_ANSWER_SECONDS, user=_NOBODY, check=False).returncode == 0 else None
    except (FleetError, OSError):
        return None


def _error(environment: pathlib.Path, module: str, home: str, user: int | None) -> str | None:
    argv = [str(environment / "bin" / "python"), "-I", "-B", "-c", _IMPORT, module]
    settings = {"HOME": home, "TMPDIR": home, "XDG_CACHE_HOME": None}
    try:
        done = run(argv, cwd=pathlib.Path(home), environment=settings, timeout=_SECONDS, check=False, user=user)
    except FleetError:
        return f"it did not end within {_SECONDS:.0f} s"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"it was ended by {signal.Signals(-done.returncode).name}"
    lines = done.stderr.strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {done.returncode}"


def _owners(site: pathlib.Path, modules: c.Sequence[str]) -> dict[str, str]:
    """Module to the package that has it, or has the longest part of its name."""
    installed, _unreadable = distributions(site, os.listdir(site), {})
    best: dict[str, tuple[int, str]] = {}
    for each in installed:
        brought = {_module(file.path) for file in read_record(site / each.entry) or ()}
        for module in modules:
            depth = max((len(prefix) for prefix in _prefixes(module) if prefix in brought), default=0)
            if depth > best.get(module, (0, ""))[0]:
                best[module] = (depth, each.name)
    return {module: name for module, (_depth, name) in best.items()}


def _prefixes(module: str) -> list[str]:
    """``a``, ``a.b`` and ``a.b.c`` of ``a.b.c``."""
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _module(path: str) -> str:
    """The module that a file is: ``a.b`` of ``a/b.py``, ``a/b/__init__.py`` and ``a/b.cpython-312-...so``."""
    directory, _slash, name = path.rpartition("/")
    stem, _dot, suffix = name.partition(".")
    if not suffix.endswith(("py", "so")):
        return ""
    return directory.replace("/", ".") if stem == "__init__" else ".".join(filter(None, (*directory.split("/"), stem)))


def _fault(imported: Imported, error: str) -> FleetError:
    whose = f"it is of the package {imported.package}" if imported.package else "no package of the lock brings it"
    library, missing = _LIBRARY.search(error), _MISSING.search(error)
    if library:
        remedy = f"Install the system's package that has {library[1]} on this host"
    elif missing and (imported.package or missing[1] != imported.module.partition(".")[0]):
        remedy = f"Add the package that brings {missing[1]} to python_packages in the spec, and lock again"
    elif imported.package is None:
        remedy = "Add the package that brings it to python_packages in the spec, or take it out of verify.imports"
    else:
        remedy = f"Let python_packages ask for another {imported.package} or what it misses, and lock again"
    return FleetError(f"can not be imported ({whose}): {error}", where=f"module {imported.module}", remedy=remedy)
