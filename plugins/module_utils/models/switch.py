# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switch of ``current`` would do to the models that ComfyUI reads: contents that differ, paths nobody needs."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Need, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.models.found import look, obstruction
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import Spot
from ansible_collections.comfyops.fleet.plugins.module_utils.models.placed import Placed, served_elsewhere
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
        removable=_removable(context, placed.paths, wanted, elsewhere, receipts) if ends(now, context) else {},
        contested=_contested(changing, elsewhere),
        copies=placed.copies,
    )


def ends(now: Served, context: Context) -> bool:
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
    candidates = unused(context, placed, wanted, elsewhere)
    return {path: sha256 for path, sha256 in candidates.items() if _is_still_ours(path, sha256, context, receipts)}


def unused(
    context: Context,
    placed: c.Mapping[str, str],
    wanted: c.Mapping[str, Place],
    elsewhere: c.Mapping[str, c.Mapping[str, str]],
) -> dict[str, str]:
    """What we placed and nobody uses: of MODELS_DIR, data/cache and this build; other builds keep what is inside."""
    layout = context.layout
    used = {_below(notation, layout.models) for paths in elsewhere.values() for notation in paths}
    roots = (f"{layout.models}/", f"{layout.data_cache}/", f"{context.home}/")
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
