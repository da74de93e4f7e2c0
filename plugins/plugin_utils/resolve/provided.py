# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that the hosts' image brings (``python.provided``): their version is a fact, their file is nobody's.

They take part in the resolution as wheels of that version without requirements: what the image's build of a package
requires only the image knows, so a host checks that.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import PROVIDED
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Demand, Line, is_built
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.routing_index import LocalWheel

_KEY: t.Final = "python.provided"
_ENTRY: t.Final[c.Mapping[str, t.Any]] = {"source": PROVIDED, "file": None, "sha256": None, "size": None}


def demand_of_image(section: c.Mapping[str, t.Any]) -> Demand:
    """What the image brings, as lines of the spec: all of it is in the lock, whoever else asks for it."""
    return Demand(SPEC, _KEY, tuple(section["provided"]))


def provided_wheels(lines: c.Iterable[Line]) -> dict[str, list[LocalWheel]]:
    """The packages of the image as the only candidates of their names. lines: of any owner; the image's count."""
    return {line.name: [_wheel(line)] for line in lines if line.demand.file == _KEY and line.demand.owner == SPEC}


def provided_twice(
    lines: c.Sequence[Line], packages: c.Sequence[c.Mapping[str, t.Any]], builds: c.Iterable[c.Mapping[str, t.Any]]
) -> list[FleetError]:
    """Packages that the image brings, and that the spec has a file or a build of as well.

    packages and builds: the spec's ``python_packages`` and ``python.build``.
    """
    from packaging.utils import canonicalize_name

    own = {str(canonicalize_name(entry["name"])) for entry in packages if "url" in entry or is_built(entry)}
    own |= {entry["name"] for entry in builds}
    what = "is brought by the host's image, and the spec has a file or a build of it as well"
    return [
        FleetError(f"{name} {what}", where=_KEY, remedy="Keep one of the two")
        for name in sorted(own & provided_wheels(lines).keys())
    ]


def _wheel(line: Line) -> LocalWheel:
    from packaging.version import Version

    version = Version(next(iter(line.requirement.specifier)).version)
    metadata = f"Metadata-Version: 2.1\nName: {line.name}\nVersion: {version}\n".encode()
    file = f"{line.name.replace('-', '_')}-{version}-py3-none-any.whl"
    return LocalWheel(file, "0" * 64, 0, metadata, _ENTRY)
