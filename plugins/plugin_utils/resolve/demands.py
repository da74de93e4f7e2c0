# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for which Python packages, line by line."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import CORE, NODE, SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown

if t.TYPE_CHECKING:
    from packaging.markers import Marker
    from packaging.requirements import Requirement

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment

TORCH: t.Final = "torch"
TORCH_FAMILY: t.Final = frozenset({TORCH, "torchvision", "torchaudio", "triton"})


@dataclasses.dataclass(frozen=True)
class Demand:
    """Requirement lines (PEP 508) of one owner (``core``, ``node:<directory>``, ``spec``), and the file they are in."""

    owner: str
    file: str | None
    lines: tuple[str, ...]

    @property
    def is_of_code(self) -> bool:
        """Whether it is of ComfyUI or of a node, and not of the spec."""
        return self.owner == CORE or self.owner.startswith(NODE)

    @property
    def label(self) -> str:
        """The owner as messages name it."""
        owner = f"node {self.owner.removeprefix(NODE)}" if self.owner.startswith(NODE) else self.owner
        return f"{owner} ({self.file})" if self.file else owner


@dataclasses.dataclass(frozen=True)
class Line:
    """One requirement line that counts on the target. written: what its owner wrote, where less of it counts."""

    demand: Demand
    text: str
    requirement: Requirement
    written: str = ""

    @property
    def name(self) -> str:
        """The package's canonical name."""
        from packaging.utils import canonicalize_name

        return str(canonicalize_name(self.requirement.name))

    @property
    def url(self) -> str | None:
        """The URL without its fragment, where the line names one."""
        return self.requirement.url.partition("#")[0] if self.requirement.url else None

    @property
    def is_of_node(self) -> bool:
        """Whether a node asks for it."""
        return self.demand.owner.startswith(NODE)

    @property
    def is_choosy(self) -> bool:
        """Whether it would not take every version."""
        return bool(self.requirement.specifier or self.requirement.url)

    def bare(self) -> Line:
        """The same wish for any version: the name and the extras alone."""
        from packaging.requirements import Requirement

        extras = ",".join(sorted(self.requirement.extras))
        text = f"{self.requirement.name}[{extras}]" if extras else self.requirement.name
        return dataclasses.replace(self, text=text, requirement=Requirement(text), written=self.written or self.text)

    @property
    def needs_build(self) -> bool:
        """Whether it names a repository or a source archive, of which a wheel would have to be built first."""
        return self.url is not None and not urllib.parse.urlsplit(self.url).path.lower().endswith(".whl")

    def __str__(self) -> str:
        return f"{self.demand.label}: {self.written or self.text}"


def demand_of_spec(packages: c.Sequence[c.Mapping[str, t.Any]]) -> Demand:
    """The lines of a spec's normalized ``python_packages``; what is built is asked for by its name."""
    return Demand(SPEC, None, tuple(_line(entry) for entry in packages))


def is_built(entry: c.Mapping[str, t.Any]) -> bool:
    """Whether an entry of a spec's normalized ``python_packages`` has to be built: a repository, a source archive."""
    return "git" in entry or ("url" in entry and not urllib.parse.urlsplit(entry["url"]).path.lower().endswith(".whl"))


def _line(entry: c.Mapping[str, t.Any]) -> str:
    if "requirement" in entry:
        return str(entry["requirement"])
    if is_built(entry):
        return str(entry["name"])
    return f"{entry['name']} @ {entry['url']}#sha256={entry['sha256']}"


def lines_for(
    environment: TargetEnvironment, demands: c.Iterable[Demand], excluded: c.Collection[str]
) -> tuple[list[Line], list[FleetError]]:
    """The lines that count on the target (by their markers, and without the excluded names), and what is wrong."""
    from packaging.requirements import InvalidRequirement, Requirement

    lines: list[Line] = []
    faults: list[FleetError] = []
    markers = environment.markers()
    for demand in demands:
        for text in demand.lines:
            try:
                line = Line(demand, text, Requirement(text))
            except InvalidRequirement as error:
                reason = str(error).partition("\n")[0]
                faults.append(FleetError(f"{shown(text)} is no requirement (PEP 508): {reason}", where=demand.label))
                continue
            counts = is_met(line.requirement.marker, markers)
            if counts is None:
                faults.append(_senseless(line))
            if line.name in excluded or not counts:
                continue
            lines.append(line)
            if line.needs_build and not demand.is_of_code:
                faults.append(_needs_build(line))
    return lines, faults


def is_met(marker: Marker | None, values: c.Mapping[str, str]) -> bool | None:
    """Whether a requirement counts where its marker's variables have these values; None where it compares nonsense.

    ``python_version ~= '3'`` is a marker by its form, and means nothing.
    """
    from packaging.markers import UndefinedComparison

    try:
        return marker is None or marker.evaluate(t.cast("dict[str, str | set[str]]", values))
    except UndefinedComparison:
        return None


def _senseless(line: Line) -> FleetError:
    what = f"the marker of {shown(line.text)} compares what cannot be compared"
    remedy = "Correct it; of a node: write its lines, as they are meant, into custom_nodes[].requirements"
    return FleetError(what, where=line.demand.label, remedy=remedy)


def _needs_build(line: Line) -> FleetError:
    """A line of the spec's settings that names a repository or a source archive."""
    what = f"{shown(line.text)} needs a build, which only an entry of python_packages can ask for"
    remedy = f'Add it there: {{"name": "{line.name}", "git": "...", "commit": "..."}}, and name it here without its URL'
    return FleetError(what, where=line.demand.label, remedy=remedy)
