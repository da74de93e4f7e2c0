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
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run

_NAME = re.compile(r"python3\.\d+t?")
_ASK = "import os, sys; print(os.path.realpath(sys.executable))"


def find_interpreter(context: Context) -> pathlib.Path | None:
    """The real path of an interpreter of the target's version, or None.

    It is asked for its own path: what was found may be a version manager's shim, which uv does not take, or a link that
    will lead to another version one day.
    """
    found = find_python(context.target.python, context.settings.python)
    if found is None:
        return None
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
