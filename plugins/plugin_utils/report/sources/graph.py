# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for which package in which words: edges from core, nodes, spec and packages, and questions to them."""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import functools
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import CORE, FLEET, NODE, PACKAGE, SPEC

_OWNERS: t.Final = {CORE: "core", SPEC: "the spec", FLEET: "the collection itself"}


@dataclasses.dataclass(frozen=True)
class Edge:
    """A requester (an owner, or ``package:<name>``) asks for a package. place: the file that says so, if any."""

    requester: str
    package: str
    line: str
    place: str | None = None


@dataclasses.dataclass(frozen=True)
class Chain:
    """From an owner to a package: each edge asks for what the next one's requester is."""

    edges: tuple[Edge, ...]

    @property
    def owner(self) -> str:
        """Who began it."""
        return self.edges[0].requester


@dataclasses.dataclass(frozen=True)
class Reason:
    """The shortest chains of one owner; more: how many others of that length there are."""

    owner: str
    chains: tuple[Chain, ...]
    more: int


class Graph:
    """The edges among owners and the packages that a lock has."""

    def __init__(self, edges: c.Iterable[Edge]) -> None:
        self.edges: t.Final = tuple(sorted(set(edges), key=_position))
        self._to: dict[str, list[Edge]] = collections.defaultdict(list)
        self._from: dict[str, list[Edge]] = collections.defaultdict(list)
        for edge in self.edges:
            self._to[edge.package].append(edge)
            self._from[edge.requester].append(edge)

    def asking_for(self, package: str) -> tuple[Edge, ...]:
        """Who asks for a package directly."""
        return tuple(self._to.get(package, ()))

    def asked_by(self, requester: str) -> tuple[Edge, ...]:
        """What an owner or a package asks for."""
        return tuple(self._from.get(requester, ()))

    @property
    def owners(self) -> tuple[str, ...]:
        """Those who ask for packages and are none: core first, then the nodes, then the spec."""
        return tuple(sorted((each for each in self._from if not each.startswith(PACKAGE)), key=owner_order))

    @functools.cached_property
    def owners_of(self) -> c.Mapping[str, frozenset[str]]:
        """Package to the owners that need it, themselves or through what they ask for."""
        found: dict[str, set[str]] = collections.defaultdict(set)
        for owner in self.owners:
            open_ones = [edge.package for edge in self.asked_by(owner)]
            while open_ones:
                package = open_ones.pop()
                if owner not in found[package]:
                    found[package].add(owner)
                    open_ones += [edge.package for edge in self.asked_by(f"{PACKAGE}{package}")]
        return {package: frozenset(owners) for package, owners in found.items()}

    def reasons(self, package: str, at_most: int = 20) -> tuple[Reason, ...]:
        """Why a package is there: for each owner that needs it, the shortest chains, at most so many of them."""
        distances = self._distances(package)
        found = []
        for owner in (each for each in self.owners if each in distances):
            paths: dict[str, int] = {}
            total = self._count(owner, package, distances, paths)
            chains: list[Chain] = []
            self._collect(owner, package, distances, (), chains, at_most)
            found.append(Reason(owner, tuple(chains), total - len(chains)))
        return tuple(found)

    def _distances(self, package: str) -> dict[str, int]:
        """Requester to how many edges it is away from the package."""
        distances: dict[str, int] = {}
        waiting = collections.deque([(package, 1)])
        while waiting:
            name, distance = waiting.popleft()
            for edge in self.asking_for(name):
                if edge.requester not in distances and edge.requester != f"{PACKAGE}{package}":
                    distances[edge.requester] = distance
                    if edge.requester.startswith(PACKAGE):
                        waiting.append((edge.requester.removeprefix(PACKAGE), distance + 1))
        return distances

    def _nearer(self, requester: str, package: str, distances: c.Mapping[str, int]) -> c.Iterator[Edge]:
        """The edges of a requester that lead one step nearer to the package."""
        for edge in self.asked_by(requester):
            there = 0 if edge.package == package else distances.get(f"{PACKAGE}{edge.package}", -1)
            if there == distances[requester] - 1:
                yield edge

    def _count(self, requester: str, package: str, distances: c.Mapping[str, int], known: dict[str, int]) -> int:
        if requester not in known:
            known[requester] = sum(
                1 if edge.package == package else self._count(f"{PACKAGE}{edge.package}", package, distances, known)
                for edge in self._nearer(requester, package, distances)
            )
        return known[requester]

    def _collect(
        self,
        requester: str,
        package: str,
        distances: c.Mapping[str, int],
        before: tuple[Edge, ...],
        chains: list[Chain],
        at_most: int,
    ) -> None:
        for edge in self._nearer(requester, package, distances):
            if len(chains) >= at_most:
                return
            if edge.package == package:
                chains.append(Chain((*before, edge)))
            else:
                self._collect(f"{PACKAGE}{edge.package}", package, distances, (*before, edge), chains, at_most)


def shown(requester: str) -> str:
    """An owner or a package as reports name it."""
    if requester.startswith(PACKAGE):
        return requester.removeprefix(PACKAGE)
    return f"node {requester.removeprefix(NODE)}" if requester.startswith(NODE) else _OWNERS.get(requester, requester)


def shown_requester(edge: Edge) -> str:
    """Who asks, with the file that says so, if any."""
    return f"{shown(edge.requester)} ({edge.place})" if edge.place else shown(edge.requester)


def owner_order(owner: str) -> tuple[int, str]:
    """Core, nodes, spec, the rest."""
    ranks = {CORE: 0, SPEC: 2, FLEET: 3}
    return (1 if owner.startswith(NODE) else ranks.get(owner, 4), owner)


def _position(edge: Edge) -> tuple[t.Any, ...]:
    return (*owner_order(edge.requester), edge.package, edge.line, edge.place or "")
