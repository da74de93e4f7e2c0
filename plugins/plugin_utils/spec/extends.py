# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merges a spec with the one that it extends, and remembers which file each value came from.

Objects merge key by key; texts, numbers, truth values and plain lists replace; lists of named things merge by name:
what both name is taken whole from the extending file. The names are the directory of a custom node, the target path of
a model, the distribution's name of a Python package, and 'name' for indexes and instances. What belongs together is
replaced together: ref and commit, which mean nothing in another repository.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.custom_nodes import node_directory
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.models import model_target
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import comparable
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import package_name
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import as_object, as_text

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Location

NOT_INHERITED: t.Final = frozenset({"$schema", "schema_version", "version_id", "id", "extends"})
REVISION: t.Final = frozenset({"ref", "commit"})


class Origin(t.NamedTuple):
    """The file, as messages name it, and the location in it that a value came from."""

    file: str
    at: Location


@dataclasses.dataclass(frozen=True)
class Document:
    """A spec, maybe merged. origins has an entry wherever the origin of a value is not its parent's."""

    value: t.Any
    origins: dict[Location, Origin]

    def origin(self, at: Location) -> Origin:
        """Give where the value at a location came from."""
        for end in range(len(at), -1, -1):
            found = self.origins.get(at[:end])
            if found:
                return Origin(found.file, (*found.at, *at[end:]))
        return Origin("", at)


def whole(file: str, value: object) -> Document:
    """Give the document of one file."""
    return Document(value, {(): Origin(file, ())})


def merge(base: Document, extending: Document) -> Document:
    """Give the document that the extending one means."""
    origins: dict[Location, Origin] = {(): extending.origin(())}
    inherited = {key: value for key, value in as_object(base.value).items() if key not in NOT_INHERITED}
    value = _merge_objects(inherited, as_object(extending.value), (), _Merging(base, extending, origins))
    return Document(value, origins)


@dataclasses.dataclass(frozen=True)
class _Merging:
    base: Document
    extending: Document
    origins: dict[Location, Origin]

    def keep(self, source: Document, there: Location, here: Location) -> None:
        """Note that the value at here is the one that source has at there, with all that is below it."""
        self.origins[here] = source.origin(there)
        for at, origin in source.origins.items():
            if len(at) > len(there) and at[: len(there)] == there:
                self.origins[(*here, *at[len(there) :])] = origin


def _merge_objects(base: dict[str, t.Any], over: dict[str, t.Any], at: Location, merging: _Merging) -> dict[str, t.Any]:
    merged: dict[str, t.Any] = {}
    dropped = _dropped_revision(base, over, at)
    for key in [*base, *(key for key in over if key not in base)]:
        here = (*at, key)
        if key in base and key in over:
            merged[key] = _merge_values(base[key], over[key], here, merging)
        elif key in over:
            merged[key] = over[key]
            merging.keep(merging.extending, here, here)
        elif key not in dropped:
            merged[key] = base[key]
            merging.keep(merging.base, here, here)
    return merged


def _dropped_revision(base: dict[str, t.Any], over: dict[str, t.Any], at: Location) -> frozenset[str]:
    other_repository = over.get("repo", base.get("repo")) != base.get("repo")
    return REVISION if at == ("comfy",) and (other_repository or REVISION & over.keys()) else frozenset()


def _merge_values(base: object, over: object, at: Location, merging: _Merging) -> object:
    if isinstance(base, dict) and isinstance(over, dict):
        merging.origins[at] = merging.extending.origin(at)
        return _merge_objects(base, over, at, merging)
    naming = _NAMES.get(at)
    if naming and isinstance(base, list) and isinstance(over, list):
        return _merge_named(base, over, at, merging, naming)
    merging.keep(merging.extending, at, at)
    return over


def _merge_named(
    base: list[t.Any], over: list[t.Any], at: Location, merging: _Merging, naming: Callable[[t.Any], str | None]
) -> list[t.Any]:
    """Give the base's entries without those that the extending list names too, then all of the extending list."""
    replaced = {name for name in map(naming, over) if name is not None}
    kept = [(index, entry) for index, entry in enumerate(base) if naming(entry) not in replaced]
    merging.origins[at] = merging.extending.origin(at)
    for here, (there, _entry) in enumerate(kept):
        merging.keep(merging.base, (*at, there), (*at, here))
    for there in range(len(over)):
        merging.keep(merging.extending, (*at, there), (*at, len(kept) + there))
    return [entry for _index, entry in kept] + over


def _name_of_node(entry: object) -> str | None:
    directory = node_directory(as_object(entry))
    return comparable(directory) if directory else None


def _name_of_model(entry: object) -> str | None:
    target = model_target(as_object(entry))
    return comparable(target) if target else None


def _own_name(entry: object) -> str | None:
    return as_text(as_object(entry).get("name"))


_NAMES: t.Final[dict[Location, Callable[[t.Any], str | None]]] = {
    ("custom_nodes",): _name_of_node,
    ("models",): _name_of_model,
    ("python_packages",): package_name,
    ("python", "indexes"): _own_name,
    ("launch", "instances"): _own_name,
}
