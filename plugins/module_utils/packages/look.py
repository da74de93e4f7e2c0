# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at one environment: interpreter, distributions, files that were changed, files that nobody owns."""

from __future__ import annotations

import collections
import collections.abc as c
import os
import pathlib
import posixpath
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import ORIGIN_FILE, direct_url
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import Environment, wanted_versions
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    BYTECODE,
    DIST_INFO,
    Distribution,
    distributions,
    is_metadata,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import installed_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.receipt import Fingerprints, changed_since
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


class Expected(t.NamedTuple):
    """What an environment should hold, by distribution.

    versions: spare the reading of metadata. origins: the text of direct_url.json, None where there is to be none.
    records: gives the sha256 of each RECORD as far as the store knows it; it is called only when something has changed.
    """

    versions: c.Mapping[str, str]
    origins: c.Mapping[str, str | None]
    records: c.Callable[[], c.Mapping[str, str]]


def expectations(context: Context) -> Expected:
    """What the context's environment should hold."""
    packages = installed_of(context.target.packages)

    def records() -> dict[str, str]:
        entries = {each.name: read_entry(entry_path(context.layout, each, context.target.python)) for each in packages}
        return {
            name: file.sha256
            for name, entry in entries.items()
            if entry is not None
            for path, file in entry.files.items()
            if path.endswith(f"{DIST_INFO}/RECORD")
        }

    return Expected(
        versions=wanted_versions(context.target),
        origins={package.name: direct_url(package) for package in packages},
        records=records,
    )


def inspect(
    environment: pathlib.Path, site: pathlib.Path, expected: Expected, seen: Fingerprints | None, deep: bool
) -> Environment:
    """The environment with the directory of packages ``site``.

    seen: the receipt; without one every recorded file's existence and size is looked at. deep: hash every file.
    """
    python, fault = _interpreter(environment)
    try:
        entries = os.listdir(site)
    except OSError:
        return Environment(python, fault or f"{site.name} is not there", {})
    installed, unreadable = distributions(site, entries, expected.versions)
    damaged: dict[str, tuple[str, ...]] = dict.fromkeys((*unreadable, *_doubled(installed)), ())
    changed = None if seen is None or deep else changed_since(site, seen)
    unknown = [entry for entry in entries if entry != BYTECODE and (seen is None or entry not in seen)]
    foreign: list[str] = []
    if changed is None or changed or unknown:
        records = {each.name: _record(site, each) for each in installed}
        unrecorded = {name: () for name, files in records.items() if files is None}
        damaged |= unrecorded
        known = {name: files for name, files in records.items() if files}
        for name, files in damaged_files(site, known, _selected(changed), deep).items():
            damaged[name] = tuple(files)
        for name, file in _from_elsewhere(site, installed, expected):
            damaged[name] = (*damaged.get(name, ()), file)
        # Where nothing tells what a damaged distribution owns, what nobody owns may be its own.
        if seen is not None or not unrecorded:
            foreign = [entry for entry in sorted(set(unknown) - _owned(known)) if _is_foreign(site / entry)]
    return Environment(python, fault, {each.name: each.version for each in installed}, damaged, tuple(foreign))


def _from_elsewhere(
    site: pathlib.Path, installed: c.Sequence[Distribution], expected: Expected
) -> c.Iterator[tuple[str, str]]:
    """Distributions that are not the locked wheel, however well they agree with themselves, and the file that tells."""
    records = expected.records()
    for each in installed:
        if not each.entry.endswith(DIST_INFO) or not same_version(each.version, expected.versions.get(each.name, "")):
            continue
        record, origin = f"{each.entry}/RECORD", f"{each.entry}/{ORIGIN_FILE}"
        if each.name in records and sha256_of(f"{site}/{record}") != records[each.name]:
            yield each.name, record
        elif _text(site / origin) != expected.origins.get(each.name):
            yield each.name, origin


def _text(path: pathlib.Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def _interpreter(environment: pathlib.Path) -> tuple[str | None, str | None]:
    """The interpreter's version, and what is wrong with it. Source: PEP 405, and uv's key for the version."""
    try:
        text = (environment / "pyvenv.cfg").read_text("utf-8")
    except (OSError, ValueError):
        return None, "pyvenv.cfg is not there"
    settings = dict(re.findall(r"^\s*([a-z_-]+)\s*=\s*(.*?)\s*$", text, re.MULTILINE))
    python = settings.get("version_info") or settings.get("version")
    if settings.get("include-system-site-packages", "false").lower() != "false":
        return python, "it takes packages of the system too"
    if not os.access(environment / "bin" / "python", os.X_OK):
        return python, "its bin/python can not be run"
    return python, None


def _doubled(installed: c.Sequence[Distribution]) -> set[str]:
    counted = collections.Counter(each.name for each in installed)
    return {name for name, count in counted.items() if count > 1}


def _record(site: pathlib.Path, distribution: Distribution) -> list[RecordedFile] | None:
    return read_record(site / distribution.entry) if distribution.entry.endswith(DIST_INFO) else []


def _selected(changed: set[str] | None) -> c.Callable[[str], bool]:
    if changed is None:
        return lambda _path: True
    return lambda path: path in changed or posixpath.dirname(path) in changed


def _owned(records: c.Mapping[str, c.Sequence[RecordedFile]]) -> set[str]:
    return {file.path.partition("/")[0] for files in records.values() for file in files}


def _is_foreign(entry: pathlib.Path) -> bool:
    """Whether Python could load it: a module, a path file, or an importable directory that has modules."""
    if is_metadata(entry.name):
        return False
    if not entry.is_dir():
        return entry.suffix in _LOADABLE
    walked = os.walk(entry) if entry.name.isidentifier() else ()
    return any(name.endswith(_MODULES) for _parent, _directories, names in walked for name in names)
