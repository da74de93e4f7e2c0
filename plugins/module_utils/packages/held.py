# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a lock's distributions a host could install without the network."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package

# uv's cache: wheels-v<format>/pypi/<name>/<version>-<tags>..., and one level more for other indexes and for URLs.
_BUCKET = "wheels-v"
_DEFAULT_INDEX = "pypi"
# Entries that say that uv once asked, not that it has the wheel.
_NO_WHEEL = (".lock",)


def in_directory(wheels: pathlib.Path | None, packages: c.Iterable[Package]) -> frozenset[str]:
    """The distributions whose file is in the directory of wheels, with the locked size."""
    if wheels is None:
        return frozenset()
    return frozenset(each.name for each in packages if each.file and _is_whole(wheels / each.file, each.size))


def in_cache(cache: pathlib.Path, packages: c.Iterable[Package]) -> frozenset[str]:
    """The distributions of which uv's cache has a wheel of the locked version."""
    places = _places(cache)
    return frozenset(package.name for package in packages if any(_has(place, package) for place in places))


def _is_whole(path: pathlib.Path, size: int | None) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return size is None or status.st_size == size


def _places(cache: pathlib.Path) -> list[str]:
    """The directories of the cache that hold one directory for each name."""
    found: list[str] = []
    for bucket in (entry for entry in _children(cache) if entry.name.startswith(_BUCKET)):
        for kind in _children(bucket.path):
            found += [kind.path] if kind.name == _DEFAULT_INDEX else [entry.path for entry in _children(kind.path)]
    return found


def _has(place: str, package: Package) -> bool:
    entries = _children(f"{place}/{package.name}")
    return any(each.name.startswith(f"{package.version}-") and not each.name.endswith(_NO_WHEEL) for each in entries)


def _children(directory: str | pathlib.Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []
