# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requirement lines behind a target's packages: those that count on it, and those that nothing meets."""

from __future__ import annotations

import collections.abc as c
import dataclasses

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import WHEEL, Lock, Target
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE, SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import Edge
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Demand, Line, lines_for
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import (
    TargetEnvironment,
    target_environment,
)


@dataclasses.dataclass(frozen=True)
class Lines:
    """edges: what is asked for and locked. unmet: what is asked for and not there.

    replaced: lines that do not count, with what won over each. overrides: package to the line of python.overrides.
    excluded: names of python.exclude.
    """

    edges: tuple[Edge, ...]
    unmet: tuple[Edge, ...]
    replaced: tuple[tuple[Edge, str], ...]
    overrides: c.Mapping[str, str]
    excluded: frozenset[str]


def lines_of(lock: Lock, target: Target) -> Lines:
    """The lines of a target: owners' as far as their markers count there, and packages' own.

    Raises FleetError for a line that is none.
    """
    environment = target_environment(target.name, target.platform, target.python)
    section = lock.spec.get("python") or {}
    excluded = frozenset(_canonical(name) for name in section.get("exclude") or ())
    asked = _merged([*_of_owners(lock, target, environment, excluded), *_of_packages(target, excluded)])
    locked = {package.name for package in target.packages}
    edges = [edge for edge in asked if edge.package in locked]
    known = {(edge.requester, edge.package) for edge in edges}
    edges += [edge for edge in _required_by(target) if (edge.requester, edge.package) not in known]
    overrides = _counting([Demand(SPEC, None, tuple(section.get("overrides") or ()))], environment, frozenset())
    return Lines(
        edges=tuple(edges),
        unmet=tuple(edge for edge in asked if edge.package not in locked),
        replaced=tuple((Edge(each.owner, _canonical(each.line), each.line), each.by) for each in target.replaced),
        overrides={line.name: line.text for line in overrides},
        excluded=excluded,
    )


def _of_owners(
    lock: Lock, target: Target, environment: TargetEnvironment, excluded: frozenset[str]
) -> c.Iterator[Edge]:
    replaced = {(each.owner, each.line) for each in target.replaced}
    demands = [Demand(each.owner, each.file, each.lines) for each in lock.requirements]
    # The lock's lines of the spec are those that name no file; the others are in the spec alone.
    named = [entry for entry in lock.spec.get("python_packages") or () if "requirement" not in entry]
    for line in _counting(demands, environment, excluded):
        if (line.demand.owner, line.text) not in replaced:
            yield Edge(line.demand.owner, line.name, line.text, line.demand.file)
    wheels = {package.name: package.url for package in target.packages if package.source == WHEEL}
    for entry in named:
        # Of several wheels that the spec names, a target has one.
        if wheels.get(_canonical(entry["name"])) in (None, _address(entry)):
            yield Edge(SPEC, _canonical(entry["name"]), f"{entry['name']} @ {_address(entry)}")


def _of_packages(target: Target, excluded: frozenset[str]) -> c.Iterator[Edge]:
    for package in target.packages:
        for line in package.requires:
            name = _canonical(line)
            if name not in excluded:
                yield Edge(f"{PACKAGE}{package.name}", name, line)
        if package.provider and not any(_canonical(line) == package.provider for line in package.requires):
            yield Edge(f"{PACKAGE}{package.name}", package.provider, package.provider)


def _required_by(target: Target) -> c.Iterator[Edge]:
    """What the lock says of who asks for what, without the line."""
    for package in target.packages:
        for requester in package.required_by:
            yield Edge(requester, package.name, package.name)


def _merged(edges: c.Iterable[Edge]) -> list[Edge]:
    """One edge for all lines of a requester on a package: what they say together."""
    from packaging.requirements import Requirement

    found: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        key = (edge.requester, edge.package)
        before = found.get(key)
        if before is None or before.line == edge.line:
            found[key] = edge
            continue
        both = Requirement(before.line)
        other = Requirement(edge.line)
        both.url = both.url or other.url
        both.specifier &= other.specifier
        both.extras |= other.extras
        both.marker = None
        found[key] = dataclasses.replace(before, line=str(both), place=before.place or edge.place)
    return list(found.values())


def _counting(demands: c.Sequence[Demand], environment: TargetEnvironment, excluded: frozenset[str]) -> list[Line]:
    lines, _faults = lines_for(environment, demands, excluded)
    return lines


def _address(entry: c.Mapping[str, str]) -> str:
    return f"git+{entry['git']}@{entry['commit']}" if "git" in entry else entry["url"]


def _canonical(line: str) -> str:
    """The canonical name of what a requirement line asks for."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(Requirement(line).name))
