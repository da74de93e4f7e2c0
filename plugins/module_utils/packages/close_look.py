# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look closely at an environment in which something is not as it was: files, origins, and what nobody owns."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import posixpath
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import PROVIDED
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import ORIGIN_FILE, direct_url
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    DIST_INFO,
    Distribution,
    is_metadata,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import installed_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.record import (
    RecordedFile,
    damaged_files,
    read_record,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import entry_path, read_entry, sha256_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.versions import same_version

# What Python takes from a directory of packages: modules, and path files whose lines it runs when it starts.
_LOADABLE = (".py", ".pyc", ".so", ".pth")
_MODULES = (".py", ".pyc", ".so")
# Packages have those of others that they ship (setuptools/_vendor), too.
_OWN_RECORD = re.compile(rf"lib/python[0-9.]+/site-packages/[^/]+{re.escape(DIST_INFO)}/RECORD")


class CloseLook:
    """The distributions ``installed`` of the directory ``site``, with their records. deep: hash every file."""

    def __init__(
        self, context: Context, site: pathlib.Path, installed: c.Sequence[Distribution], *, deep: bool
    ) -> None:
        self._context = context
        self._site = site
        self._installed = installed
        self._deep = deep
        # What the image brings is its own business; an environment only has links to it.
        provided = {package.name for package in context.target.packages if package.source == PROVIDED}
        records = {each.name: _record(site, each) for each in installed if each.name not in provided}
        self._unrecorded = [name for name, files in records.items() if files is None]
        self._records = {name: files for name, files in records.items() if files}

    def damaged(self, changed: set[str] | None) -> dict[str, tuple[str, ...]]:
        """Distribution to the files that are not as it recorded them, or that tell that it is not the locked one.

        changed: the paths that need a look; None: all.
        """
        damaged: dict[str, tuple[str, ...]] = dict.fromkeys(self._unrecorded, ())
        for name, files in damaged_files(self._site, self._records, _selected(changed), self._deep).items():
            damaged[name] = tuple(files)
        for name, file in self._from_elsewhere():
            damaged[name] = (*damaged.get(name, ()), file)
        return damaged

    def foreign(self, unknown: c.Iterable[str], any_entry: bool) -> tuple[str, ...]:
        """The entries among ``unknown`` that Python could load and no distribution owns.

        any_entry: these are all that there are, and not only those that are new.
        """
        # Where nothing tells what a damaged distribution owns, what nobody owns may be its own.
        if any_entry and self._unrecorded:
            return ()
        owned = {file.path.partition("/")[0] for files in self._records.values() for file in files}
        return tuple(entry for entry in sorted(set(unknown) - owned) if _is_foreign(self._site / entry))

    def _from_elsewhere(self) -> c.Iterator[tuple[str, str]]:
        """Distributions that are not the locked wheel, however well they agree with themselves, and what tells it."""
        packages = {package.name: package for package in installed_of(self._context.target.packages)}
        stored = self._stored_records()
        for each in self._installed:
            package = packages.get(each.name)
            if not each.entry.endswith(DIST_INFO) or package is None or not same_version(each.version, package.version):
                continue
            record, origin = f"{each.entry}/RECORD", f"{each.entry}/{ORIGIN_FILE}"
            if each.name in stored and sha256_of(f"{self._site}/{record}") != stored[each.name]:
                yield each.name, record
            elif _text(self._site / origin) != direct_url(package):
                yield each.name, origin

    def _stored_records(self) -> dict[str, str]:
        """The sha256 of the RECORD of each package that the store has."""
        layout, target = self._context.layout, self._context.target
        packages = installed_of(target.packages)
        entries = {each.name: read_entry(entry_path(layout, each, target.python)) for each in packages}
        return {
            name: file.sha256
            for name, entry in entries.items()
            if entry is not None
            for path, file in entry.files.items()
            if _OWN_RECORD.fullmatch(path)
        }


def _text(path: pathlib.Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def _record(site: pathlib.Path, distribution: Distribution) -> list[RecordedFile] | None:
    return read_record(site / distribution.entry) if distribution.entry.endswith(DIST_INFO) else []


def _selected(changed: set[str] | None) -> c.Callable[[str], bool]:
    if changed is None:
        return lambda _path: True
    return lambda path: path in changed or posixpath.dirname(path) in changed


def _is_foreign(entry: pathlib.Path) -> bool:
    """Whether Python could load it: a module, a path file, or an importable directory that has modules."""
    if is_metadata(entry.name):
        return False
    if not entry.is_dir():
        return entry.suffix in _LOADABLE
    walked = os.walk(entry) if entry.name.isidentifier() else ()
    return any(name.endswith(_MODULES) for _parent, _directories, names in walked for name in names)
