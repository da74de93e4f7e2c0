# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels that no index has: built once of what the spec names, in a sandbox, before a target is resolved.

Only sources that the spec lists are built: git and source archive entries of ``python_packages``, names in
``python.build``.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import pathlib
import tempfile
import typing as t
import zipfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.wheels.build import Interpreter, Order
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_check import check_wheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_failure import build_failure
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_order import (
    Attempt,
    Done,
    Waiting,
    build_in_order,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_places import Builder, choose, glibc_minor
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_requires import Requirements, Resolver
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_sources import (
    Archive,
    Source,
    fetch_source,
    required_names,
    source_of,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import BuiltWheel, Store
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_versions import release_to_build
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import TORCH_FAMILY, Line, is_built
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import Indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.routing_index import LocalWheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import EVERYTHING
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_contents import check_names

Section = c.Mapping[str, t.Any]
# What a backend says that it requires can depend on what is installed; two rounds settle it, a third is a fault.
_ROUNDS: t.Final = 3
_NUMPY: t.Final = "numpy"


@dataclasses.dataclass(frozen=True)
class Site:
    """What builds need of the control node. builders: it first. cache: for what can be fetched or made again."""

    access: git.Access
    store: Store
    builders: c.Sequence[Builder]
    cache: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A build. version: what comes out, where that is known. requires, variables: of the spec's ``python.build``."""

    source: Source
    version: str | None = None
    requires: tuple[str, ...] = ()
    variables: Section = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Question:
    """For what target is built. lines: all that count on it. kept: the packages of an earlier lock."""

    environment: TargetEnvironment
    indexes: Indexes
    exclude_newer: str | None
    lines: c.Sequence[Line]
    kept: c.Sequence[Section]
    upgrade: c.Collection[str]


def wanted_of(
    packages: c.Sequence[Section], settings: c.Sequence[Section], question: Question, site: Site
) -> list[Wanted]:
    """The builds that a target needs: what ``python_packages`` names, and what of ``python.build`` has no wheel.

    settings: the normalized ``python.build``. Raises FleetError, or Failures, when an index cannot be read.
    """
    sources = {source.name: (source, None) for source in map(source_of, filter(is_built, packages))}
    found: list[Wanted] = []
    faults: list[FleetError] = []
    by_name = {entry["name"]: entry for entry in settings}
    for name in (*sources, *(name for name in by_name if name not in sources)):
        own = by_name.get(name, {"requires": (), "env": {}})
        try:
            built = sources.get(name) or release_to_build(name, question, site.cache / "wheels", site.cache / "uv")
        except FleetError as error:
            faults.append(FleetError(str(error), where=f"python.build, {name}"))
            continue
        if built:
            found.append(Wanted(built[0], built[1], tuple(own["requires"]), own["env"]))
    raise_all(faults)
    return found


def build_wheels(
    wanted: c.Sequence[Wanted],
    question: Question,
    site: Site,
    *,
    work: pathlib.Path,
    report: c.Callable[[str], None],
    spare: c.Sequence[Wanted] = (),
) -> dict[str, BuiltWheel]:
    """The wheels by canonical name, of the store where it has them. work: a directory for scratch files.

    spare: what is built only where the build of another requires it. Raises FleetError, or Failures with all builds
    that failed.
    """
    with tempfile.TemporaryDirectory(prefix="builds.", dir=work) as scratch:
        sources = {each.source.name: each.source for each in (*wanted, *spare)}

        def attempt(each: Wanted) -> Attempt:
            place = pathlib.Path(tempfile.mkdtemp(dir=scratch))
            build = _Build(each, question, site, place, report, sources, [one.source.name for one in wanted])

            def tried(done: Done) -> BuiltWheel | Waiting | FleetError:
                try:
                    return build.wheel(done)
                except FleetError as error:
                    return error

            return tried

        attempts = {each.source.name: attempt(each) for each in (*wanted, *spare)}
        return build_in_order(attempts, [each.source.name for each in wanted])


def local_wheel(wheel: BuiltWheel) -> LocalWheel:
    """A wheel that was built, as resolutions take it."""
    with zipfile.ZipFile(wheel.path) as archive:
        metadata = check_names(wheel.file, archive)
    entry = {"source": wheel.source, "built_from": dict(wheel.built_from)}
    return LocalWheel(wheel.file, wheel.sha256, wheel.size, metadata, entry, wheel.path)


class _Build:
    def __init__(
        self,
        wanted: Wanted,
        question: Question,
        site: Site,
        work: pathlib.Path,
        report: c.Callable[[str], None],
        sources: c.Mapping[str, Source],
        firm: c.Iterable[str],
    ) -> None:
        self._wanted, self._question, self._site, self._work, self._report = wanted, question, site, work, report
        self._name = wanted.source.name
        # What is built beside it, and may be what it requires.
        self._others = {name: source for name, source in sources.items() if name != self._name}
        self._firm = frozenset(firm) - {self._name}
        self._archive: Archive | None = None
        self._wants: tuple[str, ...] = ()
        self._pinned = _pinned(question.lines, wanted.requires)
        entries = (entry for entry in question.kept if entry["name"] == self._name and entry["built_from"])
        self._kept: Section = next(entries, {"built_from": {"requires": []}, "sha256": None})
        self._where = f"{wanted.source.label}, {question.environment.where}"

    def wheel(self, done: Done) -> BuiltWheel | Waiting:
        """The wheel of the store, else one that is built now, once what it requires of other builds is ``done``."""
        moving = bool({self._name, EVERYTHING} & set(self._question.upgrade))
        inputs = self._inputs()
        found = None if moving else self._site.store.find(inputs, self._kept["sha256"], None)
        if found:
            return found
        builder, interpreter = choose(self._site.builders, self._question.environment, self._where)
        if self._archive is None:
            access, files = self._question.indexes.access, self._site.cache / "wheels"
            self._archive = fetch_source(self._wanted.source, self._site.access, access, self._work, files)
        for _round in range(_ROUNDS):
            missing = self._required_of_others() - done.keys()
            if missing:
                return Waiting(frozenset(missing))
            try:
                requirements = self._requirements(self._archive, interpreter, done)
            except FleetError as fault:
                # One of an index may require what is still to be built.
                if self._firm - done.keys():
                    return Waiting(self._firm - done.keys(), fault)
                raise
            found = self._site.store.find(inputs, self._kept["sha256"], list(requirements.records)) if moving else None
            if found:
                return found
            built = self._built(builder, interpreter, self._archive, requirements)
            if isinstance(built, pathlib.Path):
                return self._keep(built, builder, interpreter, requirements)
            self._wants = built
        raise FleetError(
            f"its build backend requires something else each time it is asked: {', '.join(self._wants)}",
            where=self._where,
            remedy="List what it requires in python.build, with exact versions",
        )

    def _required_of_others(self) -> set[str]:
        """The names of other builds whose wheels this one requires."""
        asked = (*(self._archive.requires if self._archive else ()), *self._wanted.requires, *self._wants)
        return set(self._others) & required_names(asked)

    def _inputs(self) -> dict[str, t.Any]:
        """What decides what comes out, but for the versions of the build requirements."""
        environment = self._question.environment
        required = sorted(required_names(self._wanted.requires) & self._others.keys())
        others = [f"{name} @ {json.dumps(self._others[name].identity, sort_keys=True)}" for name in required]
        return {
            "source": dict(self._wanted.source.identity),
            "requires": sorted({*self._wanted.requires, *(line.text for line in self._pinned), *others}),
            "env": dict(self._wanted.variables),
            "python": ".".join(environment.python.split(".")[:2]),
            "platform": environment.platform,
        }

    def _requirements(self, archive: Archive, interpreter: Interpreter, done: Done) -> Requirements:
        environment = self._question.environment
        # They run on the builder, whose C library may be older than that of the target's hosts.
        usable = dataclasses.replace(environment, glibc=_profile(min(environment.glibc, glibc_minor(interpreter))))
        resolver = Resolver(
            usable,
            self._question.indexes,
            self._question.exclude_newer,
            self._work,
            self._site.cache / "wheels",
            self._site.cache / "uv",
            self._report,
            {name: [local_wheel(wheel)] for name, wheel in done.items()},
        )
        asked = (*archive.requires, *self._wanted.requires, *self._wants)
        moving = {self._name, EVERYTHING} & set(self._question.upgrade)
        kept = () if moving else self._kept["built_from"]["requires"]
        try:
            return resolver.resolve(self._name, asked, self._pinned, kept)
        except FleetError as error:
            raise FleetError(f"what its build requires cannot be had: {error}", where=self._where) from error

    def _built(
        self,
        builder: Builder,
        interpreter: Interpreter,
        archive: Archive,
        requirements: Requirements,
    ) -> pathlib.Path | tuple[str, ...]:
        """The wheel, or what the backend requires in addition."""
        order = Order(
            archive=archive.path,
            subdirectory=archive.subdirectory,
            backend=archive.backend,
            backend_path=archive.backend_path,
            requires=requirements.wheels,
            wanted=self._wants,
            epoch=archive.epoch,
            variables=self._wanted.variables,
        )
        self._report(f"building {self._where} with Python {interpreter.version} on {builder.name}")
        outcome = builder.build(order, interpreter, self._work)
        if outcome.wheel is not None:
            return outcome.wheel
        if outcome.wants is not None:
            return outcome.wants
        raise build_failure(self._where, self._name, str(outcome.failed), outcome.log, self._write_log(outcome.log))

    def _write_log(self, log: str) -> pathlib.Path:
        path = self._site.cache / "logs" / f"build-{self._name}-{self._question.environment.name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log, encoding="utf-8")
        return path

    def _keep(
        self, wheel: pathlib.Path, builder: Builder, interpreter: Interpreter, requirements: Requirements
    ) -> BuiltWheel:
        try:
            version = check_wheel(wheel, self._name, self._wanted.version, self._question.environment)
        except FleetError as error:
            raise FleetError(error.what, where=self._where, remedy=error.remedy) from error
        record = {
            "name": self._name,
            "version": version,
            "inputs": self._inputs(),
            "requires": list(requirements.records),
            "python": interpreter.version,
            "builder": {"name": builder.name, "machine": interpreter.machine, "libc": interpreter.libc},
        }
        built = self._site.store.keep(wheel, record)
        before = self._kept
        if before["sha256"] not in (None, built.sha256) and before["built_from"] == built.built_from:
            self._report(
                f"{self._where}: the same inputs gave other bytes than the lock has: its builds are not reproducible,"
                " and hosts get the new wheel"
            )
        return built


def _pinned(lines: c.Sequence[Line], requires: c.Sequence[str]) -> list[Line]:
    """The target's lines for what ``python.build`` says that the build requires: it is built against the same."""
    names = required_names(requires)
    return [line for line in lines if line.name in names and line.url is None]


def _profile(glibc: int) -> int:
    """The newest of uv's platforms that a glibc satisfies: manylinux_2_17, 2_28, 2_31 and up to 2_40."""
    profiles: tuple[int, ...] = (17, 28, *range(31, 41))
    return max(profile for profile in profiles if profile <= max(glibc, 17))


def built_against_others(built: c.Mapping[str, BuiltWheel], locked: c.Mapping[str, str]) -> list[FleetError]:
    """Builds against another version of a package than the target has, where that does not work.

    A library is usable with the very torch that it was compiled against, and one that was compiled against numpy 1 not
    with numpy 2 (the other way it is). locked: version by name.
    """
    faults = []
    for wheel in built.values():
        for held in wheel.built_from["requires"]:
            name, version = held["name"], held["version"]
            other = locked.get(name, version)
            if (name in TORCH_FAMILY and other != version) or (name == _NUMPY and _major(version) < _major(other)):
                what = f"was built against {name} {version}, and the target has {name} {other}"
                remedy = (
                    f'Add "{name}=={other}" to python_packages, and "{name}" to its requires in python.build; or let'
                    f" the target have {version}"
                )
                faults.append(FleetError(what, where=wheel.name, remedy=remedy))
    return faults


def _major(version: str) -> int:
    from packaging.version import Version

    return Version(version).major
