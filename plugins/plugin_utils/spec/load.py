# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way in: from a version's id to the strict meaning of its spec."""

from __future__ import annotations

import dataclasses
import difflib
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.extends import Document, merge, whole
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import (
    Finding,
    Findings,
    Location,
    SpecInvalid,
    VersionUnknown,
    pointer,
    shown,
    sort_key,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.limits import MAX_EXTENDS
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.normalize import normalize
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.read import display_name, read
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.schema import LibraryMissing, Misfit, misfits
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.spec import Spec
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import as_object

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Finding", "LibraryMissing", "Spec", "SpecInvalid", "VersionUnknown", "known_versions", "load"]

_SUFFIX = ".json"
_LOCK_SUFFIX = ".lock.json"


def load(directory: Path, version: str) -> Spec:
    """Read <directory>/<version>.json, and what it extends.

    A spec is data: nothing in it is evaluated. Raises VersionUnknown when there is no such spec, SpecInvalid with
    everything that was found, errors and quirks, when it cannot be used, and LibraryMissing without jsonschema.
    """
    if version not in known_versions(directory):
        raise VersionUnknown(version, display_name(directory), _nearest(version, directory))
    path = directory / f"{version}{_SUFFIX}"
    file = read(path)
    document, found = _with_bases(whole(file.name, file.value), directory, (version,))
    normalized: dict[str, t.Any] = {}
    if document is not None:
        findings = Findings(document.origin)
        normalized = normalize(document.value, version, findings)
        found += _rule_findings(findings, document, found)
    ordered = [finding for _order, finding in sorted(_in_order(found, file.name), key=lambda pair: pair[0])]
    if any(finding.severity == "error" for finding in ordered):
        raise SpecInvalid(ordered)
    return Spec(version, path, normalized, ordered)


def known_versions(directory: Path) -> list[str]:
    """Give the ids of the versions that have a spec in a directory, sorted; none when there is no such directory."""
    try:
        names = [entry.name for entry in directory.iterdir() if entry.name.endswith(_SUFFIX) and entry.is_file()]
    except OSError:
        return []
    return sorted(name.removesuffix(_SUFFIX) for name in names if not name.endswith(_LOCK_SUFFIX) and name[0] != ".")


class _Found(t.NamedTuple):
    """A finding and where it lies in its own file; rough: a rule may have a better message for the place."""

    at: Location
    finding: Finding
    rough: bool = False


def _nearest(version: str, directory: Path) -> list[str]:
    known = known_versions(directory)
    likeness = {name: difflib.SequenceMatcher(None, version.lower(), name.lower()).ratio() for name in known}
    return sorted(known, key=lambda name: (-likeness[name], name))


def _with_bases(document: Document, directory: Path, chain: tuple[str, ...]) -> tuple[Document | None, list[_Found]]:
    """Check a file against the schema and merge it with what it extends. chain: from the first to this one.

    There is no document when a base is missing or unreadable: rules would find faults in what is only half of a spec.
    """
    name = document.origin(()).file
    found = [_misfit(name, misfit) for misfit in misfits(document.value)]
    base = as_object(document.value).get("extends")
    if base is None:
        return document, found
    if any(one.at == ("extends",) for one in found):
        return None, found
    problem = _chain_problem(base, directory, chain)
    if problem:
        return None, [*found, _Found(("extends",), Finding(name, "/extends", *problem))]
    try:
        file = read(directory / f"{base}{_SUFFIX}")
    except SpecInvalid as error:
        return None, [*found, *(_Found((), finding) for finding in error.findings)]
    base_document, base_found = _with_bases(whole(file.name, file.value), directory, (*chain, base))
    if base_document is None:
        return None, found + base_found
    merged = merge(base_document, document)
    if not found and not base_found:
        found = [_misfit_of_merged(merged, misfit) for misfit in misfits(merged.value)]
    return merged, found + base_found


def _chain_problem(base: str, directory: Path, chain: tuple[str, ...]) -> tuple[str, str] | None:
    if base in chain:
        circle = " extends ".join([*chain[chain.index(base) :], base])
        return f"goes in a circle: {circle}", "Take one of them out of the circle"
    if len(chain) >= MAX_EXTENDS:
        return f"makes a chain of more than {MAX_EXTENDS} specs", "Extend a spec that stands nearer to the first"
    if base not in known_versions(directory):
        near = _nearest(base, directory)[:3]
        return f"there is no spec {shown(base)} in the same directory", f"The nearest there: {', '.join(near)}"
    return None


def _misfit(file: str, misfit: Misfit) -> _Found:
    return _Found(misfit.at, Finding(file, pointer(misfit.at), misfit.reason, misfit.remedy), misfit.rough)


def _misfit_of_merged(merged: Document, misfit: Misfit) -> _Found:
    file, at = merged.origin(misfit.at)
    return _misfit(file, dataclasses.replace(misfit, at=at))


def _rule_findings(findings: Findings, document: Document, found: list[_Found]) -> list[_Found]:
    """Give what the rules found, less what follows from what the schema reported at the same place or above."""
    reported = {(one.finding.file, one.at) for one in found if not one.rough and one.at}
    kept = []
    for at, finding in findings.located():
        file, there = document.origin(at)
        if not any((file, there[:end]) in reported for end in range(1, len(there) + 1)):
            kept.append(_Found(there, finding))
    better = {(one.finding.file, one.at) for one in kept if one.finding.severity == "error"}
    found[:] = [one for one in found if not (one.rough and (one.finding.file, one.at) in better)]
    return kept


def _in_order(found: Iterable[_Found], first_file: str) -> Iterable[tuple[tuple[t.Any, ...], Finding]]:
    """Order findings by file, the version's own first, then by place."""
    for one in found:
        finding = one.finding
        yield (finding.file != first_file, finding.file, sort_key(one.at), finding.severity, finding.reason), finding
