# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers for the terminal: what there is, why a package is there, and who says what of its version."""

from __future__ import annotations

import collections.abc as c

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import Chain, shown, shown_requester
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.limits import Limit
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Sources, TargetSources


def summary(sources: Sources) -> str:
    """A line for each target: how many packages of how many bytes, and where they are from."""
    return "\n".join(
        f"target {name}: {len(target.entries)} packages, {human(target.size)}: "
        + ", ".join(f"{part.count} {part.label} ({part.count_share} %)" for part in target.by_source)
        for name, target in sources.targets.items()
    )


def why(sources: Sources, name: str) -> str:
    """All shortest ways from owners to a package, target by target. Raises FleetError for a name that no target has."""
    return _answer(sources, name, _why_in)


def who_limits(sources: Sources, name: str) -> str:
    """All lines on a package, the tightest first. Raises FleetError for a name that no target has."""
    return _answer(sources, name, _limits_in)


def shown_chain(chain: Chain) -> str:
    """A chain in one line: each step is what the one before asks for."""
    return " -> ".join([shown_requester(chain.edges[0]), *(edge.line for edge in chain.edges)])


def _answer(sources: Sources, name: str, answer: c.Callable[[TargetSources, str], list[str]]) -> str:
    from packaging.utils import canonicalize_name

    package = str(canonicalize_name(name))
    having = [target for target in sources.targets.values() if package in target.by_name]
    if not having:
        raise FleetError(
            f"no target has a package {package}",
            where=sources.lock.version_id,
            remedy=f"It has {_nearest(package, sources)}",
        )
    return "\n".join(line for target in having for line in (_headline(target, package), *answer(target, package)))


def _headline(target: TargetSources, name: str) -> str:
    entry = target.by_name[name]
    return f"{name} {entry.package.version} ({entry.source}), target {target.target.name}"


def _why_in(target: TargetSources, name: str) -> list[str]:
    lines = []
    for reason in target.graph.reasons(name):
        lines += [f"  {shown_chain(chain)}" for chain in reason.chains]
        if reason.more:
            lines.append(f"  ... and {reason.more} more of {shown(reason.owner)}")
    return lines


def _limits_in(target: TargetSources, name: str) -> list[str]:
    limits = target.limits(name)
    width = max((len(_end(limit)) for limit in limits), default=0)
    return [f"  {_end(limit):{width}}  {_asker(limit, target)}: {_said(limit)}" for limit in limits]


def _end(limit: Limit) -> str:
    return limit.at_most or "no upper end"


def _asker(limit: Limit, target: TargetSources) -> str:
    requester = limit.edge.requester
    if not requester.startswith(PACKAGE):
        return shown_requester(limit.edge)
    entry = target.by_name[shown(requester)]
    return f"{entry.package.name} {entry.package.version}"


def _said(limit: Limit) -> str:
    return f"{limit.edge.line} (does not count: {limit.void})" if limit.void else limit.edge.line


def _nearest(name: str, sources: Sources) -> str:
    import difflib

    names = sorted({each for target in sources.targets.values() for each in target.by_name})
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return ", ".join(near) if near else f"{len(names)} others: sources.csv lists them"
