# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of what a host has nothing needs any more. Pure."""

from __future__ import annotations

import collections.abc as c
import dataclasses

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.named import Named
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.observe import Builds, Item, State
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import REMOVED
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human

GARBAGE = "garbage"
REMOVE = "remove"


@dataclasses.dataclass(frozen=True)
class Rules:
    """What stays though no lock names it.

    named: what locks elsewhere name. keep_builds: how many builds beside the one that serves, the newest; None: all.
    part_days, aside_days: how old partial downloads and what was put aside have to be; None: they stay.
    """

    named: Named = dataclasses.field(default_factory=Named)
    keep_builds: int | None = None
    part_days: float | None = 7.0
    aside_days: float | None = None


def plan(state: State, rules: Rules) -> tuple[Plan, tuple[Item, ...]]:
    """The removals, largest first, and the items that they are of.

    A kept build whose lock is not known is an obstacle: what it needs would look like garbage.
    """
    kept = state.builds.newest(rules.keep_builds)
    named = rules.named | state.builds.named_by(kept)
    linked = state.linked | named.linked
    environments = {state.builds.found[name].environment for name in kept}
    judge = _Judge(rules, named, frozenset(kept), environments, _newest_uv(state), linked)
    doomed = sorted((item for item in state.items if judge.is_garbage(item)), key=_largest_first)
    unnamed = linked & {item.name for item in state.items if item.kind == observe.MODEL} - named.models
    notes = (f"{len(unnamed)} model(s) stay that no lock names: links in MODELS_DIR lead to them",) if unnamed else ()
    return Plan(tuple(_change(item) for item in doomed), obstacles=unknown(state.builds, kept, rules), notes=notes), (
        *doomed,
    )


def unknown(builds: Builds, kept: c.Iterable[str], rules: Rules) -> tuple[FleetError, ...]:
    """A fault for each of the ``kept`` builds whose lock neither the host has nor anybody else."""
    return tuple(
        FleetError(
            "what this build needs is not known: no lock of it is recorded",
            where=name,
            remedy="Realize its version, or remove it with delete.yml",
        )
        for name in sorted(kept)
        if builds.found[name].named is None and name not in rules.named.builds
    )


@dataclasses.dataclass(frozen=True)
class _Judge:
    rules: Rules
    named: Named
    builds: frozenset[str]
    environments: set[str | None]
    uv: str | None
    linked: frozenset[str]

    def is_garbage(self, item: Item) -> bool:
        if item.name.startswith(REMOVED):
            return True
        needed = {
            observe.BUILD: self.builds,
            observe.ENVIRONMENT: self.environments,
            observe.MODEL: self.named.models | self.linked,
            observe.WHEEL: self.named.wheels,
            observe.FILE: self.named.files,
            observe.PYTHON: self.named.pythons,
            observe.REPOSITORY: self.named.repositories,
            observe.UV: {self.uv},
        }.get(item.kind)
        if needed is not None and not item.name.startswith("."):
            return item.name not in needed
        # A name with a dot is of something half made, perhaps by another host at this moment.
        days = self.rules.aside_days if item.kind == observe.ASIDE else self.rules.part_days
        return days is not None and item.days > days


def _newest_uv(state: State) -> str | None:
    brought = (item for item in state.items if item.kind == observe.UV and not item.name.startswith(REMOVED))
    return min(((item.days, item.name) for item in brought), default=(0, None))[1]


def _largest_first(item: Item) -> tuple[int, str]:
    return -item.size, str(item.path)


def _change(item: Item) -> Change:
    return Change(GARBAGE, REMOVE, f"{item.kind} {item.path}", human(item.size), None)
