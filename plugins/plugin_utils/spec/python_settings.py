# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key python of a spec: interpreter, targets, indexes and how packages are resolved."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.environment import read_environment
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import (
    canonical_name,
    read_requirement_lines,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.urls import PACKAGE_INDEX, url_problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import as_list, as_object, as_text, as_texts

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings, Location

_EXACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*==\s*[A-Za-z0-9.+!_-]+", re.ASCII)

OLDEST_MINOR: t.Final = 9
"""ComfyUI's own minimum, in its pyproject.toml."""

DEFAULT_TARGET: t.Final = "default"


def read_python(value: object, at: Location, findings: Findings, *, allow_http: bool) -> dict[str, t.Any]:
    """Give the strict meaning of python, all keys present."""
    settings = as_object(value)
    excluded = as_texts(settings.get("exclude"))
    return {
        "version": _read_version(settings.get("version"), (*at, "version"), findings),
        "targets": _read_targets(settings.get("targets"), (*at, "targets"), findings),
        "indexes": _read_indexes(settings.get("indexes"), (*at, "indexes"), findings, allow_http),
        "resolution": as_text(settings.get("resolution")) or "strict",
        "overrides": read_requirement_lines(settings.get("overrides"), (*at, "overrides"), findings),
        "exclude": _names(excluded),
        "build": _read_builds(settings.get("build"), (*at, "build"), findings),
        "providers": {
            module: canonical_name(name)
            for module, name in sorted(as_object(settings.get("providers")).items())
            if isinstance(name, str)
        },
        "provided": _read_provided(settings.get("provided"), (*at, "provided"), findings),
        "exclude_newer": _read_time(settings.get("exclude_newer"), (*at, "exclude_newer"), findings),
    }


def _names(names: list[str]) -> list[str]:
    return sorted({canonical_name(name) for name in names})


def _read_builds(value: object, at: Location, findings: Findings) -> list[dict[str, t.Any]]:
    """Each package that may be built, with what its build needs beyond what it declares, by name."""
    builds: dict[str, dict[str, t.Any]] = {}
    for number, entry in enumerate(as_list(value)):
        place, fields = (*at, number), as_object(entry)
        name = canonical_name(as_text(entry) or as_text(fields.get("name")) or "")
        if name in builds:
            findings.error(place, f"{shown(name)} is there already", "Keep one of the two")
        builds[name] = {
            "name": name,
            "requires": read_requirement_lines(fields.get("requires"), (*place, "requires"), findings),
            "env": read_environment(fields.get("env"), (*place, "env"), findings),
        }
    return [builds[name] for name in sorted(builds)]


def _read_provided(value: object, at: Location, findings: Findings) -> list[str]:
    """What the host's image brings, each at one version: hosts are held to it."""
    for number, line in enumerate(as_list(value)):
        if isinstance(line, str) and not _EXACT.fullmatch(line.strip()):
            findings.error(
                (*at, number), f"{shown(line)} names no exact version", "Write it as in 'torch==2.9.0+cu130'"
            )
    return read_requirement_lines(value, at, findings)


def _read_version(value: object, at: Location, findings: Findings) -> str | None:
    version = as_text(value)
    minor = version.split(".")[1] if version and "." in version else ""
    if minor.isdecimal() and int(minor) < OLDEST_MINOR:
        findings.error(at, f"Python {shown(version or '')} is too old", f"Write 3.{OLDEST_MINOR} or newer")
    return version


def _read_targets(value: object, at: Location, findings: Findings) -> dict[str, dict[str, t.Any]]:
    targets = as_object(value) or {DEFAULT_TARGET: {}}
    return {name: _read_target(target, (*at, name), findings) for name, target in sorted(targets.items())}


def _read_target(value: object, at: Location, findings: Findings) -> dict[str, t.Any]:
    target = as_object(value)
    return {
        "version": _read_version(target.get("version"), (*at, "version"), findings),
        "platform": as_text(target.get("platform")),
        "accelerator": as_text(target.get("accelerator")),
        "match": dict(sorted(as_object(target.get("match")).items())),
    }


def _read_indexes(value: object, at: Location, findings: Findings, allow_http: bool) -> list[dict[str, t.Any]]:
    indexes: list[dict[str, t.Any]] = []
    owners: dict[str, str] = {}
    for number, entry in enumerate(as_list(value)):
        index, place = as_object(entry), (*at, number)
        name, url = as_text(index.get("name")) or "", as_text(index.get("url")) or ""
        _check_index_name(name, [earlier["name"] for earlier in indexes], place, findings)
        problem = url_problem(url, PACKAGE_INDEX, allow_http=allow_http) if url else None
        if problem:
            findings.error((*place, "url"), *problem)
        for position, package in enumerate(as_list(index.get("packages"))):
            owner = owners.setdefault(canonical_name(package), name) if isinstance(package, str) else name
            if owner != name:
                reason = f"{shown(package)} is bound to the index {shown(owner)} already"
                findings.error((*place, "packages", position), reason, "Bind a package to one index")
        indexes.append({"name": name, "url": url, "packages": _names(as_texts(index.get("packages")))})
    return indexes


def _check_index_name(name: str, earlier: list[str], at: Location, findings: Findings) -> None:
    if name.lower() == DEFAULT_INDEX:
        remedy = "Give it another name; where the default index is reached from here is said by comfy_python_indexes"
        findings.error((*at, "name"), f"{shown(name)} is the name of the default index", remedy)
    elif name and name.lower() in {other.lower() for other in earlier}:
        findings.error((*at, "name"), f"there is an index {shown(name)} already", "Give each index its own name")


def _read_time(value: object, at: Location, findings: Findings) -> str | None:
    text = as_text(value)
    if text is None:
        return None
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError as error:
        findings.error(at, f"{shown(text)} is no time: {error}", "Write it as 2025-10-15T00:00:00Z (RFC 3339)")
    return text
