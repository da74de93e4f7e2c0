# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where files of package indexes are: a lock names index and file, other tools want the address."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX, INDEX, Lock, Target
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_versions import locate_default
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import (
    Indexes,
    read_indexes,
    without_credentials,
)

_AT_ONCE: t.Final = 8


class File(t.NamedTuple):
    """A file of an index as the lock has it; package: its canonical name."""

    package: str
    version: str
    file: str
    sha256: str


class Place(t.NamedTuple):
    """Where a file is: its own address, and that of the index that lists it; both without credentials."""

    url: str
    index_url: str


@dataclasses.dataclass(frozen=True)
class Site:
    """How this machine reaches what locks name. cache: a directory of ours.

    python_indexes: where indexes are reached from here, by name. access: of requests. repositories: of git.
    """

    python_indexes: c.Mapping[str, str]
    access: Access
    repositories: git.Access
    cache: pathlib.Path

    def files_of_packages(self, lock: Lock, target: Target) -> dict[str, Place]:
        """Where the files are that the target's packages have in indexes, by sha256."""
        wanted = [
            File(package.name, package.version, str(package.file), str(package.sha256))
            for package in target.packages
            if package.source == INDEX
        ]
        return self.places(lock, target, wanted)

    def places(self, lock: Lock, target: Target, wanted: c.Iterable[File]) -> dict[str, Place]:
        """Where files of indexes are, by sha256. Each index is asked once for each package.

        Raises FleetError, or Failures with all files that an index does not list as the lock has them.
        """
        files = sorted(set(wanted))
        if not files:
            return {}
        indexes = self._indexes(lock, target, files)
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(lambda file: _looked_up(indexes, file, target), files))
        raise_all([place for place in found if isinstance(place, FleetError)])
        return {
            file.sha256: place for file, place in zip(files, found, strict=True) if not isinstance(place, FleetError)
        }

    def _indexes(self, lock: Lock, target: Target, files: c.Sequence[File]) -> Indexes:
        indexed = ((each.name, each.index or (each.built_from or {}).get("index")) for each in target.packages)
        bound = {name: index for name, index in indexed if index}
        for index in lock.spec.get("python", {}).get("indexes", ()):
            bound.update(dict.fromkeys(index["packages"], index["name"]))
        section = [
            {"name": name, "url": url, "packages": [each for each, index in bound.items() if index == name]}
            for name, url in target.indexes.items()
            if name != DEFAULT_INDEX
        ]
        indexes, faults = read_indexes({"indexes": section}, (), self.python_indexes, self.access)
        raise_all(faults)
        default = next((file.package for file in files if indexes.of(file.package) == DEFAULT_INDEX), None)
        return locate_default(indexes, default, self.cache / "uv") if default else indexes


def _looked_up(indexes: Indexes, file: File, target: Target) -> Place | FleetError:
    where = f"target {target.name}"
    try:
        listed = indexes.files_of(file.package) or ()
    except FleetError as error:
        return error
    name = indexes.of(file.package)
    found = next((each for each in listed if each.name == file.file), None)
    if found is None:
        what = f"the index {indexes.shown(name)} has no {file.file} any more"
        return FleetError(what, where=where, remedy=f"Lock again with comfy_lock_upgrade={file.package}")
    if found.sha256 not in (None, file.sha256):
        what = f"the index {indexes.shown(name)} says sha256 {found.sha256} of {file.file}, the lock {file.sha256}"
        return FleetError(what, where=where, remedy=f"If that is right, lock with comfy_lock_upgrade={file.package}")
    return Place(without_credentials(found.url), without_credentials(str(indexes.reached[name])))
