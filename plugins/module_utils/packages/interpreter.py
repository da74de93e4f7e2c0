# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter that an environment is made with."""

from __future__ import annotations

import os
import pathlib
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import find_python
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Interpreter
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import named_by_content, pushed

_NAME = re.compile(r"python3\.\d+t?")
# Bytes to those of a managed Python's archive, unpacked and compiled.
UNPACKED_PYTHON = 6.0
_DIGITS = 12
_ASK_PREFIX = "import encodings, os, sys; print(sys.prefix)"
_ASK = "import os, sys; print(os.path.realpath(sys.executable))"


def find_interpreter(context: Context) -> pathlib.Path | None:
    """The real path of an interpreter of the target's version: the host's own, or the one that it got; or None.

    It is asked for its own path: what was found may be a version manager's shim, which uv does not take, or a link that
    will lead to another version one day.
    """
    found = find_python(context.target.python, context.settings.python)
    if found is None:
        return installed_python(context.layout, context.target.interpreter)
    return pathlib.Path(run([str(found), "-I", "-c", _ASK], timeout=60).text.strip())


def interpreters_on_path() -> tuple[str, ...]:
    """The names of the Pythons that this host has on its path, for a message; they are not run."""
    names: set[str] = set()
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        try:
            names |= {name for name in os.listdir(directory or ".") if _NAME.fullmatch(name)}
        except OSError:
            continue
    return tuple(sorted(names, key=lambda name: (len(name), name)))


def managed_python(layout: Layout, interpreter: Interpreter) -> pathlib.Path:
    """The directory of a Python that the host got, once it is there."""
    return layout.agent / "python" / f"{interpreter.version}-{interpreter.sha256[:_DIGITS]}"


def installed_python(layout: Layout, interpreter: Interpreter | None) -> pathlib.Path | None:
    """The program, None when it is not on this host."""
    if interpreter is None:
        return None
    program = program_of(managed_python(layout, interpreter), interpreter)
    if not os.access(program, os.X_OK):
        return None
    # Somebody may have removed half of it; it would then take the rest from wherever it was made, if that is there.
    answer = run([str(program), "-I", "-c", _ASK_PREFIX], timeout=60, check=False)
    prefix = os.path.realpath(answer.text.strip())
    return program if prefix == os.path.realpath(managed_python(layout, interpreter)) else None


def is_obtainable(context: Context, interpreter: Interpreter) -> bool:
    """Whether this host can have it now: it may ask the network, or has the archive, or is brought it."""
    local = named_by_content(pushed(context.layout), interpreter.sha256, interpreter.file)
    return not context.settings.offline or interpreter.url.startswith("file:") or local.is_file()


def program_of(place: pathlib.Path, interpreter: Interpreter) -> pathlib.Path:
    """The program of a Python in the directory ``place``."""
    return place / "bin" / f"python{minor_of(interpreter)}"


def minor_of(interpreter: Interpreter) -> str:
    """``3.12`` of ``3.12.4``."""
    return ".".join(interpreter.version.split(".")[:2])
