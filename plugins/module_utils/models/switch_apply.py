# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do what a switch of ``current`` does to the models; apart from the look at it, which need not carry all of this."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.models.place import Aside, put_all, take_away
from ansible_collections.comfyops.fleet.plugins.module_utils.models.placed import Placed, say_served, served_elsewhere
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import PLACE, REPLACE
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.served import served
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch import PART, REMOVE, ends, unused
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import MODELS_DIR, Place, blob, places


def apply_switch(context: Context, plan: Plan) -> None:
    """Make the plan's changes of models; its other changes are not of this part.

    Call it at every switch, also with nothing to change here: a shared root is told what this host serves. Raises
    FleetError, with nothing changed, when bytes are not in the store.
    """
    if context.settings.skip_models:
        return
    layout = context.layout
    receipts = Receipts(layout, context.settings.deep)
    wanted = places(context.lock.models, layout, context.home)
    ours = [change for change in plan.changes if change.part == PART]
    named = [wanted[change.name] for change in ours if change.action in (PLACE, REPLACE) and change.name in wanted]
    removed = [change.name for change in ours if change.action == REMOVE]
    _refuse_missing(context, named)
    with receipts.kept():
        put_all(layout, named, receipts)
        _remove(context, removed, wanted, receipts)
    prefix = f"{MODELS_DIR}/"
    serves = {place.notation: place.model.sha256 for place in wanted.values() if place.notation.startswith(prefix)}
    say_served(layout, serves)


def _refuse_missing(context: Context, named: c.Iterable[Place]) -> None:
    """Raise when the bytes of places are not in the store."""
    absent = [str(place.path) for place in named if not blob(context.layout, place.model.sha256).is_file()]
    if absent:
        raise FleetError(
            f"the store does not have the models for {', '.join(absent)}",
            where=context.build_name,
            remedy="Run comfy_models with the same lock first",
        )


def _remove(context: Context, paths: c.Iterable[str], wanted: c.Mapping[str, Place], receipts: Receipts) -> None:
    layout = context.layout
    placed = Placed(layout)
    aside = Aside(layout)
    for path in paths:
        if path in placed.paths and path not in wanted:
            roots = (layout.models, layout.data_cache, context.home)
            root = next(each for each in roots if path.startswith(f"{each}/") or each == context.home)
            name = f"models/{os.path.relpath(path, root)}"
            take_away(pathlib.Path(path), name, placed.paths[path], layout, aside, receipts)
    if ends(served(layout), context):
        # Gone now, or somebody else's by now.
        forgotten = unused(context, placed.paths, wanted, served_elsewhere(layout))
        placed.paths = {path: sha256 for path, sha256 in placed.paths.items() if path not in forgotten}
        placed.save()
