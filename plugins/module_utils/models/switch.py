# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switch of ``current`` does to the models that ComfyUI reads: contents that differ, paths that nobody needs."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Need, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.models.found import look, obstruction
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import Spot
from ansible_collections.comfyops.fleet.plugins.module_utils.models.place import Aside, put_all, take_away
from ansible_collections.comfyops.fleet.plugins.module_utils.models.placed import Placed, say_served, served_elsewhere
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import (
    PLACE,
    REPLACE,
    path_needs,
    path_obstacles,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.served import Served, served
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import (
    MODELS_DIR,
    Place,
    blob,
    places,
    shown,
)

PART = "current"
REMOVE = "remove"


@dataclasses.dataclass(frozen=True)
class SwitchState:
    """What a switch meets. spots: the paths that the serving build shows otherwise; removable: ours, in no use: sha256.

    contested: paths that another host serves otherwise from the same directory, and which. copies: links do not work.
    """

    spots: c.Mapping[str, Spot] = dataclasses.field(default_factory=dict)
    removable: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    contested: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    copies: bool = False


def observe_switch(context: Context) -> SwitchState:
    """Look at what the switch to the context's build and lock would change. Writes nothing."""
    if context.settings.skip_models:
        return SwitchState()
    layout = context.layout
    receipts = Receipts(layout, context.settings.deep)
    wanted = places(context.lock.models, layout, context.home)
    now = served(layout)
    changing = {
        path: place for path, place in wanted.items() if now.paths.get(path, place.model.sha256) != place.model.sha256
    }
    placed = Placed(layout)
    elsewhere = served_elsewhere(layout)
    return SwitchState(
        spots={path: _spot(place, context, receipts) for path, place in changing.items()},
        removable=_removable(context, placed.paths, wanted, elsewhere, receipts) if _ends(now, context) else {},
        contested=_contested(changing, elsewhere),
        copies=placed.copies,
    )


def _ends(now: Served, context: Context) -> bool:
    """Whether what serves now ends: another build, or other models, are to serve."""
    wanted = places(context.lock.models, context.layout, context.home)
    contents = {path: place.model.sha256 for path, place in wanted.items()}
    return now.build != context.build_name or now.paths != contents


def _spot(place: Place, context: Context, receipts: Receipts) -> Spot:
    found = look(place.path, context.layout, place.model.sha256)
    if found.stored is not None:
        return Spot(found, found.stored == place.model.sha256, obstruction=obstruction(place, context.layout))
    path = str(place.path)
    possible = found.size is not None and place.model.size in (None, found.size)
    fits = possible and receipts.verified([path]).get(path) == place.model.sha256
    return Spot(found, fits, obstruction=obstruction(place, context.layout))


def _removable(
    context: Context,
    placed: c.Mapping[str, str],
    wanted: c.Mapping[str, Place],
    elsewhere: c.Mapping[str, c.Mapping[str, str]],
    receipts: Receipts,
) -> dict[str, str]:
    candidates = _unused(context, placed, wanted, elsewhere)
    return {path: sha256 for path, sha256 in candidates.items() if _is_still_ours(path, sha256, context, receipts)}


def _unused(
    context: Context,
    placed: c.Mapping[str, str],
    wanted: c.Mapping[str, Place],
    elsewhere: c.Mapping[str, c.Mapping[str, str]],
) -> dict[str, str]:
    """What we placed and nobody uses: of MODELS_DIR and this build; other builds keep what is inside of them."""
    layout = context.layout
    used = {_below(notation, layout.models) for paths in elsewhere.values() for notation in paths}
    roots = (f"{layout.models}/", f"{context.home}/")
    return {
        path: sha256
        for path, sha256 in placed.items()
        if path not in wanted and path not in used and path.startswith(roots)
    }


def _below(notation: str, models: pathlib.Path) -> str:
    return f"{models}/{notation.removeprefix(f'{MODELS_DIR}/')}"


def _is_still_ours(path: str, sha256: str, context: Context, receipts: Receipts) -> bool:
    """A link into the store, or the very bytes that we put there; anything else was put there by somebody else."""
    found = look(pathlib.Path(path), context.layout, sha256)
    if found.stored is not None:
        return True
    if found.size is None or found.foreign_link:
        return False
    return receipts.verified([path]).get(path) == sha256


def _contested(changing: c.Mapping[str, Place], elsewhere: c.Mapping[str, c.Mapping[str, str]]) -> dict[str, str]:
    return {
        path: host
        for path, place in changing.items()
        for host, paths in elsewhere.items()
        if paths.get(place.notation, place.model.sha256) != place.model.sha256
    }


def plan_switch(context: Context, state: SwitchState) -> Plan:
    """The changes of a switch: paths replaced from the store, and removed. Pure."""
    changes: list[Change] = []
    needs: list[Need] = []
    obstacles: list[FleetError] = []
    wanted = places(context.lock.models, context.layout, context.home)
    for path, spot in state.spots.items():
        if spot.fits:
            continue
        model = wanted[path].model
        action = PLACE if spot.found.text is None else REPLACE
        changes.append(Change(PART, action, path, spot.found.text, shown(model.sha256, model.size)))
        needs.extend(path_needs(context, wanted[path], spot, state.copies))
        obstacles.extend(path_obstacles(path, spot))
    changes += [Change(PART, REMOVE, path, shown(sha256, None), None) for path, sha256 in state.removable.items()]
    notes = [
        f"{path}: {host} serves another content from there until it switches" for path, host in state.contested.items()
    ]
    return Plan(tuple(changes), tuple(needs), tuple(obstacles), tuple(notes))


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
    try:
        put_all(layout, named, receipts)
        _remove(context, removed, wanted, receipts)
    finally:
        receipts.save()
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
            root = layout.models if path.startswith(f"{layout.models}/") else context.home
            name = f"models/{os.path.relpath(path, root)}"
            take_away(pathlib.Path(path), name, placed.paths[path], layout, aside, receipts)
    if _ends(served(layout), context):
        # Gone now, or somebody else's by now.
        forgotten = _unused(context, placed.paths, wanted, served_elsewhere(layout))
        placed.paths = {path: sha256 for path, sha256 in placed.paths.items() if path not in forgotten}
        placed.save()
