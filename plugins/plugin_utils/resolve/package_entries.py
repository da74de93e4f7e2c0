# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock's entries of the packages that a resolution found: one file each, its origin and its bytes checked."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX, FILE, INDEX, WHEEL
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import wheels
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import ListedFile
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import LOCAL
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.package_metadata import describe
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.routing_index import LocalWheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_output import Wheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import EVERYTHING, Found, Question
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_contents import Content
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_look import Look, look_into
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_reading import read_all, sizes_of

Section = c.Mapping[str, t.Any]
Document = dict[str, t.Any]

# What an entry has that is neither built nor in place of another.
_PLAIN: t.Final[Section] = {"built_from": None, "provider": None}
# Their pages have said wrong hashes of files more than once (pytorch#164347, pytorch#153469, vision#9243).
_MISSTATING: t.Final = ("pytorch.org",)


@dataclasses.dataclass(frozen=True)
class Checks:
    """How far indexes are believed. every_byte: not at all. cache: for what was read once. report: told of progress."""

    cache: pathlib.Path
    report: c.Callable[[str], None]
    every_byte: bool = False


@dataclasses.dataclass(frozen=True)
class _Chosen:
    """A package's file, before its bytes are looked at. said: the hashes that there are of it, and who says each."""

    package: Found
    identity: Section
    file: ListedFile
    said: tuple[tuple[str, str], ...]
    size: int | None
    is_read: bool
    is_kept: bool


def make_entries(
    question: Question, found: c.Sequence[Found], kept: c.Sequence[Section], checks: Checks
) -> list[Document]:
    """The entries, by name; what is as it was in ``kept`` (of an earlier lock) is taken over from there.

    Raises FleetError, or Failures with what is wrong with any of them.
    """
    return _Entries(question, kept, checks).all_of(found)


class _Entries:
    def __init__(self, question: Question, kept: c.Sequence[Section], checks: Checks) -> None:
        self._question = question
        self._indexes = question.indexes
        self._where = question.environment.where
        self._kept = {entry["name"]: entry for entry in kept}
        self._checks = checks
        self._tags = question.environment.wheel_tags()

    def all_of(self, found: c.Sequence[Found]) -> list[Document]:
        local = {each.name: self._local(each) for each in found if each.index == LOCAL}
        chosen, faults = [], []
        for package in found:
            try:
                self._check_origin(package)
                if package.name not in local:
                    chosen.append(self._chosen(package))
            except FleetError as error:
                faults.append(error)
        raise_all(faults)
        read = [each for each in chosen if each.is_read]
        results = read_all([each.file for each in read], self._indexes.access, self._checks.cache, self._checks.report)
        contents = {each.package.name: result for each, result in zip(read, results, strict=True)}
        looks = self._looks([each for each in chosen if not each.is_read])
        described = self._described(found, chosen, contents, looks)
        entries = {**local, **self._with_content(chosen, contents, looks)}
        return [{**entries[name], **described[name]} for name in sorted(entries)]

    def _looks(self, chosen: c.Sequence[_Chosen]) -> dict[str, Look | FleetError]:
        """What is to be seen of wheels that are not read."""
        files = [dataclasses.replace(each.file, sha256=each.said[0][0], size=each.size) for each in chosen]
        looks = look_into(files, self._indexes.access, self._checks.cache)
        return {each.package.name: look for each, look in zip(chosen, looks, strict=True)}

    def _described(
        self,
        found: c.Sequence[Found],
        chosen: c.Sequence[_Chosen],
        contents: c.Mapping[str, Content | FleetError],
        looks: c.Mapping[str, Look | FleetError],
    ) -> dict[str, Document]:
        """What the packages say of themselves; of one that cannot be looked into what an earlier lock has of it."""
        metadata = {each.name: self._local_wheel(each).metadata for each in found if each.index == LOCAL}
        known: dict[str, Document] = {}
        faults = []
        for each in chosen:
            name = each.package.name
            seen = contents.get(name) or looks[name]
            if not isinstance(seen, FleetError):
                metadata[name] = seen.metadata
            elif each.is_kept and not each.is_read:
                known[name] = {key: self._kept[name][key] for key in ("requires", "license")}
            else:
                faults.append(self._unread(each.package, seen))
        raise_all(faults)
        question = self._question
        described = describe(metadata, question.lines, question.overrides, question.environment.markers())
        return {**{name: dict(each._asdict()) for name, each in described.items()}, **known}

    def _with_content(
        self,
        chosen: c.Sequence[_Chosen],
        read: c.Mapping[str, Content | FleetError],
        looks: c.Mapping[str, Look | FleetError],
    ) -> dict[str, Document]:
        contents: dict[str, Content | FleetError | int | None] = dict(read)
        contents.update((name, look.size) for name, look in looks.items() if isinstance(look, Look))
        unsized = [each for each in chosen if not each.size and not each.is_kept and not contents[each.package.name]]
        sizes = sizes_of([each.file for each in unsized], self._indexes.access)
        contents.update((each.package.name, size) for each, size in zip(unsized, sizes, strict=True))
        entries, faults = {}, []
        for each in chosen:
            try:
                entries[each.package.name] = self._entry(each, contents.get(each.package.name))
            except FleetError as error:
                faults.append(error)
        raise_all(faults)
        return entries

    def _entry(self, chosen: _Chosen, found: Content | FleetError | int | None) -> Document:
        """The entry of a file. found: what reading it gave, or its size, or why it cannot be had."""
        package = chosen.package
        if isinstance(found, FleetError):
            raise self._unread(package, found)
        content = found if isinstance(found, Content) else None
        sha256 = content.sha256 if content else chosen.said[0][0]
        other = next((said for said in chosen.said if said[0] != sha256), None)
        if other:
            raise FleetError(
                f"{package.name} {package.version}: {shown(chosen.file.url)} has the sha256 {sha256}, and"
                f" {other[1]} says {other[0]}",
                where=self._where,
                remedy="Lock again later, or take another version; if the file is right, put into python_packages"
                f' {{"name": "{package.name}", "url": "{shown(chosen.file.url)}", "sha256": "{sha256}"}}',
            )
        return {
            **_PLAIN,
            **chosen.identity,
            "file": chosen.file.name,
            "sha256": sha256,
            "size": content.size if content else chosen.size or found,
            "required_by": list(package.required_by),
        }

    def _unread(self, package: Found, why: FleetError) -> FleetError:
        return FleetError(f"{package.name} {package.version} {self._from(package)}: {why}", where=self._where)

    def _check_origin(self, package: Found) -> None:
        """That each file comes from where its package is bound to, whatever was answered to whom."""
        wanted = LOCAL if package.name in self._question.local else self._indexes.of(package.name)
        given = {package.index, *(wheel.index or package.index for wheel in package.wheels)}
        if given == {wanted} or (given == {None} and wanted == DEFAULT_INDEX):
            return
        others = ", ".join(sorted(name or "a URL" for name in given - {wanted}))
        raise FleetError(
            f"{package.name} {package.version} has to come from the index {self._indexes.shown(wanted)}, and was found"
            f" in {others}, for {', '.join(package.required_by)}",
            where=self._where,
            remedy="Take it out of python.indexes, or name no URL of it",
        )

    def _local(self, package: Found) -> Document:
        wheel = self._local_wheel(package)
        return {
            **_PLAIN,
            "name": package.name,
            "version": package.version,
            "file": wheel.file,
            "sha256": wheel.sha256,
            "size": wheel.size,
            "index": None,
            "url": None,
            **wheel.entry,
            "required_by": list(package.required_by),
        }

    def _local_wheel(self, package: Found) -> LocalWheel:
        files = {wheel.file: wheel for wheel in self._question.local[package.name]}
        return files[self._fitting(package)[0].file]

    def _chosen(self, package: Found) -> _Chosen:
        offered = self._fitting(package)
        line = self._line(package)
        source = INDEX if line is None else (FILE if str(line.url).startswith("file:") else WHEEL)
        identity: Document = {
            "name": package.name,
            "version": package.version,
            "source": source,
            "index": None if line else package.index,
            "url": line.url if line else None,
        }
        kept = self._kept_entry(package, identity, offered)
        wheel = next((each for each in offered if kept and each.file == kept["file"]), offered[0])
        file = ListedFile(wheel.file, str(line.url) if line else wheel.url, size=None if kept else wheel.size)
        said = tuple((sha256, who) for sha256, who in self._said(package, wheel, kept, line) if sha256)
        is_settled = bool(kept) or self._is_believed(package, wheel)
        is_read = not (said and is_settled) or self._checks.every_byte or source == FILE
        return _Chosen(package, identity, file, said, kept["size"] if kept else wheel.size, is_read, bool(kept))

    def _said(
        self, package: Found, wheel: Wheel, kept: Section | None, line: Line | None
    ) -> c.Iterator[tuple[str | None, str]]:
        if kept:
            yield kept["sha256"], "the lock"
            return
        yield _published(wheel, line), str(line) if line else f"the index {self._indexes.shown(str(package.index))}"

    def _is_believed(self, package: Found, wheel: Wheel) -> bool:
        """Whether what is said of a file's hash is taken for true; a spec that names a URL wants it looked at."""
        if package.index is None:
            return False
        places = (wheel.url, self._indexes.urls[package.index], self._indexes.reached[package.index])
        hosts = [urllib.parse.urlsplit(place).hostname or "" for place in places if place]
        return not any(f".{host}".endswith(f".{other}") for host in hosts for other in _MISSTATING)

    def _line(self, package: Found) -> Line | None:
        """The line that names the package's file by its URL."""
        if package.index is not None:
            return None
        lines = (*self._question.overrides, *self._question.lines)
        return next(line for line in lines if line.name == package.name and line.url)

    def _fitting(self, package: Found) -> list[Wheel]:
        offered = wheels.fitting(package.wheels, self._tags)
        if offered:
            return offered
        environment = self._question.environment
        there = ", ".join(sorted({"-".join(wheels.tags_of(wheel.file)) for wheel in package.wheels}))
        raise FleetError(
            f"{package.name} {package.version}, wanted by {', '.join(package.required_by)}, has no wheel for Python"
            f" {environment.python} on {environment.platform}; there is one for {there}",
            where=environment.where,
            remedy=f'Name the wheel for this target in python_packages: {{"name": "{package.name}", "url": "...",'
            ' "sha256": "..."}; or take a Python (python.version) or platform that fits',
        )

    def _kept_entry(self, package: Found, identity: Document, offered: c.Sequence[Wheel]) -> Section | None:
        """The earlier lock's entry of the file, so that a release that gains another file changes nothing."""
        kept = self._kept.get(package.name)
        moving = self._question.upgrade
        if kept is None or package.name in moving or EVERYTHING in moving:
            return None
        same = next((wheel for wheel in offered if wheel.file == kept["file"]), None)
        if same is None or any(kept[key] != value for key, value in identity.items()):
            return None
        published = _published(same, self._line(package))
        if published in (None, kept["sha256"]):
            return kept
        if identity["source"] != INDEX:
            return None
        if not self._is_believed(package, same):
            return kept
        raise FleetError(
            f"the index {self._indexes.shown(identity['index'])} now says sha256 {published} for"
            f" {same.file}, and the lock has {kept['sha256']}: the file was replaced",
            where=self._where,
            remedy=f"If that is right, lock again with comfy_lock_upgrade={package.name}",
        )

    def _from(self, package: Found) -> str:
        return f"of the index {self._indexes.shown(package.index)}" if package.index else "by its URL"


def _published(wheel: Wheel, line: Line | None) -> str | None:
    """The sha256 that is said of a file: by its index, or the line that names its URL (uv says there what it read)."""
    if line is None:
        return wheel.sha256
    fragment = urllib.parse.urldefrag(line.requirement.url or "").fragment
    return dict(urllib.parse.parse_qsl(fragment)).get("sha256")
