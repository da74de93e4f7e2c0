# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the target that builds in place of the control node: what it needs is brought, the wheel is fetched."""

from __future__ import annotations

import pathlib
import shlex
import threading
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import named_by_content
from ansible_collections.comfyops.fleet.plugins.module_utils.wheels.build import Interpreter, Order, Outcome
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.transfer import (
    UV_REMEDY,
    Arriving,
    Program,
    read_program,
    transfer,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import sha256_of

MODULE: t.Final = "comfyops.fleet.comfy_wheel"
# Below the host's cache: wheels of earlier builds need not be brought again.
_DIRECTORY: t.Final = "builder"


class BuilderHost:
    """The host that an action is connected to. action: an ActionBase. uv: on the control node, for that host."""

    def __init__(self, name: str, action: t.Any, task_vars: dict[str, t.Any], uv: str) -> None:
        self.name = f"the builder {name}"
        self._action, self._task_vars, self._uv = action, task_vars, uv
        self._found: dict[str, Interpreter | None] = {}
        self._directory = pathlib.PurePosixPath()
        # Builds run in threads, and a connection is for one at a time.
        self._one_at_a_time = threading.RLock()

    def interpreter(self, python: str) -> Interpreter | None:
        """Its Python of a version. Raises FleetError when it does not answer."""
        with self._one_at_a_time:
            if python not in self._found:
                answer = self._run({"state": "described", "python": python})
                self._directory = pathlib.PurePosixPath(answer["cache"], _DIRECTORY)
                self._found[python] = _interpreter(answer["interpreter"]) if answer["interpreter"] else None
            return self._found[python]

    def build(self, order: Order, interpreter: Interpreter, directory: pathlib.Path) -> Outcome:
        """Build there; a wheel that comes out is fetched into ``directory``."""
        program = read_program(self._uv)
        if program.machine != interpreter.machine:
            what = f"the control node's uv is for {program.machine}, and {self.name} is {interpreter.machine}"
            raise FleetError(what, where=str(program.path), remedy=UV_REMEDY)
        with self._one_at_a_time:
            source = self._bring(order.archive, sha256_of(order.archive))
            try:
                result = self._run(self._options(order, interpreter, source, program))
            finally:
                self._remove(source)
            log = str(result.get("log", ""))
            if result.get("step"):
                return Outcome(log, failed=result["step"])
            if "wants" in result:
                return Outcome(log, wants=tuple(result["wants"]))
            return Outcome(log, wheel=self._fetch(result["wheel"], directory))

    def _options(self, order: Order, interpreter: Interpreter, source: str, program: Program) -> dict[str, t.Any]:
        return {
            "python": interpreter.version,
            "interpreter": str(interpreter.path),
            "source": source,
            "subdirectory": order.subdirectory,
            "backend": order.backend,
            "backend_path": list(order.backend_path),
            "requires": [
                {"name": each.name, "sha256": each.sha256, "path": self._bring(each.path, each.sha256)}
                for each in order.requires
            ],
            "wanted": list(order.wanted),
            "epoch": order.epoch,
            "environment": dict(order.variables),
            "directory": f"{self._directory}/built",
            "uv": self._bring(program.path, program.sha256, mode="0755"),
        }

    def _bring(self, path: pathlib.Path, sha256: str, mode: str = "0644") -> str:
        place = named_by_content(pathlib.Path(self._directory), sha256, path.name)
        seen = self._action._low_level_execute_command(f"test -e {shlex.quote(str(place))}")
        if seen["rc"] != 0 and not transfer(self._action, Arriving(path, place, sha256, mode)):
            raise FleetError(
                "can not be made", where=f"{self.name}, {place.parent}", remedy="Look at its home directory"
            )
        return str(place)

    def _fetch(self, wheel: str, directory: pathlib.Path) -> pathlib.Path:
        place = directory / pathlib.PurePosixPath(wheel).name
        self._action._connection.fetch_file(wheel, str(place))
        self._remove(wheel)
        return place

    def _remove(self, path: str) -> None:
        self._action._low_level_execute_command(f"rm -f {shlex.quote(path)}")

    def _run(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run the module. A build that fails is a result; all else that fails is raised."""
        done = self._action._execute_module(module_name=MODULE, module_args=options, task_vars=self._task_vars)
        result: dict[str, t.Any] = done
        if result.get("failed") or result.get("unreachable"):
            if result.get("step"):
                return result
            raise FleetError(
                str(result.get("module_stderr") or result.get("msg") or result),
                where=self.name,
                remedy="Look at comfy_builder and its connection",
            )
        return result


def _interpreter(answer: dict[str, str]) -> Interpreter:
    return Interpreter(
        path=pathlib.Path(answer["path"]),
        version=answer["version"],
        machine=answer["machine"],
        libc=answer["libc"],
        prefixes=(),
    )
