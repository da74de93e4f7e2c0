# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels that are named by URL and whose tags are those of another Python or platform, said before anything is asked.

Source: the PyPA specification "Platform compatibility tags" (PEP 425, 600, 703).
"""

from __future__ import annotations

import collections.abc as c
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import PROFILES

if t.TYPE_CHECKING:
    from packaging.tags import Tag

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment

_MANYLINUX = re.compile(r"manylinux_2_(?P<minor>\d+)_(?P<machine>.+)")
_CPYTHON = re.compile(r"cp3(?P<minor>\d+)")


def tag_faults(lines: c.Iterable[Line], environment: TargetEnvironment) -> list[FleetError]:
    """One fault for each wheel that a line names by its URL and that does not fit the target."""
    wheels = [line for line in lines if line.url is not None and not line.needs_build]
    return [_fault(line, environment) for line in wheels if not fits_tags(line, environment)]


def wheel_of(line: Line) -> str:
    """The name of the file that a line names by its URL."""
    return urllib.parse.unquote(urllib.parse.urlsplit(str(line.url)).path.rpartition("/")[2])


def fits_tags(line: Line, environment: TargetEnvironment) -> bool:
    """Whether the wheel that a line names is for the target; true of what is no wheel's name: its reader says that."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return bool(parse_wheel_filename(wheel_of(line))[3] & set(environment.wheel_tags()))
    except InvalidWheelFilename:
        return True


def _fault(line: Line, environment: TargetEnvironment) -> FleetError:
    from packaging.utils import parse_wheel_filename

    file, ours = wheel_of(line), environment.wheel_tags()
    tags = parse_wheel_filename(file)[3]
    # A file for another platform may have several: what comes next to the target counts.
    pythons = {(tag.interpreter, tag.abi) for tag in ours}
    fitting = [tag for tag in tags if (tag.interpreter, tag.abi) in pythons]
    reasons, ways = [], []
    if not fitting:
        reasons.append(f"is for {_pythons(tags)}, and the target has CPython {environment.python}")
        ways += [*_other_python(tags), "name the file for this Python"]
    if not {tag.platform for tag in tags} & {tag.platform for tag in ours}:
        reason, way = _platform(tags, environment)
        reasons.append(reason)
        ways.append(way)
    sentence = ", or ".join(ways)
    return FleetError(
        f"{file} {'; it '.join(reasons)}\n  {line.demand.label}: {line.name}",
        where=environment.where,
        remedy=f"{sentence[0].upper()}{sentence[1:]}",
    )


def _pythons(tags: c.Iterable[Tag]) -> str:
    return " or ".join(sorted({_python(tag) for tag in tags}))


def _python(tag: Tag) -> str:
    match = _CPYTHON.fullmatch(tag.interpreter)
    if match is None:
        return f"{tag.interpreter}-{tag.abi}"
    name = f"CPython 3.{match['minor']}"
    if tag.abi == "abi3":
        return f"{name} or newer (abi3)"
    return f"the free-threaded build of {name} ({tag.abi})" if tag.abi.endswith("t") else name


def _other_python(tags: c.Iterable[Tag]) -> list[str]:
    """The Python to take instead, where it is one that a target may have."""
    minors = {
        match["minor"]
        for tag in tags
        if not tag.abi.endswith("t") and (match := _CPYTHON.fullmatch(tag.interpreter)) is not None
    }
    return [f'take that Python ("version": "3.{minor}" of the target)' for minor in sorted(minors, key=int)[-1:]]


def _platform(tags: c.Iterable[Tag], environment: TargetEnvironment) -> tuple[str, str]:
    platforms = sorted({tag.platform for tag in tags})
    found = [match for match in map(_MANYLINUX.fullmatch, platforms) if match]
    needed = min((int(match["minor"]) for match in found if match["machine"] == environment.machine), default=None)
    if needed is None:
        what = f"is for {', '.join(platforms)}, and the target is {environment.platform}"
        return what, f"name the file for Linux on {environment.machine}"
    what = f"needs glibc 2.{needed}, and the target {environment.platform} counts on 2.{environment.glibc}"
    profile = next((minor for minor in PROFILES if minor >= needed), None)
    if profile is None:
        return what, "name a file for an older glibc"
    platform = f"{environment.machine}-manylinux_2_{profile}"
    return what, f'say that all hosts of the target have it ("platform": "{platform}"), or name a file for an older one'
