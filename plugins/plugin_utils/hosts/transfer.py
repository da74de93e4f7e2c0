# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a file of the control node to a host: beside its place, checked there by its sha256, then renamed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shlex
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

# elf(5): the machine is a little-endian half word at byte 18. <elf.h> has the numbers, uname -m says the names.
_ELF, _MACHINE = b"\x7fELF", slice(18, 20)
_MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv64", 22: "s390x", 21: "ppc64le", 40: "armv7l"}
_NO_DIRECTORY = 3
UV_REMEDY = "Set comfy_uv to the path of a uv on the control node that is for this host's machine type"


@dataclasses.dataclass(frozen=True)
class Program:
    """A program file on the control node. machine: the machine type that it is for, as ``uname -m`` says it."""

    path: pathlib.Path
    size: int
    sha256: str
    machine: str


def read_program(path: str) -> Program:
    """The program at ``path`` of the control node. Raises FleetError when it is none for Linux."""
    place = pathlib.Path(os.path.expanduser(path))
    try:
        content = place.read_bytes()
    except OSError as error:
        raise FleetError(f"can not be read ({error.strerror})", where=str(place), remedy=UV_REMEDY) from error
    machine = _MACHINES.get(int.from_bytes(content[_MACHINE], "little"))
    if not content.startswith(_ELF) or machine is None:
        raise FleetError("is no uv for Linux", where=str(place), remedy=UV_REMEDY)
    return Program(place, len(content), hashlib.sha256(content).hexdigest(), machine)


def transfer(action: t.Any, source: pathlib.Path, place: pathlib.Path, sha256: str, mode: str) -> bool:
    """Put the file ``source`` at ``place`` of the host of ``action``; False when its directory can not be made.

    action: an ActionBase, most of whose methods are not annotated. Raises FleetError when it did not arrive whole.
    """
    temporary = action._make_tmp_path()
    try:
        uploaded = action._connection._shell.join_path(temporary, "file")
        action._transfer_file(str(source), uploaded)
        action._fixup_perms2((temporary, uploaded))
        done = action._low_level_execute_command(_install(uploaded, place, sha256, mode))
    finally:
        action._remove_tmp_path(temporary)
    if done["rc"] not in (0, _NO_DIRECTORY):
        said = str(done["stderr"]).strip() or str(done["stdout"]).strip()
        raise FleetError(
            f"{source.name} did not arrive whole ({said or done['rc']})",
            where=str(place.parent),
            remedy="Look at the connection and at the room on the host, and run again",
        )
    return bool(done["rc"] == 0)


def _install(uploaded: str, place: pathlib.Path, sha256: str, mode: str) -> str:
    """A shell command: copy beside, check, rename. It ends with _NO_DIRECTORY when the directory can not be made."""
    inside, name, beside = shlex.quote(str(place.parent)), shlex.quote(place.name), ".arriving.$$"
    steps = (
        f"cp {shlex.quote(uploaded)} {beside}",
        f'echo "{sha256}  {beside}" | sha256sum -c - > /dev/null',
        f"chmod {mode} {beside}",
        f"mv -f {beside} {name}",
    )
    made = f"umask 022; mkdir -p {inside} && cd {inside} || exit {_NO_DIRECTORY}"
    return f"{made}; {' && '.join(steps)} || {{ rm -f {beside}; exit 1; }}"
