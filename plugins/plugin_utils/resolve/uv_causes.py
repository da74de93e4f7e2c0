# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain reasons among those that uv gives for finding no solution: a package, version or file that is not there."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import Indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.provider_groups import GROUPS
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import canonical_name

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment

NAME: t.Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
URL: t.Final = re.compile(r"(?:https?|file)://[^\s`)]+")
_WORD = re.compile(NAME)
_SOURCE_ALONE = re.compile(
    rf"all versions of ({NAME}) have no usable wheels"
    rf"|({NAME})(==\S+) has no usable wheels and only \2\3 is available"
)
_SHOWN_CAUSES: t.Final = 4
# uv knows platforms of glibc 2.28, and of 2.31 and newer.
_NEXT_PLATFORM: t.Final = 31
_A_WHEEL: t.Final = (
    'name a wheel of it in python_packages: {{"name": "{name}", "url": "https://.../x.whl", "sha256": "..."}}'
)
_WHEEL_REMEDY: t.Final = f"Bound it to a version that has one; or {_A_WHEEL}; or leave it out: python.exclude"
_SOURCE_REMEDY: t.Final = (
    'Let it be built once: "python": {{"build": ["{name}"]}}; or bound it to a version that has a wheel;'
    f" or {_A_WHEEL}; or leave it out: python.exclude"
)


@dataclasses.dataclass(frozen=True)
class Failure:
    """What uv said (without its decoration) and what it was asked. lines: everything asked for, overrides too."""

    text: str
    lines: c.Sequence[Line]
    indexes: Indexes
    environment: TargetEnvironment

    def concerned(self) -> list[Line]:
        """The lines that name what uv mentions; without those that would take any version, where another is choosy."""
        names = {canonical_name(word) for word in _WORD.findall(URL.sub("", self.text))}
        mentioned = [line for line in self.lines if line.name in names]
        choosy = {line.name for line in mentioned if line.is_choosy}
        return [line for line in mentioned if line.name not in choosy or line.is_choosy]

    def naming_file(self) -> list[Line]:
        """The lines whose file uv mentions."""
        return [line for line in self.lines if line.url and _file(line.url) in self.text]

    def index_of(self, package: str) -> str:
        """The index that a package comes from, for messages."""
        return self.indexes.shown(self.indexes.of(package))


class Cause(t.NamedTuple):
    """A plain reason, and what helps against it. is_source: the package is there, and has to be built."""

    what: str
    remedy: str
    is_source: bool = False


def find_causes(failure: Failure) -> list[Cause]:
    """The plain reasons, the first few of them; none when requirements only contradict each other."""
    found = dict.fromkeys(cause for finder in _FINDERS for cause in finder(failure))
    return list(found)[:_SHOWN_CAUSES]


def _missing(failure: Failure) -> c.Iterator[Cause]:
    refused = re.search(
        r"An index (?:URL )?\(.*?\) (?P<why>could not be queried[^\n]*|returned a 4.. [^.\n]*)", failure.text
    )
    for match in re.finditer(rf"(?P<name>{NAME}) was not found in the package registry", failure.text):
        name = match["name"]
        if refused:
            remedy = "Give its user name and password in comfy_python_indexes, from a vault, or in ~/.netrc"
            yield Cause(f"the index {failure.index_of(name)} {refused['why']}", remedy)
            continue
        asked = failure.indexes.of(name)
        other = failure.indexes.bound.get(name, "<name>")
        entry = f'{{"requirement": "{name}", "index": "{other}"}}'
        remedy = (
            f"Check the spelling, or let it come from elsewhere: python.indexes or python_packages bind it to {asked}"
            if asked == other
            else f"Check the spelling, or ask for it where it is: {entry} in python_packages"
        )
        yield Cause(f"the index {failure.indexes.shown(asked)} has no package {name}", remedy)


def _without_version(failure: Failure) -> c.Iterator[Cause]:
    pattern = rf"there (?:is no version|are no versions) of (?P<name>{NAME})(?:\[[^\]]*\])?(?P<bound>\S*)"
    for match in re.finditer(pattern, failure.text):
        name = match["name"]
        if f"`{name}` was filtered by `exclude-newer`" in failure.text:
            remedy = "Set python.exclude_newer to a later time, or ask for an older version"
            yield Cause(f"no version of {name} was uploaded before python.exclude_newer", remedy)
        elif match["bound"]:
            yield Cause(f"there is no version {name}{match['bound']}", "Ask for a version that exists")
        else:
            remedy = "Look at that page: a log-in page or an empty mirror in its place reads the same"
            yield Cause(f"the index {failure.index_of(name)} lists no file of {name}", remedy)


def _outside_of_all_versions(failure: Failure) -> c.Iterator[Cause]:
    from packaging.version import InvalidVersion, Version

    pattern = (
        rf"only (?P<name>{NAME})(?P<there>[<>=]+(?P<version>[^\s,]+)) is available"
        rf" and (?:you require (?P=name)|.*? depends? on (?P=name))(?P<bound>[<>=!~][^\s]*)"
    )
    for match in re.finditer(pattern, failure.text):
        name = match["name"]
        if any(line.name == name and line.url for line in failure.lines):
            continue
        what = f"there is no version {name}{match['bound'].rstrip(',.')}: "
        what += f"the index {failure.index_of(name)} has {name}{match['there']}"
        try:
            is_prerelease = Version(match["version"]).is_prerelease
        except InvalidVersion:
            is_prerelease = False
        remedy = f"Name the pre-release itself: {name}>={match['version']}" if is_prerelease else ""
        yield Cause(what, remedy or "Ask for a version that exists")


def _without_wheel(failure: Failure) -> c.Iterator[Cause]:
    text, environment = failure.text, failure.environment
    target = f"for Python {environment.python} on {environment.platform}"
    alone = sorted({match[1] or match[2] for match in _SOURCE_ALONE.finditer(text)})
    for name in alone:
        what = f"{name} is published as source alone, and no code of others runs while locking"
        yield Cause(what, _for_source(name), is_source=True)
    for match in re.finditer(rf"(?P<name>{NAME})(?P<version>==\S+) has no usable wheels", text):
        what = f"{match['name']}{match['version']} has no wheel {target}, only its source, and no code of others runs"
        if match["name"] not in alone:
            yield Cause(f"{what} while locking", _for_source(match["name"]), is_source=True)
    pattern = rf"(?P<name>{NAME})(?P<version>==\S+)? has no wheels with a matching .+? tag"
    for match in re.finditer(pattern, text):
        name = match["name"]
        there = re.search(rf"`{re.escape(name)}` (?:\(.*?\) )?(?:on|with) the following [^:]*: (?P<tags>[^\n]*)", text)
        tags = there["tags"].replace("`", "") if there else ""
        what = f"{name}{match['version'] or ''} has no wheel {target}{f'; its wheels are for {tags}' if tags else ''}"
        remedy, other = _WHEEL_REMEDY.format(name=name), _other_target(tags, environment)
        yield Cause(what, f"{other}; or {remedy[0].lower()}{remedy[1:]}" if other else remedy)


def _for_source(name: str) -> str:
    """What to do about a package without wheels: another one that fills the same module may have some."""
    remedy = _SOURCE_REMEDY.format(name=name)
    for group in GROUPS:
        others = [other for other in group.members if other != name]
        if name in group.members:
            entry = json.dumps({group.module: others[0]})
            more = f" (or {', '.join(others[1:3])})" if others[1:] else ""
            other = f"Take what fills {group.module} too: python.providers {entry}{more}"
            return f"{other}; or {remedy[0].lower()}{remedy[1:]}"
    return remedy


def _other_target(tags: str, environment: TargetEnvironment) -> str | None:
    """How a target would fit the tags of wheels: an older Python, or a newer glibc."""
    older = [int(minor) for minor in re.findall(r"\bcp3(\d+)\b", tags)]
    older = [minor for minor in older if minor < int(environment.python.split(".")[1])]
    if older:
        return f"Set python.version to 3.{max(older)}"
    newer = [int(minor) for minor in re.findall(rf"manylinux_2_(\d+)_{environment.machine}", tags)]
    newer = [minor for minor in newer if minor > environment.glibc]
    if newer:
        glibc = max(min(newer), _NEXT_PLATFORM)
        platform = f"python.targets.{environment.name}.platform to {environment.machine}-manylinux_2_{glibc}"
        return f"Set {platform}, if all its hosts have glibc 2.{glibc}"
    return None


def _for_another_python(failure: Failure) -> c.Iterator[Cause]:
    pattern = rf"(?P<package>{NAME}(?:[<>=]=?\S+)?) depends on Python(?P<bound>[<>=!~]\S*?),? (?:we|and)"
    for match in re.finditer(pattern, failure.text):
        what = f"{match['package']} wants Python {match['bound']}, and the target has {failure.environment.python}"
        yield Cause(what, "Set python.version, or ask for a version of the package that fits")


def _yanked(failure: Failure) -> c.Iterator[Cause]:
    pattern = rf"(?P<package>{NAME}(?:==\S+)?) was yanked(?: \(reason: (?P<reason>[^)]*)\))?"
    for match in re.finditer(pattern, failure.text):
        reason = f": {match['reason']}" if match["reason"] else ""
        what = f"{match['package']} was taken back (yanked) by its authors{reason}"
        yield Cause(what, "Ask for another version; or pin exactly this one in python_packages, if it has to be")


def _broken(failure: Failure) -> c.Iterator[Cause]:
    pattern = rf"(?P<name>{NAME})(?P<version>==\S+)? has (?P<kind>an invalid package format|invalid metadata)"
    for match in re.finditer(pattern, failure.text):
        name, version = match["name"], match["version"] or ""
        what = f"{name}{version} of the index {failure.index_of(name)} has {match['kind']}"
        yield Cause(what, "Ask for another version, or name a wheel of it in python_packages")


_FINDERS: t.Final = (
    _missing,
    _without_version,
    _outside_of_all_versions,
    _without_wheel,
    _for_another_python,
    _yanked,
    _broken,
)


def _file(url: str) -> str:
    return urllib.parse.unquote(url.rpartition("/")[2])
