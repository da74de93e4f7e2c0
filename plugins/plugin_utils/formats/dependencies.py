# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graph of a target's packages: what each requires itself, and where it goes in a circle."""

from __future__ import annotations

import collections.abc as c

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE

Graph = dict[str, list[str]]


def dependencies_of(packages: c.Iterable[Package]) -> Graph:
    """For each package the packages of the lock that it requires itself, sorted; a shim also requires its provider.

    Both directions of the lock count: what a package says of itself, and what is said of who asked for another.
    """
    there = {package.name: package for package in packages}
    edges = {(name, required) for name, package in there.items() for required in _required(package)}
    edges |= {(owner, name) for name, package in there.items() for owner in _packages_of(package.required_by)}
    graph: Graph = {name: [] for name in sorted(there)}
    for name, required in sorted(edges):
        if name != required and name in there and required in there:
            graph[name].append(required)
    return graph


def left_out_of(packages: c.Iterable[Package]) -> dict[str, list[str]]:
    """For each package what it requires and the lock does not have (``python.exclude``, ``python.overrides``)."""
    there = {package.name: package for package in packages}
    return {name: sorted(_required(package) - set(there)) for name, package in there.items()}


def without_circles(graph: c.Mapping[str, c.Sequence[str]]) -> tuple[Graph, Graph]:
    """The graph less the edges that close a circle, and those edges.

    Which edge of a circle goes does not depend on the order in which the packages are given.
    """
    kept: Graph = {name: [] for name in graph}
    closing: Graph = {name: [] for name in graph}
    done: set[str] = set()
    for start in sorted(graph):
        # A path of packages, each with what of it is still to be looked at; no recursion: graphs are deep.
        path = [(start, iter(sorted(graph[start])))] if start not in done else []
        while path:
            name, following = path[-1]
            successor = next(following, None)
            if successor is None:
                done.add(path.pop()[0])
            elif successor in (each for each, _rest in path):
                closing[name].append(successor)
            else:
                kept[name].append(successor)
                if successor not in done:
                    path.append((successor, iter(sorted(graph[successor]))))
    return kept, closing


def _packages_of(owners: c.Iterable[str]) -> set[str]:
    return {owner.removeprefix(PACKAGE) for owner in owners if owner.startswith(PACKAGE)}


def _required(package: Package) -> set[str]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    names = {str(canonicalize_name(Requirement(line).name)) for line in package.requires}
    return names | {package.provider} if package.provider else names
