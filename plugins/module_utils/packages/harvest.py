# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a scratch environment into the store: what uv installed, read back file by file, with its bytecode."""

from __future__ import annotations

import base64
import collections.abc as c
import contextlib
import csv
import io
import os
import pathlib
import platform
import posixpath
import re
import shutil
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import ORIGIN_FILE, direct_url
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.bytecode import bytecode_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    Distribution,
    distributions,
    environment_site,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.record import (
    RecordedFile,
    damaged_files,
    read_record,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import (
    Entry,
    StoredFile,
    discard,
    entry_path,
    look_again,
    make_read_only,
    sha256_of,
    write_list,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.versions import same_version

SCRATCH = ".making-"
_SHA256 = "sha256="
# What uv writes of where this host got a wheel: its URL, and of a local one the time of the file.
_UVS_OWN = (ORIGIN_FILE, "uv_cache.json")
# Distribution to those of its files that are not as it recorded them; none where it has no record.
Damaged = c.Mapping[str, c.Sequence[str]]


def scratch_prefix() -> str:
    """Says whose it is: several hosts may share the store."""
    return f"{SCRATCH}{re.sub(r'[^A-Za-z0-9]', '', platform.node())}-{os.getpid()}-"


class Harvest:
    """Takes packages out of the environment ``scratch``, which is used up by that."""

    def __init__(self, context: Context, scratch: pathlib.Path) -> None:
        self._context = context
        self._scratch = scratch
        self._site = environment_site(scratch, context.target.python)
        self._inside = posixpath.relpath(str(self._site), str(scratch))
        # By its path in the environment, where a file is that was taken before.
        self._taken: dict[str, str] = {}

    def bring_in(self, packages: c.Sequence[Package]) -> tuple[list[FleetError], Damaged]:
        """Put what is installed and sound into the store. What is not of the locked version is a fault."""
        site = self._site
        installed, _unreadable = distributions(site, os.listdir(site), {each.name: each.version for each in packages})
        found = {each.name: each for each in installed}
        faults = [fault for package in packages for fault in _misnamed(package, found.get(package.name))]
        there = [package for package in packages if not _misnamed(package, found.get(package.name))]
        records = {package.name: read_record(site / found[package.name].entry) for package in there}
        damaged: dict[str, c.Sequence[str]] = {name: () for name, files in records.items() if files is None}
        whole = {name: files for name, files in records.items() if files is not None}
        damaged.update(damaged_files(site, whole, lambda _path: True, deep=True, shared=False))
        entries = [
            self._bring_in(package, found[package.name], whole[package.name])
            for package in there
            if package.name not in damaged
        ]
        # Not flushed: a file that a power cut left empty does not look as it did, and is fetched again.
        for entry in entries:
            write_list(look_again(entry, proven=True))
        return faults, damaged

    def _bring_in(self, package: Package, installed: Distribution, record: c.Sequence[RecordedFile]) -> Entry:
        """Make the package's directory in the store; it is an entry once its list is written."""
        directory = entry_path(self._context.layout, package, self._context.target.python)
        staged = pathlib.Path(tempfile.mkdtemp(dir=directory.parent, prefix=scratch_prefix()))
        try:
            files = self._files(package, installed, record, staged)
            files.update(_with_origin(package, staged, f"{self._inside}/{installed.entry}"))
            make_read_only(staged, files)
            discard(directory)
            staged.replace(directory)
        except BaseException:
            remove_tree(staged)
            raise
        self._taken.update((path, f"{directory}/{path}") for path in files)
        return Entry(directory, files)

    def _files(
        self, package: Package, installed: Distribution, record: c.Sequence[RecordedFile], staged: pathlib.Path
    ) -> dict[str, StoredFile]:
        files: dict[str, StoredFile] = {}
        for file in record:
            if file.path.endswith(tuple(f"{installed.entry}/{name}" for name in _UVS_OWN)):
                continue
            path = _path_in_environment(package, self._inside, file.path)
            files[path] = self._take(path, staged, _recorded_sha256(file))
            for compiled in bytecode_of(path, self._context.target.python):
                # What is no Python of this version has none.
                with contextlib.suppress(FileNotFoundError):
                    files[compiled] = self._take(compiled, staged, None)
        return files

    def _take(self, path: str, staged: pathlib.Path, sha256: str | None) -> StoredFile:
        destination = f"{staged}/{path}"
        if not os.path.lexists(destination):
            os.makedirs(os.path.dirname(destination), exist_ok=True)
            if path in self._taken:
                # Of several packages, as the __init__.py of a directory that they share.
                shutil.copy2(self._taken[path], destination)
            else:
                os.replace(f"{self._scratch}/{path}", destination)
        executable = bool(os.stat(destination).st_mode & 0o100)
        return StoredFile(sha256 or str(sha256_of(destination)), executable, None)


def _misnamed(package: Package, installed: Distribution | None) -> list[FleetError]:
    if installed is not None and same_version(installed.version, package.version):
        return []
    content = f"{installed.name} {installed.version}" if installed else "another package"
    return [
        FleetError(
            f"its content is {content}, the lock says {package.name} {package.version}",
            where=str(package.file),
            remedy="A wheel's content is not what its name says; lock again, and report it to its index",
        )
    ]


def _path_in_environment(package: Package, inside: str, path: str) -> str:
    """A recorded path from the environment's directory. Raises FleetError when it leads out of it."""
    normal = posixpath.normpath(posixpath.join(inside, path))
    if posixpath.isabs(path) or normal.startswith("../") or re.fullmatch(r"bin/python[0-9.]*|pyvenv\.cfg", normal):
        raise FleetError(
            f"it would write {path}",
            where=str(package.file),
            remedy="Such a wheel is not to be trusted: lock another version",
        )
    return normal


def _recorded_sha256(file: RecordedFile) -> str | None:
    if not file.hash.startswith(_SHA256):
        return None
    text = file.hash.removeprefix(_SHA256)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()


def _with_origin(package: Package, staged: pathlib.Path, metadata: str) -> dict[str, StoredFile]:
    """Have the metadata say what the lock says of the origin; what uv wrote would be where this host got it."""
    origin = direct_url(package)
    record = staged / metadata / "RECORD"
    with record.open(encoding="utf-8", newline="") as stream:
        recorded = [row for row in csv.reader(stream) if row]
    rows = [row for row in recorded if not row[0].endswith(tuple(f".dist-info/{name}" for name in _UVS_OWN))]
    made = {}
    if origin is not None:
        (staged / metadata / ORIGIN_FILE).write_text(origin, "utf-8")
        sha256 = str(sha256_of(f"{staged}/{metadata}/{ORIGIN_FILE}"))
        encoded = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
        rows.append([f"{posixpath.basename(metadata)}/{ORIGIN_FILE}", _SHA256 + encoded, str(len(origin.encode()))])
        made[f"{metadata}/{ORIGIN_FILE}"] = StoredFile(sha256, executable=False, seen=None)
    if rows != recorded:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(sorted(rows))
        record.unlink()
        record.write_bytes(text.getvalue().encode())
    return {**made, f"{metadata}/RECORD": StoredFile(str(sha256_of(str(record))), executable=False, seen=None)}
