# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring wheels into the store: uv installs what is missing into a scratch environment, and what is sound goes there.

So what the store has is what uv makes of a wheel (scripts, data, ``.data`` directories), read back file by file against
its RECORD, with bytecode, and the same on all hosts.
"""

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

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import flush_file_system, remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import ORIGIN_FILE, direct_url
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.batches import Batch, batches
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.bytecode import bytecode_of, compile_bytecode
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    Distribution,
    distributions,
    environment_site,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.fetch import fetch_from_mirrors
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import PUSHED_SOURCES, local_file
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
    store_of,
    write_list,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv import Uv, make_virtual_environment
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv_faults import explain, unusable_package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.versions import same_version

_INSTALL = ("pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:")
_SCRATCH = ".making-"
_SHA256 = "sha256="
Damaged = c.Mapping[str, c.Sequence[str]]


def unpack(context: Context, uv: Uv, interpreter: pathlib.Path, packages: c.Sequence[Package]) -> None:
    """Bring the wheels of ``packages`` into the store.

    What does not come out as its wheel records it is tried once more by itself, with fresh bytes: the cache of uv may
    be damaged, or another of these packages brings the same file. Raises FleetError, or Failures with all that fails;
    the others are in the store then.
    """
    _remove_scratch(context.layout)
    raise_all([fault for package in packages for fault in _not_pushed(context, package)])
    fetch_from_mirrors(context, packages)
    faults, damaged = _unpack_together(context, uv, interpreter, packages)
    left: dict[str, c.Sequence[str]] = {}
    for name in sorted(damaged):
        uv.run("cache", "clean", name)
        alone = [package for package in packages if package.name == name]
        more, still = _unpack_together(context, uv, interpreter, alone)
        faults += more
        left.update(still)
    if left:
        faults.append(_faulty_wheels(left, uv.log))
    raise_all(faults)


def _not_pushed(context: Context, package: Package) -> list[FleetError]:
    if package.source not in PUSHED_SOURCES or local_file(context, package) is not None:
        return []
    return [
        FleetError(
            "is on the control node alone and did not come from there",
            where=str(package.file),
            remedy="Run again: comfyops.fleet.comfy_pip_packages brings it, what was here was damaged or removed",
        )
    ]


def _unpack_together(
    context: Context, uv: Uv, interpreter: pathlib.Path, packages: c.Sequence[Package]
) -> tuple[list[FleetError], Damaged]:
    """What failed, and the files of what came out damaged; all else is in the store."""
    scratch = pathlib.Path(tempfile.mkdtemp(dir=store_of(context.layout), prefix=_scratch_prefix()))
    try:
        make_virtual_environment(uv, scratch, interpreter)
        failed: list[FleetError] = []
        for batch in batches(context, packages):
            failed += _install(uv, scratch, batch)
        site = environment_site(scratch, context.target.python)
        compile_bytecode(scratch, site)
        faults, damaged = _admit(context, scratch, site, packages)
        # What is not there because it could not be had is no further fault.
        return failed or faults, damaged
    finally:
        remove_tree(scratch)


def _install(uv: Uv, scratch: pathlib.Path, batch: Batch) -> list[FleetError]:
    """Why the batch could not be installed. What uv has in its cache and can not use is fetched again."""
    cleaned: set[str | None] = {None}
    while True:
        where = ("--python", str(scratch / "bin" / "python"), "--requirements", "-")
        done = uv.run(*_INSTALL, *batch.options, *where, stdin=batch.requirements)
        if done.returncode == 0:
            return []
        name = unusable_package(done.stderr)
        if name in cleaned:
            return [explain(done.stderr, batch.origin, uv.log)]
        uv.run("cache", "clean", str(name))
        cleaned.add(name)


def _admit(
    context: Context, scratch: pathlib.Path, site: pathlib.Path, packages: c.Sequence[Package]
) -> tuple[list[FleetError], Damaged]:
    """Put what is installed and sound into the store."""
    installed, _unreadable = distributions(site, os.listdir(site), {each.name: each.version for each in packages})
    found = {each.name: each for each in installed}
    faults = [fault for package in packages for fault in _misnamed(package, found.get(package.name))]
    there = [package for package in packages if not _misnamed(package, found.get(package.name))]
    records = {package.name: read_record(site / found[package.name].entry) for package in there}
    damaged: dict[str, c.Sequence[str]] = {name: () for name, files in records.items() if files is None}
    whole = {name: files for name, files in records.items() if files is not None}
    damaged.update(damaged_files(site, whole, lambda _path: True, deep=True, shared=False))
    entries = [
        _stage(context, scratch, site, package, found[package.name], whole[package.name])
        for package in there
        if package.name not in damaged
    ]
    flush_file_system(store_of(context.layout))
    for entry in entries:
        write_list(look_again(entry, proven=True))
    return faults, damaged


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


def _stage(
    context: Context,
    scratch: pathlib.Path,
    site: pathlib.Path,
    package: Package,
    installed: Distribution,
    record: c.Sequence[RecordedFile],
) -> Entry:
    """Make the package's directory in the store; it is an entry once its list is written."""
    inside = posixpath.relpath(str(site), str(scratch))
    directory = entry_path(context.layout, package, context.target.python)
    staged = pathlib.Path(tempfile.mkdtemp(dir=directory.parent, prefix=_scratch_prefix()))
    try:
        files: dict[str, StoredFile] = {}
        for file in record:
            if not file.path.endswith(f"{installed.entry}/{ORIGIN_FILE}"):
                path = _path_in_environment(package, inside, file.path)
                files[path] = _take(scratch, staged, path, _recorded_sha256(file))
                for compiled in bytecode_of(path, context.target.python):
                    with contextlib.suppress(FileNotFoundError):
                        files[compiled] = _take(scratch, staged, compiled, None)
        files.update(_with_origin(package, staged, f"{inside}/{installed.entry}"))
        make_read_only(staged, files)
        discard(directory)
        staged.replace(directory)
    except BaseException:
        remove_tree(staged)
        raise
    return Entry(directory, files)


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


def _take(scratch: pathlib.Path, staged: pathlib.Path, path: str, sha256: str | None) -> StoredFile:
    source, destination = f"{scratch}/{path}", f"{staged}/{path}"
    executable = bool(os.stat(source).st_mode & 0o100)
    known = sha256 or sha256_of(source)
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    if not os.path.lexists(destination):
        try:
            os.link(source, destination)
        except OSError:
            shutil.copy2(source, destination)
    return StoredFile(str(known), executable, None)


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
    rows = [row for row in recorded if not row[0].endswith(f".dist-info/{ORIGIN_FILE}")]
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


def _faulty_wheels(damaged: Damaged, log: pathlib.Path) -> FleetError:
    names = "; ".join(f"{name}: {', '.join(files[:3]) or 'metadata'}" for name, files in sorted(damaged.items())[:5])
    return FleetError(
        f"freshly installed files are not as their wheels record them: {names}",
        remedy=f"Either the disk is failing, or these wheels are faulty: lock others. uv's whole output: {log}",
    )


def _scratch_prefix() -> str:
    """Says whose it is: several hosts may share the store."""
    return f"{_SCRATCH}{re.sub(r'[^A-Za-z0-9]', '', platform.node())}-{os.getpid()}-"


def _remove_scratch(layout: Layout) -> None:
    """What killed runs of this host left in the store."""
    mine = re.compile(re.escape(_scratch_prefix().rpartition(f"{os.getpid()}-")[0]) + r"(\d+)-")
    for name in os.listdir(store_of(layout)):
        found = mine.match(name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            remove_tree(store_of(layout) / name)
