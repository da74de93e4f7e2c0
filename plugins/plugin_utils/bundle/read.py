# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a bundle: complete, unaltered and of the lock that is asked for, or refused before any host is asked."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import hashlib
import json
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.names import content_of, lock_name
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock, canonical, read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle import manifest as manifests
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.manifest import Manifest, read_manifest
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.pieces import (
    Piece,
    hashes_of,
    pieces_of,
    unreadable,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.progress import Progress
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import lock_file

_AGAIN: t.Final = "Copy the bundle again, or run bundle.yml again, which fetches what is wrong or missing"
_SHOWN: t.Final = 5


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A bundle whose files are all there with the sizes that its manifest says. lock: its lock's document."""

    path: pathlib.Path
    manifest: Manifest
    pieces: c.Mapping[str, Piece]
    lock: dict[str, t.Any]


def open_bundle(path: pathlib.Path) -> Bundle:
    """The bundle at ``path``, a directory or a tar. Reads its small documents alone.

    Raises FleetError, or Failures, for one that is incomplete: by its manifest, or by its lock.
    """
    pieces = pieces_of(path)
    if manifests.NAME not in pieces:
        raise FleetError(
            f"the bundle is incomplete: it has no {manifests.NAME}, which is written last",
            where=str(path),
            remedy=_AGAIN,
        )
    manifest = read_manifest(_bytes(pieces[manifests.NAME]), str(path))
    raise_all(_faults(path, _missing(manifest, pieces)))
    lock = _lock(path, manifest, pieces)
    raise_all(_faults(path, _not_of_the_lock(manifest, read_lock(lock, str(path)))))
    return Bundle(path, manifest, pieces, lock)


def verify(bundle: Bundle, cache: pathlib.Path, deep: bool, say: c.Callable[[str], object]) -> None:
    """Read all bytes of a bundle, unless they were read before and the files are the same since.

    cache: where that is remembered, on this machine. deep: read them all the same. Raises Failures.
    """
    receipts = Receipts(Layout(root=cache / ("tars" if bundle.path.is_file() else "directories")), deep)
    stamp = hashlib.sha256(bundle.manifest.text().encode()).hexdigest()
    unread = {}
    for name, piece in bundle.pieces.items():
        if name in bundle.manifest.files:
            wanted = stamp if bundle.path.is_file() else bundle.manifest.files[name].sha256
            if receipts.known(str(piece.path.absolute()), piece.path.stat()) != wanted:
                unread[name] = piece
    if not unread:
        return
    progress = Progress(f"reading {bundle.path}", sum(piece.size for piece in unread.values()), say)
    try:
        found = hashes_of(unread.values(), progress.add)
    except OSError as error:
        raise unreadable(error, bundle.path) from error
    wrong = [f"{name} was altered" for name in unread if found[unread[name]] != bundle.manifest.files[name].sha256]
    raise_all(_faults(bundle.path, wrong))
    for name, piece in unread.items():
        whole = stamp if bundle.path.is_file() else bundle.manifest.files[name].sha256
        receipts.remember(str(piece.path.absolute()), whole)
    receipts.save()


def refuse_another(bundle: Bundle, version: str, versions: pathlib.Path | None) -> None:
    """Raise FleetError for a bundle of another version, or of another lock than the one in ``versions``."""
    if bundle.manifest.version != version:
        raise FleetError(
            f"the bundle is of the version {bundle.manifest.version}, and {version or 'none'} is asked for",
            where=str(bundle.path),
            remedy=f"Run it with -e version={bundle.manifest.version}, or with another comfy_bundle",
        )
    path = lock_file.lock_path(versions, version) if versions else None
    beside = lock_file.read(path) if path else None
    if beside is not None and canonical(beside) != canonical(bundle.lock):
        raise FleetError(
            f"the bundle's lock is another than {path}",
            where=str(bundle.path),
            remedy="Write the bundle again with bundle.yml, or leave comfy_versions_dir out to realize the bundle's",
        )


def _missing(manifest: Manifest, pieces: c.Mapping[str, Piece]) -> c.Iterator[str]:
    for name, file in sorted(manifest.files.items()):
        if name not in pieces:
            yield f"{name} is missing"
        elif pieces[name].size != file.size:
            yield f"{name} has {pieces[name].size} bytes in place of {file.size}"


def _not_of_the_lock(manifest: Manifest, lock: Lock) -> c.Iterator[str]:
    """What the lock needs and the manifest does not have so; an optional model may be left out."""
    targets = [lock.targets[name] for name in manifest.targets if name in lock.targets]
    for name, wanted in sorted(content_of(lock, targets, manifest.models).items()):
        listed = manifest.files.get(name)
        if listed is None and not wanted.optional:
            yield f"{name}, which its lock names, is missing"
        if listed is not None and wanted.sha256 not in (None, listed.sha256):
            yield f"{name} has another sha256 in the manifest than in the lock"


def _lock(path: pathlib.Path, manifest: Manifest, pieces: c.Mapping[str, Piece]) -> dict[str, t.Any]:
    name = lock_name(manifest.version)
    content = _bytes(pieces[name]) if name in manifest.files else b""
    if not content or hashlib.sha256(content).hexdigest() != manifest.files[name].sha256:
        raise FleetError(f"{name} was altered", where=str(path), remedy=_AGAIN)
    document: dict[str, t.Any] = json.loads(content)
    return document


def _bytes(piece: Piece) -> bytes:
    try:
        return piece.read()
    except OSError as error:
        raise unreadable(error, piece.path) from error


def _faults(path: pathlib.Path, found: c.Iterable[str]) -> list[FleetError]:
    faults = list(found)
    more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    listed = "; ".join([*faults[:_SHOWN], *more])
    return [FleetError(f"the bundle can not be used: {listed}", where=str(path), remedy=_AGAIN)] if faults else []
