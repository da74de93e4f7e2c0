# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared, what of it is locked, what of that is on hosts, and what can be imported there."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    DEFAULT_INDEX,
    INDEX,
    PROVIDED,
    Package,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import direct_url
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import Edge, shown_requester
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import TargetSources

_REALIZE: t.Final = "Run realize.yml with the same version"


@dataclasses.dataclass(frozen=True)
class Look:
    """What was found on one host of a target.

    installed: name to version. origins: name to the URL that it says it is from, if it says one. imports: module to
    what Python said against it, or None. brought_by: module to its package. faults: what the host's own look found
    wrong. problem: why there was none; empty when there was.
    """

    host: str
    target: str | None
    installed: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    origins: c.Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    imports: c.Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    brought_by: c.Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    faults: tuple[FleetError, ...] = ()
    problem: str = ""


def read_look(host: str, found: c.Mapping[str, t.Any] | None) -> Look | None:
    """The look in a result of comfy_pip_packages with state=verified; None where nobody looked."""
    if found is None or found.get("skipped"):
        return None
    if "installed" not in found:
        return Look(host, None, problem=str(found.get("msg") or "the host did not answer"))
    return Look(
        host=host,
        target=found["target"],
        installed={each["name"]: each["version"] for each in found["installed"]},
        origins={each["name"]: each["origin"] for each in found["installed"]},
        imports={each["module"]: each["error"] for each in found["imports"]},
        brought_by={each["module"]: each["package"] for each in found["imports"]},
        faults=tuple(
            FleetError(each["what"], where=f"{host}: {each['where']}", remedy=each["remedy"])
            for each in found.get("failures", ())
        ),
    )


@dataclasses.dataclass(frozen=True)
class Row:
    """A package. declared: the owners that name it. locked: its version. found: host to the version there.

    modules: those of it that were imported on hosts, with what Python said, None where nothing.
    """

    name: str
    declared: tuple[str, ...]
    locked: str | None
    source: str | None
    found: c.Mapping[str, str | None]
    modules: c.Mapping[str, str | None]
    is_installed_by_us: bool

    def is_on(self, host: str) -> bool:
        """Whether a host has it in the version that is locked."""
        return self.locked is not None and _is_same(self.found.get(host), self.locked)


@dataclasses.dataclass(frozen=True)
class Coverage:
    """All packages that somebody asks for, that are locked, or that are on a host; and what is wrong, host by host.

    hosts: those that were looked at. unlooked: host to why it was not.
    """

    rows: tuple[Row, ...]
    hosts: tuple[str, ...]
    unlooked: c.Mapping[str, str]
    faults: tuple[FleetError, ...]
    host_faults: c.Mapping[str, tuple[FleetError, ...]]

    @property
    def declared(self) -> int:
        """How many packages owners name."""
        return sum(bool(row.declared) for row in self.rows)

    @property
    def declared_and_locked(self) -> int:
        """How many of those are locked."""
        return sum(bool(row.declared) and row.locked is not None for row in self.rows)

    @property
    def locked(self) -> int:
        """How many packages are locked."""
        return sum(row.locked is not None for row in self.rows)

    @property
    def modules(self) -> c.Mapping[str, str | None]:
        """The modules that were imported on hosts, with what Python said against it on any of them."""
        return {module: error for row in self.rows for module, error in row.modules.items()}

    @property
    def all_faults(self) -> tuple[FleetError, ...]:
        """What is wrong with the lock, then with its hosts."""
        return (*self.faults, *(fault for found in self.host_faults.values() for fault in found))

    @property
    def to_install(self) -> int:
        """How many packages an environment has; what the host's image brings is beside it."""
        return sum(row.is_installed_by_us for row in self.rows)

    def installed(self, host: str) -> int:
        """How many of them a host has, in their version."""
        return sum(row.is_installed_by_us and row.is_on(host) for row in self.rows)


def coverage_of(sources: TargetSources, looks: c.Sequence[Look] = ()) -> Coverage:
    """The coverage of a target, with what was found on its hosts, if anybody looked."""
    seen = [look for look in looks if not look.problem]
    names = {*sources.by_name, *(edge.package for edge in sources.lines.unmet)}
    names |= {name for look in seen for name in look.installed}
    return Coverage(
        rows=tuple(_row(name, sources, seen) for name in sorted(names)),
        hosts=tuple(look.host for look in seen),
        unlooked={look.host: look.problem for look in looks if look.problem},
        faults=(*_unmet(sources.lines.unmet), *_without_source(sources)),
        host_faults={look.host: tuple(_on_host(sources, look)) for look in seen},
    )


def _row(name: str, sources: TargetSources, looks: c.Sequence[Look]) -> Row:
    entry = sources.by_name.get(name)
    unmet = [edge.requester for edge in sources.lines.unmet if edge.package == name]
    modules: dict[str, str | None] = {}
    for look in looks:
        for module, error in look.imports.items():
            if look.brought_by.get(module) == name:
                modules[module] = modules.get(module) or error
    return Row(
        name=name,
        declared=entry.direct if entry else tuple(each for each in unmet if not each.startswith(PACKAGE)),
        locked=entry.package.version if entry else None,
        source=entry.source if entry else None,
        found={look.host: look.installed.get(name) for look in looks},
        modules=modules,
        is_installed_by_us=entry is not None and entry.package.source != PROVIDED,
    )


def _unmet(edges: c.Iterable[Edge]) -> c.Iterator[FleetError]:
    for edge in edges:
        yield FleetError(
            f"asks for {edge.line}, and the lock has no {edge.package}: it has no source",
            where=shown_requester(edge),
            remedy=f'Run lock.yml; if it stays away on purpose, add "{edge.package}" to python.exclude',
        )


def _without_source(sources: TargetSources) -> c.Iterator[FleetError]:
    target = sources.target
    for package in target.packages:
        lacking = []
        if package.source == INDEX and (package.index or DEFAULT_INDEX) not in target.indexes:
            lacking.append(f"its index {package.index} has no entry in the lock")
        if package.source != PROVIDED and not (package.file and package.sha256):
            lacking.append("no file is named")
        if not package.required_by:
            lacking.append("nobody asks for it")
        if lacking:
            yield FleetError(
                f"{package.name} {package.version} has no source: {', '.join(lacking)}",
                where=f"target {target.name}",
                remedy="Make the lock again with lock.yml",
            )


def _on_host(sources: TargetSources, look: Look) -> c.Iterator[FleetError]:
    if not look.installed:
        faults = look.faults or [FleetError("has no environment", where=look.host)]
        yield from (FleetError(fault.what, where=fault.where, remedy=_REALIZE) for fault in faults)
        return
    for entry in sources.entries:
        what = _difference(entry.package, look)
        if what:
            yield FleetError(what, where=look.host, remedy=_REALIZE)
    for name in sorted(look.installed.keys() - sources.by_name.keys()):
        yield FleetError(
            f"{name} {look.installed[name]} is installed, and has no source: the lock does not name it",
            where=look.host,
            remedy=f"{_REALIZE}, or add it to python_packages and lock again",
        )
    yield from look.faults


def _difference(package: Package, look: Look) -> str | None:
    """What is otherwise on a host than the lock says; what its image brings, the look itself judges."""
    name, wanted, found = package.name, package.version, look.installed.get(package.name)
    if found is None:
        return None if package.source == PROVIDED else f"{name} {wanted} is not installed"
    if not _is_same(found, wanted):
        return f"{name} is {found}, and the lock says {wanted}"
    origin, said = _origin(package), look.origins.get(name)
    return (
        f"{name} {found} is from {said or 'an index'}, and the lock says {origin}"
        if said != origin and origin
        else None
    )


def _origin(package: Package) -> str | None:
    """The URL that an installed package says it is from, as comfy_pip_packages gives it; None for those of indexes."""
    text = direct_url(package)
    if text is None:
        return None
    document = json.loads(text)
    commit = document.get("vcs_info", {}).get("commit_id")
    return f"git+{document['url']}@{commit}" if commit else str(document["url"])


def _is_same(found: str | None, wanted: str) -> bool:
    """Whether two versions are one, in whatever spelling (PEP 440)."""
    from packaging.version import InvalidVersion, Version

    try:
        return found is not None and Version(found) == Version(wanted)
    except InvalidVersion:
        return found == wanted
