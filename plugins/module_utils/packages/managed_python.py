# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python that a host gets because it lacks the target's: an archive by its hash, unpacked below ``agent``.

The archives are those of uv's managed Pythons (python-build-standalone): they run wherever they are unpacked.
"""

from __future__ import annotations

import os
import pathlib
import posixpath
import tarfile
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import flush_file_system, remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Interpreter
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.bytecode import compile_bytecode
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.fetch import Fetcher
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import fetched, named_by_content, pushed
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.interpreter import (
    managed_python,
    minor_of,
    program_of,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import sha256_of

_SCRATCH = ".making-"
_ASK = "import platform, sys; print(platform.python_version()); print(sys.prefix)"
_ANSWER_SECONDS = 60.0


def install_python(context: Context, interpreter: Interpreter) -> pathlib.Path:
    """Fetch, check and unpack it beside, and rename it into place; the program. Raises FleetError."""
    place = managed_python(context.layout, interpreter)
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(f"{_SCRATCH}*"):
        remove_tree(left)
    archive = _archive(context, interpreter)
    scratch = pathlib.Path(tempfile.mkdtemp(dir=place.parent, prefix=_SCRATCH))
    try:
        unpacked = _unpack(archive, scratch)
        _prove(unpacked, interpreter)
        compile_bytecode(unpacked, _library(unpacked, interpreter))
        unpacked.chmod(0o755)
        flush_file_system(scratch)
        remove_tree(place)
        unpacked.replace(place)
    finally:
        remove_tree(scratch)
    if archive.is_relative_to(fetched(context.layout)):
        # Nothing else that is there: wheels of a bundle may wait beside it.
        remove_tree(archive.parent)
    return program_of(place, interpreter)


def _archive(context: Context, interpreter: Interpreter) -> pathlib.Path:
    """The archive on this host, its bytes checked."""
    brought = named_by_content(pushed(context.layout), interpreter.sha256, interpreter.file)
    if not brought.is_file():
        return Fetcher(context).fetch_interpreter(interpreter)
    found = sha256_of(str(brought))
    if found != interpreter.sha256:
        brought.unlink()
        raise FleetError(
            f"has sha256 {found}, the lock says {interpreter.sha256}", where=str(brought), remedy="Run again"
        )
    return brought


def _unpack(archive: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    try:
        with tarfile.open(archive) as content:
            members = content.getmembers()
            for member in members:
                _check(archive, member)
            # Checked here; what Python itself would refuse differs from version to version.
            content.extraction_filter = lambda member, _path: member
            content.extractall(scratch, members)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FleetError(f"can not be unpacked ({error})", where=str(archive), remedy="Lock another Python") from error
    (top, *others) = [path for path in scratch.iterdir() if path.is_dir()] or [scratch]
    return scratch if others else top


def _check(archive: pathlib.Path, member: tarfile.TarInfo) -> None:
    """Refuse what leads out of the archive, or is no file; have the rest belong to who unpacks it, and be read-only."""
    link = posixpath.join(posixpath.dirname(member.name), member.linkname) if member.issym() else member.linkname
    outside = any(posixpath.normpath(path).startswith(("/", "..")) for path in (member.name, link) if path)
    if outside or not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise FleetError(
            f"has {member.name!r}, which leads out of it or is no file",
            where=str(archive),
            remedy="Lock another Python",
        )
    member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
    member.mode = 0o755 if member.isdir() else 0o555 if member.mode & 0o100 else 0o444


def _prove(place: pathlib.Path, interpreter: Interpreter) -> None:
    program = program_of(place, interpreter)
    if not os.access(program, os.X_OK):
        raise FleetError(
            f"has no bin/{program.name}", where=interpreter.file, remedy="Lock an archive of the kind install_only"
        )
    answer = run([str(program), "-I", "-B", "-c", _ASK], timeout=_ANSWER_SECONDS).text.splitlines()
    version, prefix, *_more = (*answer, "", "")
    if version != interpreter.version or not os.path.samefile(prefix, place):
        raise FleetError(
            f"is Python {version} of {prefix}, the lock says {interpreter.version}",
            where=interpreter.file,
            remedy="Lock another Python: this one is not what its name says, or can not be moved",
        )


def _library(place: pathlib.Path, interpreter: Interpreter) -> pathlib.Path:
    return place / "lib" / f"python{minor_of(interpreter)}"
