# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_pip_packages: see that the host has the control node's uv, then run the module of the same name there."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shlex
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, failures
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv

if t.TYPE_CHECKING:
    Result = dict[str, t.Any]

MODULE = "comfyops.fleet.comfy_pip_packages"
# elf(5): the machine is a little-endian half word at byte 18. <elf.h> has the numbers, uname -m says the names.
_ELF, _MACHINE = b"\x7fELF", slice(18, 20)
_MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv64", 22: "s390x", 21: "ppc64le", 40: "armv7l"}
# Enough that no two builds of uv have the same directory.
_DIGITS = 12
_NO_DIRECTORY = 3
_REMEDY = "Set comfy_uv to the path of a uv on the control node that is for this host's machine type"


@dataclasses.dataclass(frozen=True)
class Program:
    """A program file on the control node. machine: the machine type that it is for, as ``uname -m`` says it."""

    path: pathlib.Path
    size: int
    sha256: str
    machine: str


class ActionModule(ActionBase):
    """Brings uv only when the module is going to make something, and only where it is not yet."""

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Ansible's entry point. See the module's documentation for options and return values."""
        result: Result = super().run(tmp, task_vars)
        options = dict(self._task.args)
        source = options.pop("uv_source", None)
        makes = options.get("state", "present") == "present" and not self._task.check_mode
        try:
            if makes and options.get("root") and not options.get("uv"):
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
                remedy=_REMEDY,
            )
        return place if self._transfer(program, directory) else None

    def _transfer(self, program: Program, directory: str) -> bool:
        """Put the program into ``directory``; False when that can not be made."""
        temporary = self._make_tmp_path()
        try:
            uploaded = self._connection._shell.join_path(temporary, "uv")
            self._transfer_file(str(program.path), uploaded)
            self._base._fixup_perms2((temporary, uploaded))
            done = self._low_level_execute_command(_install(uploaded, directory, program.sha256))
        finally:
            self._base._remove_tmp_path(temporary)
        if done["rc"] not in (0, _NO_DIRECTORY):
            said = str(done["stderr"]).strip() or str(done["stdout"]).strip()
            raise FleetError(
                f"uv did not arrive whole ({said or done['rc']})",
                where=directory,
                remedy="Look at the connection and at the room on the host, and run again",
            )
        return bool(done["rc"] == 0)


def read_program(path: str) -> Program:
    """The program at ``path`` of the control node. Raises FleetError when it is none for Linux."""
    place = pathlib.Path(os.path.expanduser(path))
    try:
        content = place.read_bytes()
    except OSError as error:
        raise FleetError(f"can not be read ({error.strerror})", where=str(place), remedy=_REMEDY) from error
    machine = _MACHINES.get(int.from_bytes(content[_MACHINE], "little"))
    if not content.startswith(_ELF) or machine is None:
        raise FleetError("is no uv for Linux", where=str(place), remedy=_REMEDY)
    return Program(place, len(content), hashlib.sha256(content).hexdigest(), machine)


def _install(uploaded: str, directory: str, sha256: str) -> str:
    """A shell command: copy beside, check, rename. It ends with _NO_DIRECTORY when the directory can not be made."""
    inside = shlex.quote(directory)
    steps = (
        f"cp {shlex.quote(uploaded)} .uv.$$",
        f'echo "{sha256}  .uv.$$" | sha256sum -c - > /dev/null',
        "chmod 0755 .uv.$$",
        "mv -f .uv.$$ uv",
    )
    made = f"mkdir -p {inside} && cd {inside} || exit {_NO_DIRECTORY}"
    return f"{made}; {' && '.join(steps)} || {{ rm -f .uv.$$; exit 1; }}"
