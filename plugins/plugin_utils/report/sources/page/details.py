# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page says of a package, or of one who asks for packages, that a reader chooses."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import CORE, NODE, PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import tables
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import (
    Chain,
    Reason,
    shown,
    shown_requester,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.limits import Limit
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Entry, TargetSources

_CHAINS: t.Final = 6
# A step of a way, or a line: what it says, and the name (``package:<name>``, or an owner) that it leads to.
Step = list[str]
Details = dict[str, t.Any]


def details_of(sources: TargetSources, lock: Lock) -> dict[str, Details]:
    """Owner, or ``package:<name>``, to what the page says of it.

    title; facts: pairs of a word and a text; why: ways, each of steps; limits: see _limit; needs: steps.
    """
    found = {f"{PACKAGE}{name}": _of_package(entry, sources) for name, entry in sources.by_name.items()}
    replaced = (each.owner for each in sources.target.replaced)
    owners = {*sources.graph.owners, CORE, *(f"{NODE}{node.directory}" for node in lock.nodes), *replaced}
    found.update((owner, _of_owner(owner, sources, lock)) for owner in owners)
    return found


def as_json(value: t.Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")


def _of_package(entry: Entry, sources: TargetSources) -> Details:
    package = entry.package
    facts: list[list[str | None]] = [
        ["Source", entry.source],
        ["From", entry.origin],
        ["File", package.file],
        ["SHA-256", package.sha256],
        ["Size", f"{human(package.size)} ({package.size:,} bytes)" if package.size is not None else None],
        ["Licence", entry.license.shown],
        ["Group", entry.subject],
        ["Built by", tables.built_by(entry)],
        ["Its content", f"is that of {package.provider}" if package.provider else None],
    ]
    return {
        "title": f"{package.name} {package.version}",
        "facts": [fact for fact in facts if fact[1]],
        "why": [way for reason in sources.graph.reasons(package.name, _CHAINS) for way in _ways(reason)],
        "limits": [_limit(limit) for limit in sources.limits(package.name) if limit.specifier],
        "needs": [[edge.line, f"{PACKAGE}{edge.package}"] for edge in sources.graph.asked_by(_name(entry))],
    }


def _of_owner(owner: str, sources: TargetSources, lock: Lock) -> Details:
    checkout = lock.core if owner == CORE else None
    if owner.startswith(NODE):
        checkout = next((node for node in lock.nodes if node.directory == owner.removeprefix(NODE)), None)
    edges = sources.graph.asked_by(owner)
    facts = [["Repository", checkout.repo], ["Commit", checkout.commit]] if checkout else []
    return {
        "title": shown(owner),
        "facts": facts,
        "needs": [[edge.line, f"{PACKAGE}{edge.package}"] for edge in edges],
    }


def _ways(reason: Reason) -> list[list[Step]]:
    ways = [_way(chain) for chain in reason.chains]
    return [*ways, [[f"and {reason.more} more of {shown(reason.owner)}", reason.owner]]] if reason.more else ways


def _way(chain: Chain) -> list[Step]:
    return [
        [shown_requester(chain.edges[0]), chain.owner],
        *([edge.line, f"{PACKAGE}{edge.package}"] for edge in chain.edges),
    ]


def _limit(limit: Limit) -> Step:
    """Up to where, who says so, in which words, the requester's name, and why it does not count."""
    return [limit.at_most, shown_requester(limit.edge), limit.edge.line, limit.edge.requester, limit.void]


def _name(entry: Entry) -> str:
    return f"{PACKAGE}{entry.package.name}"
