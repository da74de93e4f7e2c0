# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a bundle: what is there with the right bytes stays, the rest is fetched, the manifest comes last."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import hashlib
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.names import UV, Named, content_of, lock_name
from ansible_collections.comfyops.fleet.plugins.module_utils.change import Need
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human, shortages
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock, Target, canonical
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle import manifest as manifests
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.manifest import Listed, Manifest
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.pieces import Piece, hashes_of, unreadable
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.places import Place
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.progress import Progress
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.sources import Get, Origins, Sources, is_missed
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.transfer import Program
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import sha256_of

_AT_ONCE: t.Final = 8
_TICK_SECONDS: t.Final = 1.0


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a bundle is to have. models: whether it has those; uv: the one for hosts."""

    lock: Lock
    targets: tuple[Target, ...]
    models: bool
    uv: Program

    def files(self, versions: pathlib.Path) -> dict[str, Named]:
        """All its files; the texts are those that ``texts`` gives."""
        texts = {name: Named(_sha256(text), len(text)) for name, text in self.texts(versions).items()}
        uv = Named(self.uv.sha256, self.uv.size)
        return {**content_of(self.lock, self.targets, self.models), UV: uv, **texts}

    def texts(self, versions: pathlib.Path) -> dict[str, bytes]:
        """The lock, the spec where it is beside it, and what was recorded of wheels that were built."""
        found = {lock_name(self.lock.version_id): canonical(self.lock.document).encode()}
        spec = versions / f"{self.lock.version_id}.json"
        if spec.is_file():
            found[f"versions/{spec.name}"] = spec.read_bytes()
        for name in content_of(self.lock, self.targets, models=False):
            record = versions / f"{name.removeprefix('versions/')}.json"
            if name.startswith("versions/") and record.is_file():
                found[f"{name}.json"] = record.read_bytes()
        return found


@dataclasses.dataclass(frozen=True)
class Outlook:
    """What writing would do. right: files that stay; missing: names of the others; sizes of all in bytes."""

    files: c.Mapping[str, Named]
    right: c.Mapping[str, tuple[Piece, str]]
    missing: tuple[str, ...]
    finished: Manifest | None

    @property
    def size(self) -> int:
        """Bytes that are missing, as far as the lock says."""
        return sum(self.files[name].size or 0 for name in self.missing)


def look(place: Place, wanted: Wanted, versions: pathlib.Path, say: c.Callable[[str], object]) -> Outlook:
    """Read what is there of a bundle. Raises FleetError when that can not be read."""
    files = wanted.files(versions)
    there = place.there()
    candidates = {name: piece for name, piece in there.items() if name in files}
    likely = {name: piece for name, piece in candidates.items() if files[name].size in (None, piece.size)}
    progress = Progress(f"reading {place.path}", sum(piece.size for piece in likely.values()), say)
    try:
        found = hashes_of(likely.values(), progress.add)
    except OSError as error:
        raise unreadable(error, place.path) from error
    right = {
        name: (piece, found[piece]) for name, piece in likely.items() if files[name].sha256 in (None, found[piece])
    }
    finished = _finished(there, place.path)
    if finished is not None:
        # Of a repository's archive the lock knows no sha256, but what wrote it did.
        right = {name: each for name, each in right.items() if finished.files.get(name, (each[1],))[0] == each[1]}
    return Outlook(files, right, tuple(sorted(files.keys() - right.keys())), finished)


def _finished(there: c.Mapping[str, Piece], path: pathlib.Path) -> Manifest | None:
    if manifests.NAME not in there:
        return None
    try:
        return manifests.read_manifest(there[manifests.NAME].read(), str(path))
    except FleetError:
        return None


def is_whole(outlook: Outlook, wanted: Wanted) -> bool:
    """Whether there is nothing to write."""
    if outlook.finished is None:
        return False
    missing = {name for name in outlook.missing if not outlook.files[name].optional}
    return not missing and outlook.finished == _manifest(wanted, _listed(outlook))


def write(
    place: Place, wanted: Wanted, origins: Origins, outlook: Outlook, say: c.Callable[[str], object]
) -> tuple[Manifest, list[str]]:
    """Bring what is missing and finish the bundle: its manifest, and notes on optional models that it lacks.

    Raises FleetError, or Failures with all that could not be had; what came stays for the next run.
    """
    raise_all(shortages([Need(place.path.absolute().parent, outlook.size)]))
    place.begin({name: piece for name, (piece, _sha256) in outlook.right.items()})
    texts = wanted.texts(origins.versions)
    with Sources(wanted.lock, wanted.targets, origins, place.scratch) as sources:
        gets = sources.gets(outlook.missing)
        gets.update({name: _text(place.scratch, text) for name, text in texts.items() if name in outlook.missing})
        came, notes = _bring(place, sources, gets, outlook, say)
    manifest = _manifest(wanted, {**_listed(outlook), **came})
    place.finish(manifest)
    return manifest, notes


def _text(scratch: pathlib.Path, text: bytes) -> Get:
    def get() -> pathlib.Path:
        place = scratch / _sha256(text)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text)
        return place

    return get


def _bring(
    place: Place, sources: Sources, gets: c.Mapping[str, Get], outlook: Outlook, say: c.Callable[[str], object]
) -> tuple[dict[str, Listed], list[str]]:
    """Get files, the largest first, and say how far it is."""
    files, came, faults = outlook.files, dict[str, Listed](), list[FleetError]()
    notes: list[str] = []
    progress = Progress("bundle", outlook.size, say)

    def one(name: str) -> Listed:
        path = gets[name]()
        # What the lock has a sha256 of was checked by it while it came.
        found = Listed(files[name].sha256 or sha256_of(path), path.stat().st_size)
        place.add(name, path)
        return found

    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        running = {pool.submit(one, name): name for name in sorted(gets, key=lambda name: -(files[name].size or 0))}
        try:
            while left := [future for future in running if not future.done()]:
                concurrent.futures.wait(left, _TICK_SECONDS, concurrent.futures.FIRST_COMPLETED)
                progress.at(_bytes_there(running, files, sources))
        except BaseException:
            sources.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for future, name in running.items():
        error = future.exception()
        if error is None:
            came[name] = future.result()
        elif files[name].optional and isinstance(error, FleetError) and is_missed(error):
            notes.append(f"an optional model is left out: {error}")
        else:
            faults += _fault(name, error)
    raise_all(faults)
    return came, notes


def _fault(name: str, error: BaseException) -> list[FleetError]:
    if isinstance(error, Failures):
        return error.faults
    if isinstance(error, FleetError):
        return [error]
    if isinstance(error, OSError):
        what = f"{error.filename or name}: {error.strerror}"
        return [FleetError(what, where=name, remedy="Make room, or see who may read and write there, and run again")]
    raise error


def _bytes_there(
    running: c.Mapping[concurrent.futures.Future[Listed], str], files: c.Mapping[str, Named], sources: Sources
) -> int:
    done = 0
    for future, name in running.items():
        sha256, size = files[name].sha256, files[name].size or 0
        if future.done():
            done += size
        elif future.running() and sha256:
            done += min(size, sources.begun(sha256))
    return done


def _listed(outlook: Outlook) -> dict[str, Listed]:
    return {name: Listed(sha256, piece.size) for name, (piece, sha256) in outlook.right.items()}


def _manifest(wanted: Wanted, files: c.Mapping[str, Listed]) -> Manifest:
    names = tuple(sorted(target.name for target in wanted.targets))
    return Manifest(wanted.lock.version_id, names, wanted.models, wanted.uv.machine, dict(files))


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def summary(manifest: Manifest) -> str:
    """What a bundle has, in a line."""
    total = sum(file.size for file in manifest.files.values())
    models = sum(name.startswith("models/") for name in manifest.files)
    return f"{len(manifest.files)} files, {human(total)}, {models} of them models, for {', '.join(manifest.targets)}"
