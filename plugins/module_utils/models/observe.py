# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a host's models: the store, the paths that ComfyUI reads, and where it is told to look. Writes nothing."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import pathlib
import stat
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human, unwritable
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models import folder_types
from ansible_collections.comfyops.fleet.plugins.module_utils.models.found import Found, device, look, obstruction
from ansible_collections.comfyops.fleet.plugins.module_utils.models.inline import inline_content
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part_journal import bytes_held
from ansible_collections.comfyops.fleet.plugins.module_utils.models.placed import Placed
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.search import elsewhere
from ansible_collections.comfyops.fleet.plugins.module_utils.models.served import served
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import (
    MODELS_DIR,
    Place,
    blob,
    contents,
    places,
)


@dataclasses.dataclass(frozen=True)
class Blob:
    """A content in the store. damaged: what is there instead of it; part: bytes of it that a download has left."""

    right: bool
    damaged: str | None = None
    part: int = 0


@dataclasses.dataclass(frozen=True)
class Spot:
    """What is at a model's path.

    fits: it shows the model's bytes, or will once they are in the store. adopt: it has them, and the store may take
    them from there; adopt_copies: only by copying. obstruction: why nothing can be put there.
    """

    found: Found
    fits: bool
    adopt: bool = False
    adopt_copies: bool = False
    obstruction: str | None = None


@dataclasses.dataclass(frozen=True)
class State:
    """What is on a host. blobs by sha256; spots by absolute path; serving: what the build that serves shows where.

    lost_files: contents whose ``file`` source is not on this host. extra_paths: None where extra_model_paths.yaml is
    as it must be, else what is wrong with it: ``absent`` or ``different``. elsewhere: files of other names that have
    contents which are missing, by sha256. missed: optional models that could not be fetched, and why. copies: links do
    not work here. faults: directories that can not be written.
    """

    blobs: c.Mapping[str, Blob] = dataclasses.field(default_factory=dict)
    spots: c.Mapping[str, Spot] = dataclasses.field(default_factory=dict)
    serving: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    lost_files: frozenset[str] = frozenset()
    extra_paths: str | None = None
    elsewhere: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    missed: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    copies: bool = False
    faults: tuple[FleetError, ...] = ()


def observe(context: Context) -> State:
    """The state of the context's models on this host.

    A file that is as the receipts have it is not read. Raises FleetError when something can not be looked at.
    """
    if context.settings.skip_models:
        return State()
    layout = context.layout
    receipts = Receipts(layout, context.settings.deep)
    models = contents(context.lock.models)
    wanted = places(context.lock.models, layout, context.home)
    found = {path: look(place.path, layout, place.model.sha256) for path, place in wanted.items()}
    hashes = receipts.verified([*_unknown_blobs(models, layout), *_unknown_files(wanted, found)])
    blobs = {sha256: _blob(model, layout, hashes) for sha256, model in models.items()}
    spots = {path: _spot(place, found[path], blobs, hashes, layout) for path, place in wanted.items()}
    return State(
        blobs=blobs,
        spots=spots,
        serving=served(layout).paths,
        lost_files=frozenset(sha256 for sha256, model in models.items() if _is_lost(model)),
        extra_paths=extra_paths_fault(context),
        elsewhere=_elsewhere(context, blobs, spots, receipts),
        missed={sha256: reason for sha256, reason in receipts.missed.items() if sha256 in models},
        copies=Placed(layout).copies,
        faults=tuple(unwritable(layout.store) + (unwritable(layout.models) if wanted else [])),
    )


def _unknown_blobs(models: c.Mapping[str, Model], layout: Layout) -> list[str]:
    """Files of the store that may be right: those of another size need not be read to know that they are not."""
    paths = [(str(blob(layout, sha256)), model.size) for sha256, model in models.items()]
    return [path for path, size in paths if _regular_size(path) in ((size,) if size is not None else _any_of(path))]


def _any_of(path: str) -> tuple[int, ...]:
    size = _regular_size(path)
    return () if size is None else (size,)


def _regular_size(path: str) -> int | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _unknown_files(wanted: c.Mapping[str, Place], found: c.Mapping[str, Found]) -> list[str]:
    """Files at the paths that are not the store's and may have the model's bytes."""
    return [
        path
        for path, place in wanted.items()
        if found[path].stored is None and found[path].size is not None and place.model.size in (None, found[path].size)
    ]


def _blob(model: Model, layout: Layout, hashes: c.Mapping[str, str]) -> Blob:
    path = blob(layout, model.sha256)
    if hashes.get(str(path)) == model.sha256:
        return Blob(right=True)
    damaged = None
    if os.path.lexists(path):
        damaged = f"damaged, {human(_regular_size(str(path)) or 0)}"
    return Blob(right=False, damaged=damaged, part=bytes_held(layout.partial, model.sha256))


def _spot(place: Place, found: Found, blobs: c.Mapping[str, Blob], hashes: c.Mapping[str, str], layout: Layout) -> Spot:
    sha256 = place.model.sha256
    if found.stored is not None:
        # A link to a file that is still to come is right; a second name of a damaged file is damaged as well.
        hard_link = found.size is not None
        fits = found.stored == sha256 and (not hard_link or blobs[sha256].right)
        return Spot(found, fits, obstruction=None if fits else obstruction(place, layout))
    if found.size is None or hashes.get(str(place.path)) != sha256:
        return Spot(found, fits=False, obstruction=obstruction(place, layout))
    reason = obstruction(place, layout)
    elsewhere_too = found.foreign_link or found.writable or reason is not None
    copies = elsewhere_too or device(place.path) != device(layout.store)
    return Spot(found, fits=True, adopt=True, adopt_copies=copies, obstruction=reason)


def _elsewhere(
    context: Context, blobs: c.Mapping[str, Blob], spots: c.Mapping[str, Spot], receipts: Receipts
) -> dict[str, str]:
    """Files of other names that have what is neither in the store nor at a path."""
    wanted = places(context.lock.models, context.layout, context.home)
    at_hand = {wanted[path].model.sha256 for path, spot in spots.items() if spot.adopt} | receipts.missed.keys()
    missing = {
        sha256: model.size
        for sha256, model in contents(context.lock.models).items()
        if model.size and not blobs[sha256].right and sha256 not in at_hand and inline_content(model.url) is None
    }
    return elsewhere(missing, context.layout, context.settings.model_search_paths, receipts)


def _is_lost(model: Model) -> bool:
    path = file_of(model.url)
    return path is not None and not path.is_file()


def file_of(url: str) -> pathlib.Path | None:
    """The file of this host that a ``file`` URL names; None for other URLs."""
    parts = urllib.parse.urlsplit(url)
    return pathlib.Path(urllib.parse.unquote(parts.path)) if parts.scheme == "file" else None


def extra_paths_fault(context: Context) -> str | None:
    """What is wrong with extra_model_paths.yaml: ``absent``, ``different`` or nothing.

    Where the build's folder types can not be read (it is not there yet, or damaged, which the core's part says) a file
    that is there is taken as right.
    """
    path = context.home / folder_types.FILE_NAME
    try:
        present = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except (OSError, UnicodeDecodeError):
        return "different"
    try:
        return None if present == extra_paths(context) else "different"
    except FleetError:
        return None


def extra_paths(context: Context) -> str:
    """The text that extra_model_paths.yaml must have. Raises FleetError when the build's types can not be read."""
    file = context.home / folder_types.TYPES_FILE
    try:
        source = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(
            f"can not be read ({type(error).__name__})",
            where=str(file),
            remedy="Make the build first: comfy_version with the same lock",
        ) from error
    prefix = f"{MODELS_DIR}/"
    notations = [path for model in context.lock.models for path in model.paths]
    paths = [path.removeprefix(prefix) for path in notations if path.startswith(prefix)]
    return folder_types.render(folder_types.folder_types(source), str(context.layout.models), paths)
