# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that take a host's models to what the lock says. Pure: what it is told is all that it knows."""

from __future__ import annotations

import collections.abc as c
import dataclasses

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Need, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.folder_types import FILE_NAME
from ansible_collections.comfyops.fleet.plugins.module_utils.models.found import OBSTRUCTION_REMEDY
from ansible_collections.comfyops.fleet.plugins.module_utils.models.inline import inline_content
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import Spot, State
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import Place, contents, names, places, shown

PART = "models"
FETCH = "fetch"
ADOPT = "adopt"
PLACE = "place"
REPLACE = "replace"
WRITE = "write"


@dataclasses.dataclass(frozen=True)
class _Pieces:
    """What is collected for a plan."""

    changes: list[Change] = dataclasses.field(default_factory=list)
    needs: list[Need] = dataclasses.field(default_factory=list)
    obstacles: list[FleetError] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def plan(context: Context, state: State) -> Plan:
    """What is fetched or adopted into the store, then what is put at paths, then extra_model_paths.yaml.

    A path whose content the serving build has otherwise is left to the switch.
    """
    if context.settings.skip_models:
        return Plan()
    pieces = _Pieces()
    wanted = places(context.lock.models, context.layout, context.home)
    left_out = _plan_store(context, state, wanted, pieces)
    for path, place in wanted.items():
        if place.model.sha256 not in left_out and state.serving.get(path, place.model.sha256) == place.model.sha256:
            _plan_path(context, state, path, place, pieces)
    _plan_extra_paths(context, state, pieces)
    if pieces.changes:
        pieces.obstacles.extend(state.faults)
    return Plan(tuple(pieces.changes), tuple(pieces.needs), tuple(pieces.obstacles), tuple(pieces.notes))


def _plan_store(context: Context, state: State, wanted: c.Mapping[str, Place], pieces: _Pieces) -> set[str]:
    """Bring contents into the store; gives the optional ones that stay away."""
    called = names(context.lock.models, context.layout)
    needed = {sha256 for sha256, optional in _optional(context.lock.models).items() if not optional}
    left_out: set[str] = set()
    for sha256, model in contents(context.lock.models).items():
        if state.blobs[sha256].right:
            continue
        donor = donor_of(sha256, wanted, state.spots) or state.elsewhere.get(sha256)
        if donor is not None:
            pieces.changes.append(Change(PART, ADOPT, called[sha256], donor, shown(sha256, model.size)))
            spot = state.spots.get(donor)
            copied = (model.size if spot is None else spot.found.size) or 0
            pieces.needs.append(Need(context.layout.store, copied if spot is None or spot.adopt_copies else 0))
            continue
        away = _why_away(context, state, model)
        missed = away or state.missed.get(sha256)
        if missed and sha256 not in needed:
            pieces.notes.append(f"optional model {called[sha256]} is missing: {missed}")
            left_out.add(sha256)
            continue
        pieces.changes.append(
            Change(PART, FETCH, called[sha256], state.blobs[sha256].damaged, shown(sha256, model.size))
        )
        pieces.needs.append(Need(context.layout.store, max(0, (model.size or 0) - state.blobs[sha256].part)))
        if away:
            pieces.obstacles.append(_not_here(called[sha256], away))
    return left_out


def _optional(models: c.Iterable[Model]) -> dict[str, bool]:
    """Whether a content is optional: for each of the models that have it."""
    found: dict[str, bool] = {}
    for model in models:
        found[model.sha256] = found.get(model.sha256, True) and model.optional
    return found


def donor_of(sha256: str, wanted: c.Mapping[str, Place], spots: c.Mapping[str, Spot]) -> str | None:
    """The first path that has a content by hand, from which the store can take it."""
    return next((path for path, place in wanted.items() if place.model.sha256 == sha256 and spots[path].adopt), None)


def _why_away(context: Context, state: State, model: Model) -> str | None:
    """Why an offline host can not have a content; None when it may."""
    if not context.settings.offline or inline_content(model.url) is not None:
        return None
    if model.url.startswith("file:"):
        return "its source is not on this host" if model.sha256 in state.lost_files else None
    return "it is not on this host, which is offline"


def _not_here(name: str, reason: str) -> FleetError:
    return FleetError(
        reason,
        where=f"model {name}",
        remedy="Put the file at its path on the host (its bytes decide), or realize once with comfy_offline=false",
    )


def _plan_path(context: Context, state: State, path: str, place: Place, pieces: _Pieces) -> None:
    spot = state.spots[path]
    if spot.fits:
        return
    action = PLACE if spot.found.text is None else REPLACE
    after = shown(place.model.sha256, place.model.size)
    pieces.changes.append(Change(PART, action, path, spot.found.text, after))
    pieces.needs.extend(path_needs(context, place, spot, state.copies))
    pieces.obstacles.extend(path_obstacles(path, spot))


def path_needs(context: Context, place: Place, spot: Spot, copies: bool) -> list[Need]:
    """The room that putting a model at a path takes, and keeping what is there."""
    return [
        Need(place.root, (place.model.size or 0) if copies else 0),
        Need(context.layout.aside, spot.found.aside),
    ]


def path_obstacles(path: str, spot: Spot) -> list[FleetError]:
    """What keeps a model from its path."""
    return [FleetError(spot.obstruction, where=path, remedy=OBSTRUCTION_REMEDY)] if spot.obstruction else []


def _plan_extra_paths(context: Context, state: State, pieces: _Pieces) -> None:
    if state.extra_paths is None:
        return
    before = None if state.extra_paths == "absent" else state.extra_paths
    pieces.changes.append(Change(PART, WRITE, FILE_NAME, before, "present"))
    models = str(context.layout.models)
    if "$" in models or models.startswith("~"):
        pieces.obstacles.append(
            FleetError(
                "ComfyUI would expand $ and ~ in it",
                where=f"comfy_models_dir {models}",
                remedy="Choose a directory without them",
            )
        )
