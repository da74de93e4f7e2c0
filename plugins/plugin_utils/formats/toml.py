# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TOML 1.0 as far as lock files need it: the standard library only reads it."""

from __future__ import annotations

import collections.abc as c
import json
import re
import typing as t

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def table(name: c.Sequence[str], values: c.Mapping[str, t.Any]) -> str:
    """A table with its header."""
    return f"[{_dotted(name)}]\n{pairs(values)}"


def element(name: c.Sequence[str], values: c.Mapping[str, t.Any]) -> str:
    """An element of an array of tables, with its header."""
    return f"[[{_dotted(name)}]]\n{pairs(values)}"


def pairs(values: c.Mapping[str, t.Any]) -> str:
    """Keys and values, a line each."""
    return "".join(f"{_key(key)} = {value(each)}\n" for key, each in values.items())


def value(given: t.Any) -> str:
    """A text, number, truth value, list or (inline) table. Raises TypeError for what is none."""
    if isinstance(given, str):
        # The escapes of JSON are among those of TOML, which wants one more character escaped.
        return json.dumps(given, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, int):
        return str(given)
    if isinstance(given, c.Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {value(each)}' for key, each in given.items())} }}"
    if isinstance(given, c.Sequence):
        return f"[{', '.join(map(value, given))}]"
    raise TypeError(f"TOML has no {type(given).__name__}")


def _dotted(name: c.Sequence[str]) -> str:
    return ".".join(map(_key, name))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else value(key)
