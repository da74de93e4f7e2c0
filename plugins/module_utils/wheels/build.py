# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One wheel from one source archive, in the sandbox, with exactly the build requirements that are given.

uv is the front end: on a small package it took half of what ``build`` takes, gave the same bytes, and is on every host
of ours already. What it has no command for, the backend's own further requirements, is asked by ``hook``.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import inspect
import json
import pathlib
import shutil

from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run
from ansible_collections.comfyops.fleet.plugins.module_utils.wheels import hook
from ansible_collections.comfyops.fleet.plugins.module_utils.wheels.sandbox import (
    INSIDE,
    PROGRAMS,
    Sandbox,
    check_sandbox,
)

# CUDA kernels for several architectures take hours.
BUILD_SECONDS = 12 * 3600.0
_ANSWER_SECONDS = 60.0
_DESCRIBE = """
import json, platform, sys
print(json.dumps({"python": platform.python_version(), "machine": platform.machine(), "libc": platform.libc_ver(),
                  "prefixes": [sys.base_prefix, sys.base_exec_prefix], "executable": sys._base_executable}))
"""
# Everything that the sandbox has anyway.
_SYSTEM_PREFIX = pathlib.PurePath("/usr")
_ENVIRONMENT = INSIDE / "environment"
_SOURCE = INSIDE / "source"


@dataclasses.dataclass(frozen=True)
class Requirement:
    """A wheel of the build environment; ``path`` is where it is on this machine."""

    name: str
    sha256: str
    path: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Order:
    """What to build. archive: the source, in which one directory holds everything; subdirectory: within that.

    requires: all wheels of the build environment. wanted: what the backend is known to require by itself; when it says
    otherwise, nothing is built and it is asked for that. epoch: SOURCE_DATE_EPOCH, seconds. variables: further
    environment variables.
    """

    archive: pathlib.Path
    subdirectory: str | None
    backend: str
    backend_path: tuple[str, ...]
    requires: tuple[Requirement, ...]
    wanted: tuple[str, ...]
    epoch: int
    variables: c.Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Interpreter:
    """A Python of this machine: version ``3.12.4``, machine as ``uname -m`` says, C library (``glibc 2.36``)."""

    path: pathlib.Path
    version: str
    machine: str
    libc: str
    prefixes: tuple[pathlib.Path, ...]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One of: the wheel; what the backend requires in addition (``wants``); the step that failed. log: all it said."""

    log: str
    wheel: pathlib.Path | None = None
    wants: tuple[str, ...] | None = None
    failed: str | None = None


def describe(python: pathlib.Path) -> Interpreter:
    """Ask an interpreter what it is. Raises FleetError."""
    answer = json.loads(run((str(python), "-I", "-S", "-c", _DESCRIBE), timeout=_ANSWER_SECONDS).text)
    return Interpreter(
        path=pathlib.Path(answer["executable"]),
        version=answer["python"],
        machine=answer["machine"],
        libc=" ".join(answer["libc"]).strip(),
        prefixes=tuple(pathlib.Path(prefix) for prefix in dict.fromkeys(answer["prefixes"])),
    )


def build(order: Order, interpreter: Interpreter, uv: pathlib.Path, work: pathlib.Path) -> Outcome:
    """Build in ``work``, an empty directory of ours.

    Raises FleetError when there can be no sandbox or a step never ends; a step that fails is an outcome.
    """
    return _Build(order, interpreter, uv, work).outcome()


class _StepFailed(Exception):
    """A command in the sandbox ended with a failure."""


class _Build:
    def __init__(self, order: Order, interpreter: Interpreter, uv: pathlib.Path, work: pathlib.Path) -> None:
        self._order, self._interpreter, self._uv, self._work = order, interpreter, uv, work
        # The requirements are seen where they are: to what it may write, a build would add what the next one installs.
        files = (uv, *(each.path for each in order.requires))
        places = (*interpreter.prefixes, interpreter.path.resolve().parent, *files)
        shown = tuple(place for place in dict.fromkeys(places) if _SYSTEM_PREFIX not in (place, *place.parents))
        self._sandbox = Sandbox(work, shown)
        self._log: list[str] = []

    def outcome(self) -> Outcome:
        check_sandbox()
        self._bring()
        try:
            self._prepare()
            wants = self._wants()
            if set(wants) != set(self._order.wanted):
                return Outcome("".join(self._log), wants=tuple(wants))
            return Outcome("".join(self._log), wheel=self._wheel())
        except _StepFailed as error:
            return Outcome("".join(self._log), failed=str(error))

    def _bring(self) -> None:
        """Put what the build reads into the sandbox's directory."""
        for name in ("wheel", "home", "tmp", "cache"):
            (self._work / name).mkdir()
        shutil.copyfile(self._order.archive, self._work / self._order.archive.name)
        (self._work / "hook.py").write_text(inspect.getsource(hook), encoding="utf-8")
        lines = [f"{each.name} @ {each.path.as_uri()} --hash=sha256:{each.sha256}\n" for each in self._order.requires]
        (self._work / "requires.txt").write_text("".join(lines), encoding="utf-8")

    def _prepare(self) -> None:
        python, inside = str(self._interpreter.path), str(INSIDE)
        self._run(
            "unpack the source", python, "-I", "-S", f"{inside}/hook.py", "unpack", self._archive, f"{inside}/unpacked"
        )
        self._find_source()
        self._run(
            "make the build environment",
            *self._uv_command("venv", "--no-project", "--python", python, str(_ENVIRONMENT)),
        )
        if self._order.requires:
            options = ("--no-deps", "--no-index", "--require-hashes")
            where = ("--python", f"{_ENVIRONMENT}/bin/python", "--requirements", f"{inside}/requires.txt")
            self._run("install the build requirements", *self._uv_command("pip", "install", *options, *where))

    @property
    def _archive(self) -> str:
        return str(INSIDE / self._order.archive.name)

    def _find_source(self) -> None:
        """The one directory of the archive, at a path that its name is no part of."""
        unpacked = self._work / "unpacked"
        entries = sorted(unpacked.iterdir())
        root = entries[0] if len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink() else unpacked
        root.rename(self._work / "source")
        folder = self._work / "source" / (self._order.subdirectory or "")
        if not folder.is_dir() or not folder.resolve().is_relative_to((self._work / "source").resolve()):
            self._log.append(f"there is no directory {self._order.subdirectory} in the source\n")
            raise _StepFailed("find the subdirectory")

    def _wants(self) -> list[str]:
        result = f"{INSIDE}/wants.json"
        command = (f"{_ENVIRONMENT}/bin/python", f"{INSIDE}/hook.py", "requires", self._order.backend, result)
        self._run("ask the build backend what it requires", *command, *self._order.backend_path, directory=self._folder)
        wanted = json.loads((self._work / "wants.json").read_text(encoding="utf-8"))
        return sorted({str(line) for line in wanted})

    def _wheel(self) -> pathlib.Path:
        options = ("--wheel", "--no-build-isolation", "--out-dir", f"{INSIDE}/wheel")
        command = self._uv_command("build", *options, "--python", f"{_ENVIRONMENT}/bin/python", ".")
        self._run("build the wheel", *command, directory=self._folder)
        found = sorted((self._work / "wheel").glob("*.whl"))
        if len(found) != 1:
            self._log.append(f"the build made {len(found)} wheels\n")
            raise _StepFailed("find the wheel")
        return found[0]

    @property
    def _folder(self) -> pathlib.PurePosixPath:
        return _SOURCE / (self._order.subdirectory or "")

    def _uv_command(self, *arguments: str) -> tuple[str, ...]:
        return (str(self._uv), "--no-config", "--offline", "--no-progress", "--color", "never", *arguments)

    def _run(self, step: str, *argv: str, directory: pathlib.PurePosixPath = INSIDE) -> None:
        done = self._sandbox.run(argv, directory=directory, environment=self._variables(), timeout=BUILD_SECONDS)
        self._log.append(f"$ {' '.join(argv)}\n{done.text}{done.stderr}")
        if done.returncode != 0:
            self._log.append(f"[exit status {done.returncode}]\n")
            raise _StepFailed(step)

    def _variables(self) -> dict[str, str]:
        return {
            "HOME": f"{INSIDE}/home",
            "TMPDIR": f"{INSIDE}/tmp",
            "UV_CACHE_DIR": f"{INSIDE}/cache",
            "UV_PYTHON_DOWNLOADS": "never",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "USER": "root",
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPYCACHEPREFIX": f"{INSIDE}/cache/bytecode",
            "VIRTUAL_ENV": str(_ENVIRONMENT),
            **self._order.variables,
            "PATH": f"{_ENVIRONMENT}/bin:{self._order.variables.get('PATH', '/usr/local/cuda/bin:' + PROGRAMS)}",
            "SOURCE_DATE_EPOCH": str(self._order.epoch),
        }
