# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uv says when it finds no solution, in the terms of a spec: who asks for what, and what to write.

uv knows lines, not nodes. Which of them matter is found by the package names that its explanation mentions.
"""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import SPEC, Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import (
    PROJECT,
    Indexes,
    without_credentials,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import canonical_name

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment

TORCH_FAMILY: t.Final = frozenset({"torch", "torchvision", "torchaudio", "triton"})
_SHOWN_LINES: t.Final = 12
_SHOWN_CHARACTERS: t.Final = 1500

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_WORD = re.compile(_NAME)
_BOUND = re.compile(rf"(?P<name>{_NAME})(?P<bound>(?:[<>=!~]=?=?[^\s,]+,?)+)")
_URL = re.compile(r"(?:https?|file)://[^\s`)]+")
_USER = re.compile(r"(?<=://)[^/\s@]*@")
_PREFIX = re.compile(r"^(?:error: |\s*cause: |\s+)", re.MULTILINE)
_OPTION_HINT = re.compile(r"hint: .*(`--|--\w|exclude-newer)")
_NO_SOLUTION = "No solution found"
_WHEEL_REMEDY = (
    "Bound it to a version that has one; or build the wheel, put it where hosts reach it, and name it in"
    ' python_packages: {{"name": "{name}", "url": "https://.../x.whl", "sha256": "..."}}; or leave it out: python.exclude'
)


class _Cause(t.NamedTuple):
    """A plain reason that uv names among others, and what helps against it."""

    what: str
    remedy: str


def explain(
    messages: str, lines: c.Sequence[Line], indexes: Indexes, environment: TargetEnvironment
) -> FleetError:
    """The error for what uv wrote. lines: everything that was asked for, overrides too."""
    text = _plain(messages)
    if _NO_SOLUTION in text:
        return _no_solution(text.replace(_NO_SOLUTION, "").partition("\n")[2], lines, indexes, environment)
    if "conflicting URLs" in text:
        return _conflict(text, lines, environment)
    if "URL dependencies must be expressed as direct" in text:
        return _url_of_a_package(text, environment)
    url = _URL.search(text)
    if url and ("fetch" in text or "download" in text or "Request failed" in text):
        return _unreachable(text, url[0], lines, indexes, environment)
    return FleetError(f"uv failed: {_shortened(text)}", where=environment.where)


def _plain(messages: str) -> str:
    """The messages without what is no error, without secrets, and with users' words for our own."""
    kept = [line for line in messages.splitlines() if line and not line.startswith(("warning: ", "Resolved "))]
    text = _USER.sub("", _PREFIX.sub("", "\n".join(kept)))
    return text.replace(f"{PROJECT} depends on", "you require").replace(f"and {PROJECT}", "and you")


def _no_solution(
    text: str, lines: c.Sequence[Line], indexes: Indexes, environment: TargetEnvironment
) -> FleetError:
    causes = [cause for finder in _FINDERS for cause in finder(text, indexes, environment)]
    if not causes:
        return _conflict(text, lines, environment)
    what = "; ".join(cause.what for cause in causes)
    remedies = dict.fromkeys(cause.remedy for cause in causes)
    return FleetError(
        f"{what}{_wanted_by(_concerned(text, lines))}\nuv: {_shortened(text)}",
        where=environment.where,
        remedy=". ".join(remedies),
    )


def _missing(text: str, indexes: Indexes, _environment: TargetEnvironment) -> c.Iterator[_Cause]:
    for match in re.finditer(rf"(?P<name>{_NAME}) was not found in the package registry", text):
        name = match["name"]
        refused = re.search(r"An index URL \(.*?\) (?P<why>could not be queried[^\n]*)", text)
        if refused:
            remedy = "Give its user name and password in comfy_python_indexes, from a vault, or in ~/.netrc"
            yield _Cause(f"the index {indexes.shown(indexes.of(name))} {refused['why']}", remedy)
        else:
            what = f"the index {indexes.shown(indexes.of(name))} has no package {name}"
            yield _Cause(what, "Check the spelling, or name in python.indexes the index that has it")


def _without_version(text: str, _indexes: Indexes, _environment: TargetEnvironment) -> c.Iterator[_Cause]:
    for match in re.finditer(rf"there (?:is no version|are no versions) of (?P<name>{_NAME})(?P<bound>\S*)", text):
        name = match["name"]
        if f"`{name}` was filtered by `exclude-newer`" in text:
            remedy = "Set python.exclude_newer to a later time, or ask for an older version"
            yield _Cause(f"no version of {name} was uploaded before python.exclude_newer", remedy)
        else:
            yield _Cause(f"there is no version {name}{match['bound']}", "Ask for a version that exists")


def _without_wheel(text: str, _indexes: Indexes, environment: TargetEnvironment) -> c.Iterator[_Cause]:
    for name in dict.fromkeys(re.findall(r"Wheels are required for `([^`]+)`", text)):
        what = f"{name} is published as source alone, and no code of others runs while locking"
        yield _Cause(what, _WHEEL_REMEDY.format(name=name))
    pattern = rf"(?P<name>{_NAME})(?P<version>==\S+)? has no wheels with a matching (?P<kind>.+? tag)"
    for match in re.finditer(pattern, text):
        name = match["name"]
        there = re.search(rf"`{re.escape(name)}` (?:\(.*?\) )?(?:on|with) the following [^:]*: (?P<tags>[^\n]*)", text)
        tags = f"; its wheels are for {there['tags'].replace('`', '')}" if there else ""
        what = f"{name}{match['version'] or ''} has no wheel for Python {environment.python} on {environment.platform}"
        yield _Cause(f"{what}{tags}", _WHEEL_REMEDY.format(name=name))


def _other_python(text: str, _indexes: Indexes, environment: TargetEnvironment) -> c.Iterator[_Cause]:
    pattern = rf"(?P<package>{_NAME}(?:==\S+|[<>]\S+)?) depends on Python(?P<bound>[<>=!~][^\s]*?),? (?:we|and)"
    for match in re.finditer(pattern, text):
        what = f"{match['package']} wants Python {match['bound']}, and the target has {environment.python}"
        yield _Cause(what, "Set python.version, or ask for a version of the package that fits")


def _yanked(text: str, _indexes: Indexes, _environment: TargetEnvironment) -> c.Iterator[_Cause]:
    for match in re.finditer(rf"(?P<package>{_NAME}(?:==\S+)?) was yanked(?: \(reason: (?P<reason>[^)]*)\))?", text):
        reason = f": {match['reason']}" if match["reason"] else ""
        what = f"{match['package']} was taken back (yanked) by its authors{reason}"
        yield _Cause(what, "Ask for another version; or pin exactly this one in python_packages, if it has to be")


_FINDERS = (_missing, _without_version, _without_wheel, _other_python, _yanked)


def _conflict(text: str, lines: c.Sequence[Line], environment: TargetEnvironment) -> FleetError:
    concerned = _concerned(text, lines)
    return FleetError(
        f"the requirements contradict each other{_wanted_by(concerned)}\nuv: {_shortened(text)}",
        where=environment.where,
        remedy=_conflict_remedy(text, concerned),
    )


def _concerned(text: str, lines: c.Sequence[Line]) -> list[Line]:
    """The lines that name what uv mentions; without those that would take any version, where another is choosy."""
    names = {canonical_name(word) for word in _WORD.findall(_URL.sub("", text))}
    mentioned = [line for line in lines if line.name in names]
    choosy = {line.name for line in mentioned if _is_choosy(line)}
    return [line for line in mentioned if line.name not in choosy or _is_choosy(line)]


def _is_choosy(line: Line) -> bool:
    return bool(line.requirement.specifier or line.url)


def _wanted_by(lines: c.Iterable[Line]) -> str:
    return "".join(f"\n  {line}" for line in lines)


def _conflict_remedy(text: str, concerned: c.Sequence[Line]) -> str:
    """What to write: lines of one's own for the nodes that take part, or one bound for everybody."""
    name = _disputed(text, concerned)
    owners = dict.fromkeys(line.demand.owner for line in concerned if line.demand.owner.startswith("node:"))
    ways = []
    if owners:
        nodes = " or ".join(owner.removeprefix("node:") for owner in owners)
        ways.append(f"give node {nodes} lines of its own in custom_nodes[].requirements")
    if any(line.demand.owner == SPEC for line in concerned):
        ways.append("change the entry of python_packages")
    if name and name not in TORCH_FAMILY:
        ways.append(f'say what counts for all: "python": {{"overrides": ["{_proposed(name, text, concerned)}"]}}')
    text = "; or ".join(ways) or "change one of these requirements"
    return f"{text[0].upper()}{text[1:]}"


def _disputed(text: str, concerned: c.Sequence[Line]) -> str | None:
    """The package that is wanted in two ways."""
    bounds: dict[str, set[str]] = {}
    for match in _BOUND.finditer(text):
        bounds.setdefault(canonical_name(match["name"]), set()).add(match["bound"].rstrip(",."))
    for line in concerned:
        if str(line.requirement.specifier):
            bounds.setdefault(line.name, set()).add(str(line.requirement.specifier))
    ordered = sorted(bounds, key=lambda name: (-len(bounds[name]), name))
    return ordered[0] if ordered else None


def _proposed(name: str, text: str, concerned: c.Sequence[Line]) -> str:
    """A bound on the disputed package: the spec's own if it has one, else the last line's, else one of uv's."""
    own = [line for line in concerned if line.name == name and line.requirement.specifier]
    own.sort(key=lambda line: line.demand.owner == SPEC)
    if own:
        return f"{name}{own[-1].requirement.specifier}"
    match = next((match for match in _BOUND.finditer(text) if canonical_name(match["name"]) == name), None)
    return f"{name}{match['bound'].rstrip(',.')}" if match else f"{name}==<version>"


def _url_of_a_package(text: str, environment: TargetEnvironment) -> FleetError:
    owner = re.search(r"for package `([^`]+)`", text)
    name = re.search(rf"Package `({_NAME})`", text)
    package = name[1] if name else "a package"
    return FleetError(
        f"{owner[1] if owner else 'a package'} wants {package} from a URL, which only a spec may name",
        where=environment.where,
        remedy=f'If it is to be: {{"name": "{package}", "url": "...", "sha256": "..."}} in python_packages; else '
        f"leave it out with python.exclude, or ask for another version",
    )


def _unreachable(
    text: str, url: str, lines: c.Sequence[Line], indexes: Indexes, environment: TargetEnvironment
) -> FleetError:
    reason = text.rstrip().splitlines()[-1].rstrip(".")
    name = indexes.name_of(url.rstrip("/"))
    if name:
        return FleetError(
            f"the index {indexes.shown(name)} cannot be reached: {reason}",
            where=environment.where,
            remedy=f'Check its address, or say where it is reached from here: comfy_python_indexes {{"{name}": "..."}}',
        )
    asking = [line for line in lines if line.url and without_credentials(line.url) in text]
    return FleetError(
        f"{without_credentials(url)} cannot be had: {reason}{_wanted_by(asking)}",
        where=environment.where,
        remedy="Check the URL, and that this machine reaches its host",
    )


def _shortened(text: str) -> str:
    """uv's words without its own options, which users do not give; the middle is left out where they are many."""
    rows = [row for row in text.strip().splitlines() if not _OPTION_HINT.match(row)]
    if len(rows) > _SHOWN_LINES:
        half = _SHOWN_LINES // 2
        rows = [*rows[:half], f"... ({len(rows) - 2 * half} lines left out)", *rows[-half:]]
    joined = "\n".join(rows)
    if len(joined) <= _SHOWN_CHARACTERS:
        return joined
    half = _SHOWN_CHARACTERS // 2
    return f"{joined[:half]} ... {joined[-half:]}"
