# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of the plain part of YAML: mappings by indentation, scalars, quoted strings and literal blocks; and JSON."""

from __future__ import annotations

import json
import re
import typing as t

_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False, "yes": True, "no": False}
_KEY = re.compile(r"""^(?P<indent> *)(?P<key>"[^"]*"|'[^']*'|[^\s#'"][^:#]*?)\s*:(?:\s+(?P<value>.*))?$""")


def load(text: str) -> t.Any:
    """The document as dictionaries and scalars.

    Raises:
        ValueError: a line is none that this reader knows.
    """
    if text.lstrip().startswith("{"):
        return json.loads(text)
    lines = text.splitlines()
    value, end = _mapping(lines, 0, 0)
    if end < len(lines):
        raise ValueError(f"line {end + 1} is not understood: {lines[end]!r}")
    return value or None


def _mapping(lines: list[str], start: int, indent: int) -> tuple[dict[str, t.Any], int]:
    """The mapping whose keys are indented that far, and the number of the line after it."""
    result: dict[str, t.Any] = {}
    at = start
    while at < len(lines):
        if not lines[at].strip() or lines[at].lstrip().startswith("#") or lines[at].rstrip() == "---":
            at += 1
            continue
        match = _KEY.match(lines[at])
        if match is None or len(match["indent"]) != indent:
            break
        at += 1
        value = _uncommented(match["value"] or "")
        if re.fullmatch(r"[|>][-+]?", value):
            result[_scalar(match["key"])], at = _block(lines, at, indent, value)
        elif value or _indent_of_next(lines, at) <= indent:
            result[_scalar(match["key"])] = _scalar(value)
        else:
            result[_scalar(match["key"])], at = _mapping(lines, at, _indent_of_next(lines, at))
    return result, at


def _indent_of_next(lines: list[str], at: int) -> int:
    """How far the next line with something on it is indented."""
    for line in lines[at:]:
        if line.strip() and not line.lstrip().startswith("#"):
            return len(line) - len(line.lstrip())
    return 0


def _block(lines: list[str], start: int, indent: int, style: str) -> tuple[str, int]:
    """A literal or folded block, and the number of the line after it."""
    end = start
    while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
        end += 1
    body = [line for line in lines[start:end] if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in body), default=0)
    text = ("\n" if style[0] == "|" else " ").join(line[margin:].rstrip() for line in body)
    return text if style.endswith("-") or not body else text + "\n", end


def _uncommented(value: str) -> str:
    return value if value[:1] in ("'", '"') else re.sub(r"(^|\s+)#.*$", "", value).strip()


def _scalar(value: str) -> t.Any:
    quoted = re.match(r"""("(?:[^"\\]|\\.)*")|'((?:[^']|'')*)'""", value)
    if quoted is not None:
        return json.loads(quoted[1]) if quoted[1] else quoted[2].replace("''", "'")
    if value.lower() in _CONSTANTS:
        return _CONSTANTS[value.lower()]
    return int(value) if re.fullmatch(r"-?[0-9]+", value) else value
