# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed Python for tests: the tests' own interpreter in an archive as uv's are, only smaller."""

from __future__ import annotations

import functools
import io
import os
import pathlib
import platform
import sys
import sysconfig
import tarfile

VERSION = platform.python_version()
MINOR = ".".join(VERSION.split(".")[:2])
# What nothing in a test imports.
_LEFT_OUT = ("site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3")
_LEFT_OUT_BEGINNINGS = ("config-", "__pycache__")


def file_name(version: str = VERSION, date: str = "20260101", stripped: str = "_stripped") -> str:
    """The archive's name, as uv's Pythons have theirs, for this machine."""
    return f"cpython-{version}+{date}-{platform.machine()}-unknown-linux-gnu-install_only{stripped}.tar.gz"


@functools.cache
def archive() -> bytes:
    """The archive: ``python/bin`` and ``python/lib``."""
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as archived:
        _add(archived, f"python/bin/python{MINOR}", _relocatable(pathlib.Path(os.path.realpath(sys.executable))))
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"python/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, f"python{MINOR}"
            archived.addfile(link)
        for shared in library.parent.glob(f"libpython{MINOR}*.so*"):
            archived.add(shared, f"python/lib/{shared.name}", recursive=False)
        archived.add(library, f"python/lib/{library.name}", filter=_needed)
    return content.getvalue()


def _add(archived: tarfile.TarFile, name: str, body: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(body), 0o755
    archived.addfile(member, io.BytesIO(body))


def _relocatable(program: pathlib.Path) -> bytes:
    """The program's bytes, with the place of its shared library (in DT_RUNPATH) relative to itself."""
    body = program.read_bytes()
    fixed, moved = f"{sysconfig.get_config_var('LIBDIR')}\0".encode(), b"$ORIGIN/../lib"
    return body.replace(fixed, moved.ljust(len(fixed), b"\0")) if len(fixed) > len(moved) else body


def _needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = member.name.rpartition("/")[2]
    return None if name in _LEFT_OUT or name.startswith(_LEFT_OUT_BEGINNINGS) else member
