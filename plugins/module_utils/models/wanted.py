# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lock wants where: its models' paths on a host, and how models are called."""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model

MODELS_DIR = "$MODELS_DIR"
COMFY_HOME = "$COMFY_HOME"
HF_HOME = "$HF_HOME"
CACHE_HOME = "$XDG_CACHE_HOME"
SHOWN_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Place:
    """One path of a model. notation: as the lock has it; root: the directory that it must stay in."""

    path: pathlib.Path
    notation: str
    root: pathlib.Path
    model: Model


def places(models: c.Iterable[Model], layout: Layout, home: pathlib.Path) -> dict[str, Place]:
    """The models' paths by their absolute form, in the lock's order. Raises FleetError for one outside of its root."""
    return {str(place.path): place for model in models for place in _places(model, layout, home)}


def _places(model: Model, layout: Layout, home: pathlib.Path) -> c.Iterator[Place]:
    roots = {MODELS_DIR: layout.models, COMFY_HOME: home, HF_HOME: layout.hf_home, CACHE_HOME: layout.data_cache}
    for notation in model.paths:
        variable, _slash, rest = notation.partition("/")
        if variable not in roots or any(part in ("", ".", "..") for part in rest.split("/")):
            raise FleetError(
                f"{notation!r} is no path below {', '.join(roots)}",
                where=model.name,
                remedy="Make the lock again with lock.yml",
            )
        yield Place(roots[variable] / rest, notation, roots[variable], model)


def contents(models: c.Iterable[Model]) -> dict[str, Model]:
    """One model for each sha256: the first that has it."""
    found: dict[str, Model] = {}
    for model in models:
        found.setdefault(model.sha256, model)
    return found


def names(models: c.Sequence[Model], layout: Layout) -> dict[str, str]:
    """What changes call a content, by sha256: its model's name, or its file in the store where two share a name."""
    found = contents(models)
    shared = collections.Counter(model.name for model in found.values())
    return {
        sha256: model.name if shared[model.name] == 1 else str(blob(layout, sha256)) for sha256, model in found.items()
    }


def blob(layout: Layout, sha256: str) -> pathlib.Path:
    """The file in the store that has these bytes."""
    return layout.store / sha256[:2] / sha256


def shown(sha256: str, size: int | None) -> str:
    """A content as changes show it: ``sha256:0123456789ab, 1.5 GB``."""
    text = f"sha256:{sha256[:SHOWN_DIGITS]}"
    return text if size is None else f"{text}, {human(size)}"
