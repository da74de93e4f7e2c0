# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock beside its spec: read it, say whether it fits, write it."""

from __future__ import annotations

import collections.abc as c
import json
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical, read_lock

Document = dict[str, t.Any]
_SHOWN = 80
_DIGITS = 12


def lock_path(directory: pathlib.Path, version: str) -> pathlib.Path:
    """Where the lock of ``version`` is: ``<directory>/<version>.lock.json``."""
    return directory / f"{version}.lock.json"


def read(path: pathlib.Path) -> Document | None:
    """The lock's document, or None when there is none. Raises FleetError for a file that is no lock."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise FleetError(f"is not JSON ({error})", where=str(path), remedy="Remove it and make it again") from error
    if not isinstance(document, dict):
        raise FleetError("is not a JSON object", where=str(path), remedy="Remove it and make it again")
    read_lock(document, str(path))
    return document


def write(path: pathlib.Path, document: Document) -> None:
    """Write the lock in its one canonical form."""
    write_text(path, canonical(document))


def differences(lock: Document, spec: Document) -> list[str]:
    """What the spec says otherwise than when the lock was made: JSON pointers with before and after; empty: it fits."""
    return list(_differences("", lock["spec"], spec))


def changes(before: Document, after: Document) -> list[str]:
    """What moved from one lock to the next, a line for each part in which anything did."""
    old, new = _contents(before), _contents(after)
    lines = {part: _moves(old.get(part, {}), new.get(part, {})) for part in dict.fromkeys([*new, *old])}
    return [f"{part}: {'; '.join(moves)}" for part, moves in lines.items() if moves]


# Version or commit, and what tells files of one version apart.
_Content = dict[str, tuple[str, str | None]]


def _contents(lock: Document) -> dict[str, _Content]:
    checkouts = [("ComfyUI", lock["core"]), *((node["directory"], node) for node in lock["nodes"])]
    targets = {
        f"target {name}": {each["name"]: (each["version"], each["sha256"]) for each in target["packages"]}
        for name, target in lock["targets"].items()
    }
    return {
        "core and nodes": {name: (checkout["commit"][:_DIGITS], None) for name, checkout in checkouts},
        **targets,
        "models": {model["name"]: (model["sha256"][:_DIGITS], None) for model in lock["models"]},
    }


def _moves(before: _Content, after: _Content) -> list[str]:
    both = sorted(before.keys() & after.keys())
    moved = [f"{name} {before[name][0]} -> {after[name][0]}" for name in both if before[name][0] != after[name][0]]
    replaced = [name for name in both if before[name] != after[name] and before[name][0] == after[name][0]]
    added = [f"{name} {after[name][0]}" for name in sorted(after.keys() - before.keys())]
    parts = {"": moved, "added ": added, "removed ": sorted(before.keys() - after.keys()), "other files of ": replaced}
    return [f"{word}{', '.join(names)}" for word, names in parts.items() if names]


def _differences(pointer: str, before: t.Any, after: t.Any) -> c.Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _differences(f"{pointer}/{key}", before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differences(f"{pointer}/{number}", old, new)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_differences(pointer, before, after)
    elif before != after:
        yield f"{pointer}: {_short(before)} -> {_short(after)}"


def _list_differences(pointer: str, before: list[t.Any], after: list[t.Any]) -> c.Iterator[str]:
    yield from (f"{pointer}: removed {_short(item)}" for item in before if item not in after)
    yield from (f"{pointer}: added {_short(item)}" for item in after if item not in before)


def _short(value: t.Any) -> str:
    if isinstance(value, dict):
        value = value.get("name") or value.get("requirement") or value.get("source") or value
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
