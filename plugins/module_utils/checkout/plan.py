# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that make a checkout what the lock says. Pure."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.observe import CheckoutState, TreeState
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout

CREATE = "create"
CHECK_OUT = "check out"
RESTORE = "restore"
PUT_ASIDE = "put aside"
LINK = "link"
SHORT = 12


class Placed(t.NamedTuple):
    """A change of one repository: the outer checkout (submodule "") or one of its submodules."""

    change: Change
    submodule: str
    path: str


def plan_tree(part: str, name: str, wanted: Checkout, state: TreeState) -> list[Placed]:
    """What to do for the checkout ``name`` (as changes call it) and its submodules."""
    if not state.checkout.exists:
        return [Placed(Change(part, CREATE, name, None, wanted.commit[:SHORT]), "", "")]
    placed = _plan_checkout(part, name, "", wanted.commit, state.checkout)
    for submodule in wanted.submodules:
        inner = state.submodules[submodule.path]
        placed += _plan_checkout(part, f"{name}/{submodule.path}", submodule.path, submodule.commit, inner)
    for link in state.links:
        if link.found != link.target:
            change = Change(part, LINK, f"{name}/{link.path}", link.found, link.target)
            placed.append(Placed(change, "", link.path))
    return placed


def _plan_checkout(part: str, name: str, submodule: str, commit: str, state: CheckoutState) -> list[Placed]:
    if not state.exists or state.head != commit:
        before = state.head[:SHORT] if state.head else None
        return [Placed(Change(part, CHECK_OUT, name, before, commit[:SHORT]), submodule, "")]
    restored = [
        Placed(Change(part, RESTORE, f"{name}/{path}", "changed", commit[:SHORT]), submodule, path)
        for path in state.changed
    ]
    aside = [
        Placed(Change(part, PUT_ASIDE, f"{name}/{path}", "not in the commit", None), submodule, path)
        for path in state.loadable
    ]
    return restored + aside


def runtime_notes(trees: c.Mapping[str, TreeState]) -> list[str]:
    """One line for each checkout in which something wrote data: how much."""
    notes = []
    for name, state in trees.items():
        states = (state.checkout, *state.submodules.values())
        sizes = [size for each in states for _path, size in each.runtime]
        if sizes:
            notes.append(f"{name}: {len(sizes)} run-time file(s), {sum(sizes)} bytes (no drift)")
    return notes
