# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the bytes of a spec file into a document: JSON (RFC 8259) without its ambiguities, and within limits."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import typing as t
from pathlib import Path

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import (
    Finding,
    Location,
    SpecInvalid,
    pointer,
    shown,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.limits import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    MAX_TEXT,
    MAX_VALUES,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NUMBER_CHARACTERS = 20
"""More digits than any size in bytes has; Python itself refuses thousands of them with an error of its own."""

PLACES_OF_LINES = frozenset({"env", "launch"})
"""Where a text may have line ends and tabs: values that are handed over as they are."""


@dataclasses.dataclass(frozen=True)
class SpecFile:
    """The document in one spec file; name is how messages call the file."""

    name: str
    value: t.Any


class _Pairs(list[tuple[str, t.Any]]):
    """An object as it stands in the file, with keys that occur twice."""


class _NotANumber(str):
    """A number that JSON or Python does not have, kept to be reported with its place."""

    __slots__ = ()


def read(path: Path) -> SpecFile:
    """Read a spec file.

    Raises SpecInvalid, with everything that is wrong with the file as JSON, when it cannot be read.
    """
    name = display_name(path)
    raw = _parse(_text(path, name), name)
    findings = list(_faults(raw, name))
    if findings:
        raise SpecInvalid(findings)
    return SpecFile(name, _plain(raw))


def display_name(path: Path) -> str:
    """Write a path for messages: relative to the working directory when it is below it."""
    absolute, here = Path(os.path.abspath(path)), Path.cwd()
    return str(absolute.relative_to(here)) if here in absolute.parents else str(absolute)


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(
            name, f"cannot be read: {error.strerror}", "Make it readable for the user who runs this"
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise _unreadable(name, f"has more than {MAX_FILE_BYTES} bytes", "Split it into versions, or use extends")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8: byte {error.start + 1} is 0x{content[error.start]:02x}"
        raise _unreadable(name, reason, "Save the file as UTF-8") from error


def _unreadable(name: str, reason: str, remedy: str) -> SpecInvalid:
    return SpecInvalid([Finding(name, "", reason, remedy)])


def _parse(text: str, name: str) -> object:
    try:
        return json.loads(
            text,
            object_pairs_hook=_Pairs,
            parse_constant=_NotANumber,
            parse_int=_integer,
            parse_float=_decimal,
        )
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno}, column {error.colno}: no JSON: {error.msg}"
        raise _unreadable(name, reason, "Correct the file there or just before") from error
    except RecursionError as error:
        raise _unreadable(name, _too_deep(), "Make it flatter") from error


def _integer(text: str) -> int | _NotANumber:
    return int(text) if len(text) <= MAX_NUMBER_CHARACTERS else _NotANumber(text)


def _decimal(text: str) -> float | _NotANumber:
    number = float(text)
    return number if math.isfinite(number) else _NotANumber(text)


def _too_deep() -> str:
    return f"has more than {MAX_DEPTH} objects and lists inside each other"


def _faults(raw: object, name: str) -> Iterator[Finding]:
    """Walk the document without recursion, as it may be deep, and give what the parser let pass."""
    waiting: list[tuple[Location, object]] = [((), raw)]
    for count, (at, value) in enumerate(_walk(waiting)):
        if count == MAX_VALUES:
            yield Finding(name, "", f"has more than {MAX_VALUES} values", "Split it into versions, or use extends")
            return
        for reason, remedy in _value_faults(at, value):
            yield Finding(name, pointer(at), reason, remedy)


def _walk(waiting: list[tuple[Location, object]]) -> Iterator[tuple[Location, object]]:
    while waiting:
        at, value = waiting.pop()
        yield at, value
        if len(at) > MAX_DEPTH:
            continue
        if isinstance(value, _Pairs):
            waiting.extend(((*at, key), item) for key, item in reversed(value))
        elif isinstance(value, list):
            waiting.extend(((*at, index), item) for index, item in reversed(list(enumerate(value))))


def _value_faults(at: Location, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, (_Pairs, list)) and len(at) >= MAX_DEPTH:
        yield _too_deep(), "Make it flatter"
    if isinstance(value, _Pairs):
        yield from _key_faults(value)
    elif isinstance(value, _NotANumber):
        yield f"{shown(value)} is no number that can be kept", "Write a number in digits, of at most 20 characters"
    elif isinstance(value, str):
        yield from _text_faults(value, lines=bool(at) and at[0] in PLACES_OF_LINES)


def _key_faults(pairs: _Pairs) -> Iterator[tuple[str, str]]:
    seen: dict[str, int] = {}
    for key, _value in pairs:
        seen[key] = seen.get(key, 0) + 1
        for reason, remedy in _text_faults(key, lines=False):
            yield f"a key {reason}", remedy
    for key, times in seen.items():
        if times > 1:
            yield f"key {shown(key)} is there {times} times", "Keep one of them"


def _text_faults(text: str, lines: bool) -> Iterator[tuple[str, str]]:
    if len(text) > MAX_TEXT:
        yield f"has {len(text)} characters, more than {MAX_TEXT}", "Shorten it"
    allowed = "\n\t" if lines else ""
    odd = next((c for c in text if (c < " " or "\x7f" <= c <= "\x9f") and c not in allowed), None)
    if odd is not None:
        yield f"has the control character U+{ord(odd):04X}", "Take it out"
    if any("\ud800" <= c <= "\udfff" for c in text):
        yield "has half a surrogate pair, which is no character", "Write the whole character"


def _plain(raw: object) -> t.Any:
    if isinstance(raw, _Pairs):
        return {key: _plain(value) for key, value in raw}
    if isinstance(raw, list):
        return [_plain(value) for value in raw]
    return raw
