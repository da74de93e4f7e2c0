# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of ``python.build`` that an index has: the version that counts, its source archive where no wheel fits."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import datetime
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import download
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_sources import Source
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import ListedFile
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import Indexes, without_credentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import run_uv
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_output import read_list

if t.TYPE_CHECKING:
    from packaging.version import Version

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds import Question
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment

# Everybody has it: where it comes from is the default index.
_PUBLISHED: t.Final = "pip"


class Release(t.NamedTuple):
    """A source archive of an index, and its version."""

    source: Source
    version: str


def release_to_build(name: str, question: Question, files: pathlib.Path, uv_cache: pathlib.Path) -> Release | None:
    """What has to be built of the package ``name``; None where nothing has: a wheel fits, or it comes from elsewhere.

    The version is the newest that all lines of the target allow, or the locked one while they allow it. files: where
    downloads are kept. uv_cache: uv's. Raises FleetError when the index cannot be read.
    """
    lines = [line for line in question.lines if line.name == name]
    if any(line.url for line in lines):
        return None
    offered = locate_default(question.indexes, name, uv_cache).files_of(name)
    by_version = files_by_version(offered or (), question, pinned_versions(lines, name))
    version = _chosen(by_version, name, question)
    if version is None or has_fitting_wheel(by_version[version], question):
        return None
    archive = next((file for file in by_version[version] if not file.is_wheel), None)
    if archive is None:
        return None
    sha256 = archive.sha256 or download(archive.url, None, question.indexes.access, files).sha256
    # Where it is reached from here, such as a mirror, is no part of what it is.
    identity = {"index": question.indexes.of(name), "file": archive.name, "sha256": sha256}
    return Release(Source(name, identity, without_credentials(archive.url)), str(version))


def locate_default(indexes: Indexes, name: str, uv_cache: pathlib.Path) -> Indexes:
    """The same, with the address of the default index where that of the package ``name`` is not known.

    Raises FleetError when the default index does not answer.
    """
    if indexes.reached[indexes.of(name)]:
        return indexes
    # uv alone knows its own default.
    with tempfile.TemporaryDirectory(prefix="index.") as work:
        directory = pathlib.Path(work)
        (directory / "requirements.in").write_text(_PUBLISHED, encoding="utf-8")
        options = ("--no-header", "--emit-index-annotation", "--annotation-style", "split", "--only-binary", ":all:")
        command = ("pip", "compile", *options, "requirements.in", "--output-file", "requirements.txt")
        done = run_uv(command, directory=directory, cache=uv_cache)
        listed = read_list((directory / "requirements.txt").read_text(encoding="utf-8")) if done.succeeded else {}
    url = listed[_PUBLISHED].index_url if _PUBLISHED in listed else None
    if url is None:
        raise FleetError(f"the default index does not answer: {done.messages.strip()}", where="comfy_python_indexes")
    return dataclasses.replace(indexes, reached={**indexes.reached, DEFAULT_INDEX: url})


class Limits(t.Protocol):
    """What of an index counts: what the target's Python takes, and was there in time."""

    @property
    def environment(self) -> TargetEnvironment:
        """The target's."""

    @property
    def exclude_newer(self) -> str | None:
        """A day or a time, as the spec has it."""


def files_by_version(
    offered: c.Iterable[ListedFile], question: Limits, pinned: c.Collection[Version] = ()
) -> dict[Version, list[ListedFile]]:
    """The files of each version that counts; of what was taken back (PEP 592) that is what is pinned."""
    found: dict[Version, list[ListedFile]] = {}
    for file in offered:
        version = _version_of(file)
        if version and (file.yanked is None or version in pinned) and _is_old_enough(file, question.exclude_newer):
            found.setdefault(version, []).append(file)
    return {version: files for version, files in found.items() if any(_takes_python(file, question) for file in files)}


def pinned_versions(lines: c.Iterable[Line], name: str) -> set[Version]:
    """The versions of a package that lines name exactly."""
    from packaging.version import Version

    specifiers = (one for line in lines if line.name == name for one in line.requirement.specifier)
    return {Version(one.version) for one in specifiers if one.operator == "==" and not one.version.endswith(".*")}


def _version_of(file: ListedFile) -> Version | None:
    """The version that a file's name says, None for a name that is none of today's."""
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    try:
        return (parse_wheel_filename(file.name) if file.is_wheel else parse_sdist_filename(file.name))[1]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return None


def _is_old_enough(file: ListedFile, limit: str | None) -> bool:
    """An index that gives no dates is taken as it is, as for the packages that are bound to one."""
    if limit is None or file.uploaded is None:
        return True
    moments = [datetime.datetime.fromisoformat(text) for text in (file.uploaded, limit)]
    uploaded, before = (time if time.tzinfo else time.replace(tzinfo=datetime.UTC) for time in moments)
    return uploaded < before


def _takes_python(file: ListedFile, question: Limits) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if not file.requires_python:
        return True
    try:
        full = question.environment.markers()["python_full_version"]
        return SpecifierSet(file.requires_python).contains(full, prereleases=True)
    except InvalidSpecifier:
        return True


def _chosen(by_version: c.Mapping[Version, object], name: str, question: Question) -> Version | None:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    allowed = SpecifierSet()
    for line in question.lines:
        if line.name == name:
            allowed &= line.requirement.specifier
    fitting = sorted(allowed.filter(by_version))
    kept = next((Version(entry["version"]) for entry in question.kept if entry["name"] == name), None)
    moving = {name, "all"} & set(question.upgrade)
    if kept in fitting and not moving:
        return kept
    return fitting[-1] if fitting else None


def has_fitting_wheel(files: c.Iterable[ListedFile], question: Limits) -> bool:
    """Whether the target can have one of the files as it is."""
    from packaging.utils import parse_wheel_filename

    tags = frozenset(question.environment.wheel_tags())
    return any(file.is_wheel and parse_wheel_filename(file.name)[3] & tags for file in files)
