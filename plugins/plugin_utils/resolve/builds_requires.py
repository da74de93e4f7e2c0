# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build environment holds: the lines that a build asks for, resolved for the target to wheels with hashes."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import FLEET
from ansible_collections.comfyops.fleet.plugins.module_utils.wheels.build import Requirement
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import wheels
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import download
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Demand, Line, lines_for
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import Indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.routing_index import LocalWheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question, resolve

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_output import Wheel

Record = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Requirements:
    """The wheels of a build environment; ``records`` are they as the lock has them, by name."""

    wheels: tuple[Requirement, ...]
    records: tuple[Record, ...]


@dataclasses.dataclass(frozen=True)
class Resolver:
    """Resolves what builds for one target require. files: where wheels are kept. cache: uv's.

    local: wheels of other builds, by canonical name.
    """

    environment: TargetEnvironment
    indexes: Indexes
    exclude_newer: str | None
    work: pathlib.Path
    files: pathlib.Path
    cache: pathlib.Path
    report: c.Callable[[str], None]
    local: c.Mapping[str, c.Sequence[LocalWheel]] = dataclasses.field(default_factory=dict)

    def resolve(
        self, name: str, asked: c.Sequence[str], pinned: c.Sequence[Line], kept: c.Sequence[Record]
    ) -> Requirements:
        """The wheels that meet the lines ``asked`` for the build of ``name``.

        pinned: lines of the target for packages that are to be the same here. kept: what an earlier build held, which
        stays where it fits. Raises FleetError, or Failures.
        """
        demand = Demand(f"build:{name}", None, tuple(asked))
        lines, faults = lines_for(self.environment, [demand], frozenset())
        if faults:
            raise faults[0]
        if not lines:
            return Requirements((), ())
        question = Question(
            environment=self.environment,
            lines=[*lines, *(dataclasses.replace(line, demand=demand) for line in pinned)],
            indexes=self.indexes,
            overrides=(),
            excluded=frozenset(),
            exclude_newer=self.exclude_newer,
            kept={entry["name"]: entry["version"] for entry in kept},
            upgrade=frozenset(),
            local=self.local,
        )
        with tempfile.TemporaryDirectory(prefix="requires.", dir=self.work) as directory:
            found = resolve(question, directory=pathlib.Path(directory), cache=self.cache, report=self.report)
        needed = [package for package in found if set(package.required_by) != {FLEET}]
        return self._fetched(needed, {entry["file"]: entry["sha256"] for entry in kept})

    def _fetched(self, found: c.Sequence[Found], kept: c.Mapping[str, str]) -> Requirements:
        tags = self.environment.wheel_tags()
        requirements, records = [], []
        for package in found:
            offered = wheels.fitting(package.wheels, tags)
            if not offered:
                raise FleetError(
                    f"{package.name} {package.version} has no wheel that fits",
                    where=self.environment.where,
                    remedy=f"Bound it to a version with one in the entry's requires: python.build, {package.name}<...",
                )
            wheel = next((each for each in offered if each.file in kept), offered[0])
            path, sha256 = self._file(wheel)
            requirements.append(Requirement(package.name, sha256, path))
            records.append({"name": package.name, "version": package.version, "file": wheel.file, "sha256": sha256})
        return Requirements(tuple(requirements), tuple(records))

    def _file(self, wheel: Wheel) -> tuple[pathlib.Path, str]:
        url = wheel.url if "://" in wheel.url else pathlib.Path(wheel.url).absolute().as_uri()
        return download(url, wheel.sha256, self.indexes.access, self.files)
