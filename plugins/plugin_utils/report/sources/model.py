# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the packages of a lock come from, computed: each package, who asks for it, and how they are distributed."""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import decimal
import functools
import hashlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    DEFAULT_INDEX,
    FILE,
    GIT,
    INDEX,
    PROVIDED,
    SDIST,
    SHIM,
    WHEEL,
    Lock,
    Package,
    Target,
    canonical,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE, SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import graph, licenses
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.limits import Limit, limits_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.lines import Lines, lines_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.shares import shares
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.subjects import subject_of

SEVERAL: t.Final = "several of these"
_LABELS: t.Final = {
    WHEEL: "wheel by its URL",
    FILE: "wheel of the control node",
    SDIST: "built from a source archive",
    GIT: "built from git",
    SHIM: "stand-in for another package",
    PROVIDED: "brought by the host's image",
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A package of a target. source: in words. origin: the URL of its index, file or repository, where it has one;
    of what was built of an index's archive, that archive in words.

    index_url: of the index that its file is from, or the archive that it was built of, where the lock has that.
    owners: all who need it, themselves or through other packages; direct: those who ask for it by its name.
    """

    package: Package
    source: str
    origin: str | None
    index_url: str | None
    subject: str
    license: licenses.License
    direct: tuple[str, ...]
    owners: tuple[str, ...]

    @property
    def is_built(self) -> bool:
        """Whether its wheel was built, and not published by somebody."""
        return self.package.built_from is not None

    @property
    def is_of_index(self) -> bool:
        """Whether an index has its file, or the archive that it was built of."""
        return self.package.source == INDEX or "index" in (self.package.built_from or {})

    @property
    def is_of_default_index(self) -> bool:
        """Whether it is of the index that answers for every name that is bound to none."""
        return self.package.source == INDEX and self.package.index in (None, DEFAULT_INDEX)

    @property
    def alone(self) -> str:
        """The owner without whom it would not be there, or that there are several."""
        return graph.shown(self.owners[0]) if len(self.owners) == 1 else SEVERAL


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a distribution: how many packages of how many bytes, and both in per cent of the whole."""

    label: str
    count: int
    size: int
    count_share: decimal.Decimal
    size_share: decimal.Decimal


@dataclasses.dataclass(frozen=True)
class TargetSources:
    """A target's packages, by name, with the lines of all who ask for them."""

    target: Target
    entries: tuple[Entry, ...]
    lines: Lines
    overrides: c.Mapping[str, str]

    @functools.cached_property
    def graph(self) -> graph.Graph:
        """Who asks for what."""
        return graph.Graph(self.lines.edges)

    @functools.cached_property
    def by_name(self) -> c.Mapping[str, Entry]:
        """Name to package."""
        return {entry.package.name: entry for entry in self.entries}

    @property
    def size(self) -> int:
        """The bytes of all files whose size is known."""
        return sum(_size(entry) for entry in self.entries)

    @property
    def unsized(self) -> int:
        """How many packages have a file of which nobody says the size."""
        return sum(entry.package.size is None and entry.package.file is not None for entry in self.entries)

    def parts(self, label: c.Callable[[Entry], str]) -> tuple[Part, ...]:
        """How the packages are distributed over labels: the most packages first, then the most bytes."""
        groups: dict[str, list[Entry]] = collections.defaultdict(list)
        for entry in self.entries:
            groups[label(entry)].append(entry)
        sums = [(name, len(group), sum(map(_size, group))) for name, group in groups.items()]
        sums.sort(key=lambda each: (-each[1], -each[2], each[0]))
        counts, sizes = shares([each[1] for each in sums]), shares([each[2] for each in sums])
        return tuple(Part(*each, counts[place], sizes[place]) for place, each in enumerate(sums))

    @property
    def by_source(self) -> tuple[Part, ...]:
        """How the packages are distributed over sources."""
        return self.parts(lambda entry: entry.source)

    @property
    def by_owner(self) -> tuple[Part, ...]:
        """What would go away with which owner, and what several of them need."""
        return self.parts(lambda entry: entry.alone)

    @property
    def by_license(self) -> tuple[Part, ...]:
        """How the packages are distributed over licences."""
        return self.parts(lambda entry: entry.license.group)

    def limits(self, package: str) -> tuple[Limit, ...]:
        """Who says what of a package's version; lines that were replaced, and those beside an override, are void."""
        found = tuple(map(self._without_stand_in, limits_of(self.graph.asking_for(package))))
        replaced = tuple(
            dataclasses.replace(limit, void=f"replaced by {by}")
            for edge, by in self.lines.replaced
            if edge.package == package
            for limit in limits_of([edge])
        )
        override = self.overrides.get(package)
        if override is None:
            return (*found, *replaced)
        void = [dataclasses.replace(limit, void=f"python.overrides: {override}") for limit in found]
        return (*limits_of([graph.Edge(SPEC, package, override, "python.overrides")]), *void, *replaced)

    def _without_stand_in(self, limit: Limit) -> Limit:
        """A stand-in asks for the version that was chosen, and chooses none."""
        entry = self.by_name.get(limit.edge.requester.removeprefix(PACKAGE))
        is_stand_in = entry is not None and entry.package.source == SHIM
        return dataclasses.replace(limit, void="a stand-in follows what it stands in for") if is_stand_in else limit


@dataclasses.dataclass(frozen=True)
class Sources:
    """A lock's targets, by name. digest: the sha256 of the lock's text."""

    lock: Lock
    digest: str
    targets: c.Mapping[str, TargetSources]


def sources_of(lock: Lock, only: str | None = None) -> Sources:
    """The sources of a lock's targets, or of the one called ``only``, which there has to be."""
    targets = {name: _target(lock, target) for name, target in sorted(lock.targets.items()) if only in (None, name)}
    return Sources(lock, hashlib.sha256(canonical(lock.document).encode()).hexdigest(), targets)


def _target(lock: Lock, target: Target) -> TargetSources:
    lines = lines_of(lock, target)
    found = graph.Graph(lines.edges)
    entries = tuple(_entry(package, target, found) for package in sorted(target.packages, key=lambda each: each.name))
    return TargetSources(target, entries, lines, lines.overrides)


def _entry(package: Package, target: Target, found: graph.Graph) -> Entry:
    direct = {edge.requester for edge in found.asking_for(package.name) if not edge.requester.startswith(PACKAGE)}
    owners = found.owners_of.get(package.name, frozenset())
    return Entry(
        package=package,
        source=_source(package, target),
        origin=_origin(package, target),
        index_url=_index_url(package, target),
        subject=subject_of(package.name),
        license=licenses.NO_CONTENT if package.source == SHIM else licenses.read_license(package.license),
        direct=tuple(sorted(direct, key=graph.owner_order)),
        owners=tuple(sorted(owners, key=graph.owner_order)),
    )


def _source(package: Package, target: Target) -> str:
    if package.source != INDEX:
        return _LABELS[package.source]
    if package.index not in (None, DEFAULT_INDEX):
        return f"index {package.index}"
    return "default index" if target.indexes.get(DEFAULT_INDEX) else "PyPI"


def _origin(package: Package, target: Target) -> str | None:
    built = package.built_from
    if built and "git" in built:
        place = f"#subdirectory={built['subdirectory']}" if built.get("subdirectory") else ""
        return f"git+{built['git']}@{built['commit']}{place}"
    if built and "url" in built:
        return str(built["url"])
    if built:
        url = target.indexes.get(built["index"])
        return f"{built['file']} of {url or 'the index ' + built['index']}"
    return package.url or target.indexes.get(package.index or DEFAULT_INDEX)


def _index_url(package: Package, target: Target) -> str | None:
    index = (package.built_from or {}).get("index") or (
        package.index or DEFAULT_INDEX if package.source == INDEX else None
    )
    return target.indexes.get(index) if index else None


def _size(entry: Entry) -> int:
    return entry.package.size or 0
