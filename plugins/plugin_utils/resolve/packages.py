# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python packages of a target: everything that core, nodes and spec ask for, resolved together to one file each.

uv resolves, for the target's Python and platform and from wheels alone: no build code of others runs here.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import builds, wheels
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import BuiltWheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import (
    Demand,
    Line,
    demand_of_spec,
    lines_for,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import DEFAULT, Indexes, read_indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.requirement_sources import settle_sources
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import (
    TargetEnvironment,
    target_environment,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import TORCH_FAMILY
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_output import Wheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import (
    ALWAYS,
    EVERYTHING,
    Found,
    Question,
    resolve,
)

__all__ = ["Demand", "resolve_target"]

Section = c.Mapping[str, t.Any]
Document = dict[str, t.Any]

INDEX: t.Final = "index"
WHEEL: t.Final = "wheel"
# What an entry has that is neither built nor in place of another.
_PLAIN: t.Final[Section] = {"built_from": None, "provider": None, "requires": [], "license": None}
_OVERRIDES: t.Final = "python.overrides"
_NOT_YET: t.Final = ("providers", "provided")


def resolve_target(
    name: str,
    target: Section,
    *,
    python: str,
    demands: c.Sequence[Demand],
    python_section: Section,
    packages: c.Sequence[Section],
    index_urls: c.Mapping[str, str],
    kept: c.Sequence[Section] | None,
    upgrade: c.Collection[str],
    work: pathlib.Path,
    cache: pathlib.Path,
    site: builds.Site,
    report: c.Callable[[str], None],
) -> Document:
    """The lock's entry of the target ``name``, the same for the same input and the same state of the indexes.

    target, python_section and packages: of the normalized spec. demands: of core and nodes. index_urls: where indexes
    are reached from here, by name. kept: the packages of an earlier lock, which stay where they still fit, but for the
    canonical names in ``upgrade`` (or ``all``). work: a directory for scratch files. cache: uv's. site: where what
    has no wheel is built. report: told what a user should know.

    Raises FleetError, or Failures with all faults of the input.
    """
    environment = target_environment(name, target["platform"], python)
    question, indexes, replaced = _question(
        environment, demands, python_section, packages, index_urls, kept or (), upgrade, site
    )
    build_question = _builds_question(question, kept or ())
    wanted = builds.wanted_of(packages, python_section["build"], build_question, site)
    built = builds.build_wheels(wanted, build_question, site, work=work, report=report)
    question = dataclasses.replace(question, local={name: wheel.path.as_uri() for name, wheel in built.items()})
    with tempfile.TemporaryDirectory(prefix="resolve.", dir=work) as directory:
        found = resolve(question, directory=pathlib.Path(directory), cache=cache, report=report)
    for note in _notes(question, found):
        report(f"{environment.where}: {note}")
    raise_all(builds.built_against_others(wanted, built, {package.name: package.version for package in found}))
    entries = _Entries(_with_default(question, found), kept or (), cache, built)
    return {
        "python": python,
        "platform": environment.platform,
        "accelerator": target["accelerator"],
        "match": dict(target["match"]),
        "indexes": dict(indexes.urls),
        "interpreter": None,
        "packages": entries.all_of(found),
        "replaced": replaced,
    }


def _question(
    environment: TargetEnvironment,
    demands: c.Sequence[Demand],
    section: Section,
    packages: c.Sequence[Section],
    index_urls: c.Mapping[str, str],
    kept: c.Sequence[Section],
    upgrade: c.Collection[str],
    site: builds.Site,
) -> tuple[Question, Indexes, list[Document]]:
    indexes, index_faults = read_indexes(section, packages, index_urls)
    excluded = frozenset(section["exclude"])
    lines, line_faults = lines_for(environment, [*demands, demand_of_spec(packages)], excluded)
    settled = settle_sources(lines, packages, site.access, site.cache / "wheels")
    overrides, override_faults = lines_for(
        environment, [Demand(_OVERRIDES, None, tuple(section["overrides"]))], frozenset()
    )
    raise_all(
        [
            *_unsupported(section),
            *index_faults,
            *line_faults,
            *settled.faults,
            *override_faults,
            *_bound_faults(settled.lines, overrides, indexes),
            *_refused_names(overrides, excluded),
        ]
    )
    question = Question(
        environment=environment,
        lines=settled.lines,
        indexes=indexes,
        overrides=overrides,
        excluded=excluded,
        exclude_newer=section["exclude_newer"],
        kept={entry["name"]: entry["version"] for entry in kept if entry["source"] == INDEX},
        upgrade=upgrade,
    )
    return question, indexes, settled.replaced


def _builds_question(question: Question, kept: c.Sequence[Section]) -> builds.Question:
    return builds.Question(
        environment=question.environment,
        indexes=question.indexes,
        exclude_newer=question.exclude_newer,
        lines=question.lines,
        kept=kept,
        upgrade=question.upgrade,
    )


def _with_default(question: Question, found: c.Sequence[Found]) -> Question:
    """The question with the address of uv's default index: where pip is from, unless pip is bound."""
    url = next((package.index_url for package in found if package.name == ALWAYS), None)
    if url is None or question.indexes.of(ALWAYS) != DEFAULT:
        return question
    return dataclasses.replace(question, indexes=question.indexes.with_default(url))


def _notes(question: Question, found: c.Sequence[Found]) -> c.Iterator[str]:
    from packaging.version import Version

    if question.excluded:
        yield f"left out by python.exclude: {', '.join(sorted(question.excluded))}"
    asked = {line.name for line in question.lines if line.requirement.specifier.prereleases}
    for package in found:
        if Version(package.version).is_prerelease and package.index_url and package.name not in asked:
            yield f"{package.name} {package.version} is a pre-release: no other version fits"


def _unsupported(section: Section) -> list[FleetError]:
    faults = [
        FleetError("cannot be followed by this version of the collection", where=f"python.{key}", remedy="Take it out")
        for key in _NOT_YET
        if section[key]
    ]
    if section["resolution"] != "strict":
        what = f"{section['resolution']!r} cannot be followed by this version of the collection"
        faults.append(FleetError(what, where="python.resolution", remedy="Take it out, or write 'strict'"))
    return faults


def _bound_faults(lines: c.Sequence[Line], overrides: c.Sequence[Line], indexes: Indexes) -> list[FleetError]:
    """Packages that are bound to an index and given otherwise as well."""
    faults = []
    for line in (*lines, *overrides):
        index = indexes.bound.get(line.name)
        if index is None or (line.url is None and (line in lines or index == DEFAULT)):
            continue
        if line.url:
            what = f"{line.name} is bound to the index {index}, and given as the file {line.url}"
            faults.append(FleetError(what, where=line.demand.label, remedy="Keep one of the two"))
        else:
            what = f"an override of {line.name} would undo its being bound to the index {index}"
            remedy = "Bound its version in python_packages instead"
            faults.append(FleetError(what, where=_OVERRIDES, remedy=remedy))
    return faults


def _refused_names(overrides: c.Sequence[Line], excluded: c.Collection[str]) -> list[FleetError]:
    faults = [
        FleetError(
            f"{line.name} is of the torch family, whose parts only fit together as they say themselves",
            where=_OVERRIDES,
            remedy="Pin it in python_packages, and give a node that wants another one lines of its own in"
            " custom_nodes[].requirements",
        )
        for line in overrides
        if line.name in TORCH_FAMILY
    ]
    if ALWAYS in excluded:
        faults.append(FleetError(f"every environment holds {ALWAYS}", where="python.exclude", remedy="Take it out"))
    return faults


class _Entries:
    """Makes the lock's entries of packages; what is as it was before is taken over from there."""

    def __init__(
        self,
        question: Question,
        kept: c.Sequence[Section],
        cache: pathlib.Path,
        built: c.Mapping[str, BuiltWheel],
    ) -> None:
        self._question = question
        self._built = built
        self._kept = {entry["name"]: entry for entry in kept}
        self._cache = cache
        self._tags = question.environment.wheel_tags()

    def all_of(self, found: c.Sequence[Found]) -> list[Document]:
        """The entries, by name. Raises FleetError, or Failures with what is wrong with any of them."""
        entries, faults = [], []
        for package in found:
            try:
                entries.append(self._entry(package))
            except FleetError as error:
                faults.append(error)
        raise_all(faults)
        return entries

    def _entry(self, package: Found) -> Document:
        if package.name in self._built:
            return _built_entry(self._built[package.name], package)
        self._check_origin(package)
        url = self._url(package)
        index = None if url else self._question.indexes.of(package.name)
        offered = wheels.fitting(package.wheels, self._tags)
        if not offered:
            raise self._no_fitting_wheel(package)
        identity: Document = {
            "name": package.name,
            "version": package.version,
            "source": WHEEL if url else INDEX,
            "index": index,
            "url": url,
        }
        kept = self._kept_file(package, identity, offered)
        return {**_PLAIN, **identity, **(kept or self._file(offered[0])), "required_by": list(package.required_by)}

    def _url(self, package: Found) -> str | None:
        """The URL as the line says it that names the package's file."""
        if package.index_url is not None:
            return None
        lines = (*self._question.overrides, *self._question.lines)
        return next(line.url for line in lines if line.name == package.name and line.url)

    def _check_origin(self, package: Found) -> None:
        indexes = self._question.indexes
        if package.index_url is None or indexes.gives(package.name, package.index_url):
            return
        wanted = indexes.of(package.name)
        raise FleetError(
            f"{package.name} {package.version} has to come from the index {indexes.shown(wanted)}, and only"
            f" {', '.join(package.required_by)} ask for it, whom {package.index_url} answers",
            where=self._question.environment.where,
            remedy=f'Ask for it by name: {{"requirement": "{package.name}", "index": "{wanted}"}} in python_packages',
        )

    def _no_fitting_wheel(self, package: Found) -> FleetError:
        environment = self._question.environment
        there = ", ".join(sorted({"-".join(wheels.tags_of(wheel.file)) for wheel in package.wheels}))
        return FleetError(
            f"{package.name} {package.version}, wanted by {', '.join(package.required_by)}, has no wheel for Python"
            f" {environment.python} on {environment.platform}; there is one for {there}",
            where=environment.where,
            remedy=f'Name the wheel for this target in python_packages: {{"name": "{package.name}", "url": "...",'
            ' "sha256": "..."}; or take a Python (python.version) or platform that fits',
        )

    def _kept_file(self, package: Found, identity: Document, offered: c.Sequence[Wheel]) -> Document | None:
        """What the earlier lock has of the file, so that a release that gains another file changes nothing."""
        kept = self._kept.get(package.name)
        moving = self._question.upgrade
        if kept is None or package.name in moving or EVERYTHING in moving:
            return None
        same = next((wheel for wheel in offered if wheel.file == kept["file"]), None)
        if same is None or any(kept[key] != value for key, value in identity.items()):
            return None
        if same.sha256 in (None, kept["sha256"]):
            return {key: kept[key] for key in ("file", "sha256", "size")}
        if identity["source"] == WHEEL:
            return None
        raise FleetError(
            f"the index {self._question.indexes.shown(identity['index'])} now says sha256 {same.sha256} for"
            f" {same.file}, and the lock has {kept['sha256']}: the file was replaced",
            where=self._question.environment.where,
            remedy=f"If that is right, lock again with comfy_lock_upgrade={package.name}",
        )

    def _file(self, wheel: Wheel) -> Document:
        if wheel.sha256:
            return {"file": wheel.file, "sha256": wheel.sha256, "size": wheel.size}
        authorization = self._question.indexes.authorization(wheel.url)
        content = wheels.read_content(wheel.url, authorization, self._cache)
        return {"file": wheel.file, "sha256": content.sha256, "size": content.size}


def _built_entry(wheel: BuiltWheel, package: Found) -> Document:
    return {
        **_PLAIN,
        "name": wheel.name,
        "version": wheel.version,
        "source": wheel.source,
        "file": wheel.file,
        "sha256": wheel.sha256,
        "size": wheel.size,
        "index": None,
        "url": None,
        "built_from": dict(wheel.built_from),
        "required_by": list(package.required_by),
    }
