# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_pip_packages: bring what only the control node has, then run the module of the same name on the host."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import shlex
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, failures, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Target, read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import (
    named_by_content,
    pushed,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.interpreter import managed_python
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import entry_path, list_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.transfer import (
    UV_REMEDY,
    Arriving,
    Program,
    read_program,
    transfer,
    transfer_all,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import (
    own_wheel,
    path_of,
    versions_directory,
)

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

MODULE = "comfyops.fleet.comfy_pip_packages"
# Enough that no two builds of uv have the same directory.
_DIGITS = 12
_ASKED_AT_ONCE = 200


@dataclasses.dataclass(frozen=True)
class Kept:
    """Where the control node has files. versions: with what it built; wheels: what the user has put there."""

    versions: pathlib.Path
    wheels: pathlib.Path | None


@dataclasses.dataclass(frozen=True)
class Pushed:
    """A file of the control node. place: on the host; spared_by: what makes it needless when it is there."""

    source: pathlib.Path
    place: pathlib.Path
    sha256: str
    spared_by: pathlib.Path


class ActionModule(ActionBase):
    """Brings uv, and what only the control node has, where it is not yet and the module is going to make something."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ansible's entry point. See the module's documentation for options and return values."""
        result: Result = super().run(tmp, task_vars)
        options = dict(self._task.args)
        source, versions = options.pop("uv_source", None), options.pop("versions_dir", None)
        wheels = options.pop("wheels_source", None)
        makes = options.get("state", "present") == "present" and not self._task.check_mode
        try:
            if makes and options.get("root"):
                self._push(options, Kept(versions_directory(versions), pathlib.Path(wheels) if wheels else None))
                if not options.get("uv"):
                    options["uv"] = self._bring(read_program(source or find_uv()), str(options["root"]))
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error), "failures": failures(error)}
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        done = self._execute_module(
            module_name=MODULE, module_args=options, task_vars=task_vars or {}, wrap_async=wrap_async
        )
        return {**result, **done}

    @property
    def _base(self) -> t.Any:
        """This object, for methods of ActionBase that are not annotated."""
        return self

    def _push(self, options: Result, kept: Kept) -> None:
        """Bring the files that the control node has for the host and that are not there yet."""
        if not isinstance(options.get("lock"), dict):
            return
        files = pushed_files(options["lock"], options.get("target"), self._layout(options), kept)
        if not files:
            return
        there = self._there(sorted({path for each in files for path in (str(each.place), str(each.spared_by))}))
        missing = [each for each in files if not {str(each.place), str(each.spared_by)} & there]
        raise_all([_not_on_the_control_node(each) for each in missing if not each.source.is_file()])
        transfer_all(self, [Arriving(each.source, each.place, each.sha256) for each in missing])

    def _there(self, paths: list[str]) -> set[str]:
        """Those of the paths that the host has; some at a time, for a command has an end (execve(2))."""
        found: set[str] = set()
        for start in range(0, len(paths), _ASKED_AT_ONCE):
            asked = " ".join(map(shlex.quote, paths[start : start + _ASKED_AT_ONCE]))
            command = f'for path in {asked}; do test -e "$path" && echo "$path"; done; true'
            found.update(str(self._low_level_execute_command(command)["stdout"]).splitlines())
        return found

    def _layout(self, options: Result) -> Layout:
        def path(name: str) -> pathlib.Path | None:
            given = options.get(name)
            return pathlib.Path(self._base._remote_expand_user(str(given))) if given else None

        return Layout(root=path("root") or pathlib.Path("/"), cache_dir=path("cache_dir"))

    def _bring(self, program: Program, root: str) -> str | None:
        """The path of ``program`` on the host; None when there can be none, and the module will say why."""
        directory = f"{self._base._remote_expand_user(root)}/agent/uv-{program.sha256[:_DIGITS]}"
        place = f"{directory}/uv"
        # Named by its content and renamed into place when that was checked: size and mode are enough to know it again.
        quoted = shlex.quote(place)
        seen = self._low_level_execute_command(f"uname -m; test -x {quoted} && wc -c < {quoted}")
        machine, size, *_rest = (*str(seen["stdout"]).split(), "", "")
        if size == str(program.size):
            return place
        if machine != program.machine:
            raise FleetError(
                f"the control node's uv is for {program.machine}, and this host is {machine or 'of an unknown type'}",
                where=str(program.path),
                remedy=UV_REMEDY,
            )
        arriving = Arriving(program.path, pathlib.Path(place), program.sha256, "0755")
        return place if transfer(self, arriving) else None


def pushed_files(document: Result, target: str | None, layout: Layout, kept: Kept) -> list[Pushed]:
    """What hosts have from the control node: wheels that it built, local wheels, those of the user, a Python beside it.

    target: the one that the host is; None: where several are possible, the files of all of them. Raises FleetError.
    """
    targets = read_lock(document).targets
    chosen = [targets[target]] if target is not None and target in targets else list(targets.values())
    found = [each for one in chosen for each in (*_wheels(one, layout, kept), *_interpreter(one, layout))]
    return list({each.place: each for each in found}.values())


def _wheels(target: Target, layout: Layout, kept: Kept) -> c.Iterator[Pushed]:
    for package in target.packages:
        source = own_wheel(package, kept.versions, kept.wheels)
        if source is not None:
            yield Pushed(
                source,
                named_by_content(pushed(layout), package.sha256, package.file),
                str(package.sha256),
                list_of(entry_path(layout, package, target.python)),
            )


def _interpreter(target: Target, layout: Layout) -> c.Iterator[Pushed]:
    interpreter = target.interpreter
    if interpreter is not None and interpreter.url.startswith("file:"):
        yield Pushed(
            path_of(interpreter.url),
            named_by_content(pushed(layout), interpreter.sha256, interpreter.file),
            interpreter.sha256,
            managed_python(layout, interpreter),
        )


def _not_on_the_control_node(file: Pushed) -> FleetError:
    return FleetError(
        "is not on the control node, and hosts have it from nowhere else",
        where=str(file.source),
        remedy="Put it there again; what was built is built again by lock.yml",
    )
