# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks a document against the JSON Schema (draft 2020-12) and says in a user's words what does not fit.

No keyword of the schema wraps errors into "is not valid under any of the given schemas": what depends on something is
written with if and then, and each anyOf has a message of its own under errorMessage, which editors show too.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import difflib
import functools
import json
import sys
import typing as t
from pathlib import Path

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Location, printable, shown, sort_key

if t.TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

SCHEMA_FILE: t.Final = Path(__file__).resolve().parents[2] / "schemas" / "version.schema.json"

NEWER_OBJECTS: t.Final = {"version2": "version3", "node2": "node3", "model2": "model3"}
"""Objects of schema 2 in $defs, and what schema 3 made of them."""

_TYPE_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


class LibraryMissing(FleetError):
    """The control node lacks a Python library that the collection needs."""


@dataclasses.dataclass(frozen=True)
class Misfit:
    """One place where a document does not fit the schema. rough: a rule may have a better message for it."""

    at: Location
    reason: str
    remedy: str
    rough: bool = False


@dataclasses.dataclass(frozen=True)
class _Fault:
    """A ValidationError: the keyword that failed, what it wanted, what is there, and the schema that both are in."""

    at: Location
    keyword: str
    wanted: t.Any
    found: t.Any
    schema: c.Mapping[str, t.Any]
    message: str
    is_about_key: bool


def misfits(document: object) -> list[Misfit]:
    """Give everything that does not fit, in the order of the document, each thing once.

    Raises LibraryMissing when jsonschema is not installed.
    """
    found = {
        (misfit.at, misfit.reason): misfit
        for error in validator().iter_errors(document)
        for misfit in _explained(_fault(error))
    }
    return sorted(found.values(), key=lambda misfit: sort_key(misfit.at))


@functools.cache
def schema() -> dict[str, t.Any]:
    """Give the JSON Schema of specs."""
    loaded: dict[str, t.Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return loaded


@functools.cache
def validator() -> Draft202012Validator:
    """Give what checks documents against the schema. Raises LibraryMissing when jsonschema is not installed."""
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        what = f"the Python library jsonschema is not there for {sys.executable}: {error}"
        raise LibraryMissing(what, remedy="Install it for that Python, or run 'make setup' and use .venv") from error
    return Draft202012Validator(schema())


def _fault(error: ValidationError) -> _Fault:
    return _Fault(
        at=tuple(error.absolute_path),
        keyword=str(error.validator),
        wanted=error.validator_value,
        found=error.instance,
        schema=error.schema if isinstance(error.schema, dict) else {},
        message=error.message,
        is_about_key="propertyNames" in error.schema_path,
    )


def _explained(fault: _Fault) -> c.Iterable[Misfit]:
    return _EXPLAINERS.get(fault.keyword, _explain_unforeseen)(fault)


def _explain_unknown_keys(fault: _Fault) -> c.Iterable[Misfit]:
    properties = fault.schema.get("properties", {})
    known = [key for key, value in properties.items() if key != "$schema" and not _resolved(value).get("deprecated")]
    newer = _keys_of_schema_3(fault.schema)
    for key in fault.found:
        if key in newer and key not in properties:
            remedy = f"Set schema_version to 3, or take {shown(key)} out"
            yield Misfit((*fault.at, key), f"key {shown(key)} needs schema_version 3", remedy)
        elif key not in properties:
            near = difflib.get_close_matches(key.lower(), known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            remedy = f"The keys known here are {', '.join(known)}"
            yield Misfit((*fault.at, key), f"unknown key {shown(key)}{hint}", remedy)


def _keys_of_schema_3(owner: c.Mapping[str, t.Any]) -> set[str]:
    definitions = schema()["$defs"]
    newer = next((new for old, new in NEWER_OBJECTS.items() if definitions[old] == owner), None)
    return set(definitions[newer]["properties"]) if newer else set()


def _resolved(subschema: t.Any) -> c.Mapping[str, t.Any]:
    """Give a subschema of the file with its $ref, of which this schema has one level, looked up."""
    if not isinstance(subschema, dict):
        return {}
    reference = subschema.get("$ref", "").removeprefix("#/$defs/")
    return schema()["$defs"][reference] if reference else subschema


def _example(subschema: c.Mapping[str, t.Any]) -> str:
    examples = subschema.get("examples") or subschema.get("enum")
    return f", such as {json.dumps(examples[0])}" if examples else ""


def _explain_missing_keys(fault: _Fault) -> c.Iterable[Misfit]:
    for key in fault.wanted:
        if key not in fault.found:
            example = _example(_resolved(fault.schema.get("properties", {}).get(key)))
            yield Misfit(fault.at, f"key '{key}' is missing", f"Add '{key}'{example}")


def _explain_type(fault: _Fault) -> c.Iterable[Misfit]:
    wanted = fault.wanted if isinstance(fault.wanted, list) else [fault.wanted]
    names = " or ".join(_TYPE_NAMES[name] for name in wanted if name != "null")
    example = _example(fault.schema)
    remedy = f"Write {names}{example}"
    if wanted == ["string"] and isinstance(fault.found, (bool, int, float)) and not example:
        remedy = f'Put it in quotes: "{json.dumps(fault.found)}"'
    yield Misfit(fault.at, f"is {_described(fault.found)}, not {names}", remedy)


def _described(value: object) -> str:
    if isinstance(value, (dict, list)):
        return _TYPE_NAMES["object" if isinstance(value, dict) else "array"]
    return shown(value) if isinstance(value, str) else json.dumps(value)


def _explain_choice(fault: _Fault) -> c.Iterable[Misfit]:
    choices = ", ".join(json.dumps(choice) for choice in fault.wanted)
    yield Misfit(fault.at, f"is {_described(fault.found)}", f"Write one of {choices}")


def _explain_pattern(fault: _Fault) -> c.Iterable[Misfit]:
    what, _colon, form = str(fault.schema.get("errorMessage", "has not the form that is wanted here")).partition(": ")
    example = _example(fault.schema).removeprefix(",")
    remedy = f"Write {form}" if form else f"Write one{example}" if example else "Correct it"
    place = (*fault.at, fault.found) if fault.is_about_key else fault.at
    yield Misfit(place, f"{shown(fault.found)} {what}", remedy, rough=True)


def _explain_own_message(fault: _Fault) -> c.Iterable[Misfit]:
    keys = " or ".join(f"'{key}'" for branch in fault.wanted for key in branch["required"])
    yield Misfit(fault.at, fault.schema["errorMessage"], f"Add {keys}")


def _explain_size(fault: _Fault) -> c.Iterable[Misfit]:
    things = {"Length": "characters", "Items": "items", "Properties": "entries"}[fault.keyword[3:]]
    if fault.keyword.startswith("max"):
        reason = f"has {len(fault.found)} {things}, more than {fault.wanted}"
        yield Misfit(fault.at, reason, f"Keep it at {fault.wanted} or fewer")
    else:
        yield Misfit(fault.at, "is empty", f"Fill it{_example(fault.schema)}, or take the key out")


def _explain_range(fault: _Fault) -> c.Iterable[Misfit]:
    less = fault.keyword == "minimum"
    reason = f"is {fault.found}, {'less' if less else 'more'} than {fault.wanted}"
    yield Misfit(fault.at, reason, f"Write a number of at {'least' if less else 'most'} {fault.wanted}")


def _explain_unforeseen(fault: _Fault) -> c.Iterable[Misfit]:
    yield Misfit(fault.at, printable(fault.message), "Correct it")


_EXPLAINERS: t.Final[dict[str, c.Callable[[_Fault], c.Iterable[Misfit]]]] = {
    "additionalProperties": _explain_unknown_keys,
    "required": _explain_missing_keys,
    "type": _explain_type,
    "enum": _explain_choice,
    "pattern": _explain_pattern,
    "anyOf": _explain_own_message,
    "minLength": _explain_size,
    "maxLength": _explain_size,
    "minItems": _explain_size,
    "maxItems": _explain_size,
    "minProperties": _explain_size,
    "maxProperties": _explain_size,
    "minimum": _explain_range,
    "maximum": _explain_range,
}
