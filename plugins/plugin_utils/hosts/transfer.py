# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring files of the control node to a host: beside their places, checked there by their sha256, then renamed."""

from __future__ import annotations

import collections.abc as c
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
# So that the command that puts them in place stays below 128 KiB, the most that Linux takes (execve(2)).
_MOST_FILES = 50
_MOST_BYTES = 1 << 28
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


@dataclasses.dataclass(frozen=True)
class Arriving:
    """A file of the control node and its place on a host. mode: as chmod wants it."""

    source: pathlib.Path
    place: pathlib.Path
    sha256: str
    mode: str = "0444"


def transfer(action: t.Any, file: Arriving) -> bool:
    """Put one file in its place on the host of ``action``; False when its directory can not be made.

    action: an ActionBase, most of whose methods are not annotated. Raises FleetError when it did not arrive whole.
    """
    return _transfer(action, [file])


def transfer_all(action: t.Any, files: c.Sequence[Arriving]) -> None:
    """Put files in their places, many with each command to the host. Raises FleetError as ``transfer`` does."""
    for batch in _batches(files):
        _transfer(action, batch)


def _batches(files: c.Sequence[Arriving]) -> c.Iterator[list[Arriving]]:
    """So that no command is too long, and what has arrived is not there twice for long."""
    batch: list[Arriving] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.source.stat().st_size
        if len(batch) == _MOST_FILES or size > _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _transfer(action: t.Any, files: c.Sequence[Arriving]) -> bool:
    temporary = action._make_tmp_path()
    try:
        uploaded = [action._connection._shell.join_path(temporary, str(number)) for number in range(len(files))]
        for file, path in zip(files, uploaded, strict=True):
            action._transfer_file(str(file.source), path)
        action._fixup_perms2((temporary, *uploaded))
        steps = [_install(path, file) for file, path in zip(files, uploaded, strict=True)]
        done = action._low_level_execute_command("; ".join(["umask 022", *steps]))
    finally:
        action._remove_tmp_path(temporary)
    if done["rc"] in (0, _NO_DIRECTORY):
        return bool(done["rc"] == 0)
    raise _not_whole(files, str(done["stdout"]).splitlines(), str(done["stderr"]).strip() or str(done["rc"]))


def _install(uploaded: str, file: Arriving) -> str:
    """Shell commands: copy beside, check, rename. They end with _NO_DIRECTORY when the directory can not be made."""
    inside, name, beside = shlex.quote(str(file.place.parent)), shlex.quote(file.place.name), ".arriving.$$"
    steps = (
        f"cp {shlex.quote(uploaded)} {beside}",
        f"rm -f {shlex.quote(uploaded)}",
        f'echo "{file.sha256}  {beside}" | sha256sum -c - > /dev/null',
        f"chmod {file.mode} {beside}",
        f"mv -f {beside} {name}",
    )
    return f"mkdir -p {inside} && cd {inside} || exit {_NO_DIRECTORY}; {' && '.join(steps)} || {_failed(file)}"


def _failed(file: Arriving) -> str:
    return f"{{ rm -f .arriving.$$; echo {shlex.quote(str(file.place))}; exit 1; }}"


def _not_whole(files: c.Sequence[Arriving], named: c.Collection[str], said: str) -> FleetError:
    """Why a file did not arrive: it is not what it should be on the control node, or something is on the way."""
    file = next((each for each in files if str(each.place) in named), files[0])
    with file.source.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha256 != file.sha256:
        what = f"is another file than the lock's: its sha256 is {sha256}, and the lock has {file.sha256}"
        return FleetError(what, where=str(file.source), remedy="Get that file again")
    return FleetError(
        f"{file.source.name} did not arrive whole ({said})",
        where=str(file.place.parent),
        remedy="Look at the connection and at the room on the host, and run again",
    )
