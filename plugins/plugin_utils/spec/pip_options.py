# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pip's options inside requirement lines: which mean nothing here, and what to write in place of the others.

The names are those of pip's option parser (pip._internal.cli.cmdoptions), which also takes an unambiguous beginning.
"""

from __future__ import annotations

import re
import typing as t

DROPPED: t.Final = frozenset({"--force-reinstall", "--upgrade", "--no-cache-dir", "--no-build-isolation"})
"""What means nothing where every package is locked and installed into a new environment."""

_USE_INDEXES = (
    "Name the index in python.indexes (schema_version 3) with its packages, or a mirror in comfy_python_indexes"
)
_USE_WHEEL = 'Name the wheel: {"name": ..., "url": ..., "sha256": ...} (schema_version 3)'
_REMEDIES: t.Final = {
    "--index-url": _USE_INDEXES,
    "--extra-index-url": _USE_INDEXES,
    "--index": _USE_INDEXES,
    "--default-index": _USE_INDEXES,
    "--pypi-url": _USE_INDEXES,
    "--no-index": "Use comfy_offline and comfy_wheels_dir",
    "--find-links": _USE_WHEEL,
    "--requirement": "Write its lines as entries of python_packages",
    "--constraint": "Write its lines as entries of python_packages, or of python.overrides (schema_version 3)",
    "--editable": 'Write {"name": ..., "git": ..., "commit": ...} (schema_version 3)',
    "--hash": _USE_WHEEL,
    "--pre": "Name the pre-release itself, such as name==2.0rc1",
    "--no-deps": "Name what is not wanted in python.exclude (schema_version 3)",
    "--no-binary": "Name the package in python.build (schema_version 3)",
    "--only-binary": "Take it out: wheels are what is installed, unless python.build names the package",
    "--trusted-host": "Take it out, and give the index a certificate",
}
_REMEDY_OF_OTHERS = "Take it out: a requirement here has no options"
_SHORT: t.Final = {
    "i": "--index-url",
    "f": "--find-links",
    "r": "--requirement",
    "c": "--constraint",
    "e": "--editable",
    "U": "--upgrade",
}
_LONG = sorted({*_REMEDIES, *DROPPED})
_OPTION = re.compile(r"--?[A-Za-z]")
_SHORTEST_BEGINNING = len("--no-b")


def is_option(word: str) -> bool:
    """Tell whether a word of a requirement line is an option of pip's."""
    return bool(_OPTION.match(word))


def option_names(word: str) -> list[str]:
    """Give the full names of what a word asks for; several for flags in one word, such as -Ue."""
    if word.startswith("--"):
        return [_long_name(word.partition("=")[0].replace("_", "-"))]
    names = []
    for letter in word[1:]:
        names.append(_SHORT.get(letter, f"-{letter}"))
        if names[-1] not in DROPPED:
            break
    return names


def remedy(name: str) -> str:
    """Say what to write in place of an option."""
    return _REMEDIES.get(name, _REMEDY_OF_OTHERS)


def _long_name(written: str) -> str:
    if written in _LONG:
        return written
    matches = [name for name in _LONG if name.startswith(written)]
    return matches[0] if len(matches) == 1 and len(written) >= _SHORTEST_BEGINNING else written
