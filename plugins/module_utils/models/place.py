# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a model's bytes from the store come to be at a path that ComfyUI reads, in one step, and how they leave it."""

from __future__ import annotations

import collections.abc as c
import contextlib
import hashlib
import os
import pathlib
import platform

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import move, new_aside
from ansible_collections.comfyops.fleet.plugins.module_utils.host.clone import clone
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.models.found import (
    OBSTRUCTION_REMEDY,
    is_below,
    obstruction,
    same_file,
    stored_behind,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.models.inline import inline_content
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import READ_ONLY
from ansible_collections.comfyops.fleet.plugins.module_utils.models.placed import Placed
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import BLOCK, Receipts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import Place, blob

SYMLINK = "symlink"
CLONE = "clone"
HARD_LINK = "hardlink"
COPY = "copy"
# What the lock has itself is a file of its own, which libraries may write: a branch of the Hub's cache that moves on
# must not do so in the store.
WRITTEN = "written"
_OWN = 0o644


class Aside:
    """Where one converge keeps what it replaces; the directory is made with the first."""

    def __init__(self, layout: Layout) -> None:
        self._parent = layout.aside
        self._directory: pathlib.Path | None = None

    def keep(self, path: pathlib.Path, name: str) -> None:
        """Keep what is at ``path`` under ``name``. A file stays at its path too, for the rename that replaces it."""
        if self._directory is None:
            self._directory = new_aside(self._parent)
        kept = self._directory / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, kept, follow_symlinks=False)
        except OSError:
            move(path, kept)


def put_all(layout: Layout, wanted: c.Iterable[Place], receipts: Receipts) -> None:
    """Put models at their paths and record that they are ours. Those that are not in the store are faults."""
    present = [place for place in wanted if not _is_missed(place, layout, receipts)]
    if not present:
        return
    placed = Placed(layout)
    placed.paths.update({str(place.path): place.model.sha256 for place in present})
    placed.save()
    aside = Aside(layout)
    faults: list[FleetError] = []
    for place in present:
        try:
            placed.copies |= put(place, layout, aside, receipts) == COPY
        except FleetError as fault:
            faults.append(fault)
        except OSError as error:
            faults.append(FleetError(f"can not be placed: {error.strerror}", where=str(place.path)))
    placed.save()
    raise_all(faults)


def _is_missed(place: Place, layout: Layout, receipts: Receipts) -> bool:
    """Whether it is an optional model that could not be had, which is nowhere to be put."""
    return place.model.sha256 in receipts.missed and not blob(layout, place.model.sha256).exists()


def put(place: Place, layout: Layout, aside: Aside, receipts: Receipts) -> str:
    """Let ``place`` show its model's bytes, which are in the store; gives how: a link, a clone, a hard link, a copy.

    What was there and is in the store as well is replaced, everything else kept aside; a file that has the bytes
    already stays where only a copy could replace it. Raises FleetError when the place can not be had, OSError when
    writing fails.
    """
    reason = obstruction(place, layout)
    if reason:
        raise FleetError(reason, where=str(place.path), remedy=OBSTRUCTION_REMEDY)
    source = blob(layout, place.model.sha256)
    if not source.is_file():
        raise FleetError("its bytes are not in the store", where=str(place.path), remedy="Run comfy_models first")
    place.path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(place.path)
    beside.unlink(missing_ok=True)
    written = inline_content(place.model.url) is not None
    how = WRITTEN if written else _link(beside, source, place, layout, receipts) or COPY
    if how in (WRITTEN, COPY):
        if _has(place.path, place.model.sha256, receipts) and not place.path.is_symlink():
            return how
        _copy(source, beside, place.model.sha256, _OWN if written else READ_ONLY)
    if os.path.lexists(place.path) and not in_store(place.path, source, layout, receipts):
        aside.keep(place.path, f"models/{place.notation.partition('/')[2]}")
    former = _other_name_of(place.path, layout, receipts)
    beside.replace(place.path)
    # Renaming one name of a file to another name of the same file does nothing (rename(2)).
    beside.unlink(missing_ok=True)
    if how != SYMLINK:
        receipts.remember(str(place.path), place.model.sha256)
    # A name more or less has changed the ctime.
    for sha256 in {former, place.model.sha256 if how == HARD_LINK else None} - {None}:
        receipts.remember(str(blob(layout, str(sha256))), str(sha256))
    return how


def in_store(path: pathlib.Path, source: pathlib.Path, layout: Layout, receipts: Receipts) -> bool:
    """Whether what is at ``path`` can go without loss: it is a link into the store, or its bytes are known to be there.

    source: the right file in the store of the content that belongs at the path.
    """
    if path.is_symlink():
        return stored_behind(path, layout) is not None
    if not path.is_file():
        return False
    if same_file(os.stat(path), source):
        return True
    sha256 = receipts.known(str(path), os.stat(path))
    stored = blob(layout, sha256) if sha256 is not None else None
    return stored is not None and stored.is_file() and receipts.known(str(stored), os.stat(stored)) == sha256


def take_away(path: pathlib.Path, name: str, sha256: str, layout: Layout, aside: Aside, receipts: Receipts) -> None:
    """Remove the name of a model that we placed. Bytes that are not in the store as well are kept aside."""
    former = _other_name_of(path, layout, receipts)
    if not in_store(path, blob(layout, sha256), layout, receipts):
        aside.keep(path, name)
    path.unlink(missing_ok=True)
    if former is not None:
        receipts.remember(str(blob(layout, former)), former)


def _other_name_of(path: pathlib.Path, layout: Layout, receipts: Receipts) -> str | None:
    """The sha256 of the right file in the store that a path is a further name of (a hard link)."""
    if path.is_symlink() or not path.is_file():
        return None
    status = os.stat(path)
    sha256 = receipts.known(str(path), status)
    stored = blob(layout, sha256) if sha256 is not None else None
    return sha256 if stored is not None and same_file(status, stored) else None


def _has(path: pathlib.Path, sha256: str, receipts: Receipts) -> bool:
    """Whether a file at the path is known to have these bytes."""
    return path.is_file() and receipts.known(str(path), os.stat(path)) == sha256


def _beside(path: pathlib.Path) -> pathlib.Path:
    """The name under which a place is prepared: hidden, of no model's kind, and the same again after a kill.

    Each host has its own, for directories that several hosts share.
    """
    digest = hashlib.sha256(os.fsencode(f"{platform.node()}/{path.name}")).hexdigest()[:16]
    return path.with_name(f".comfy-{digest}")


def _link(beside: pathlib.Path, source: pathlib.Path, place: Place, layout: Layout, receipts: Receipts) -> str | None:
    """What takes no room, or nothing: what the file system can do is found out by trying.

    A symbolic link first: its bytes are one file for every look. Writing to a clone leaves the store's bytes alone,
    which writing to a hard link would not.
    """
    with contextlib.suppress(OSError):
        os.symlink(_link_text(source, place.path.parent, layout), beside)
        return SYMLINK
    if receipts.known(str(source), os.stat(source)) == place.model.sha256 and _clone(source, beside):
        return CLONE
    with contextlib.suppress(OSError):
        os.link(source, beside)
        return HARD_LINK
    return None


def _link_text(source: pathlib.Path, directory: pathlib.Path, layout: Layout) -> str:
    """Relative within one root, so that it may be mounted elsewhere; else absolute."""
    real_directory, real_source = os.path.realpath(directory), os.path.realpath(source)
    for root in (layout.shared, layout.root):
        real_root = os.path.realpath(root)
        if is_below(real_directory, real_root) and is_below(real_source, real_root):
            return os.path.relpath(real_source, real_directory)
    return str(source)


def _clone(source: pathlib.Path, destination: pathlib.Path) -> bool:
    """Whether the destination has the source's blocks now; else it is not there."""
    try:
        with source.open("rb") as reader, destination.open("wb") as writer:
            clone(reader.fileno(), writer.fileno())
            os.fchmod(writer.fileno(), READ_ONLY)
    except OSError:
        destination.unlink(missing_ok=True)
        return False
    return True


def _copy(source: pathlib.Path, destination: pathlib.Path, sha256: str, mode: int) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as reader, destination.open("wb") as writer:
        while block := reader.read(BLOCK):
            digest.update(block)
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
        os.fchmod(writer.fileno(), mode)
    if digest.hexdigest() != sha256:
        destination.unlink()
        raise FleetError("its bytes changed while they were copied", where=str(source), remedy="Run it again")
