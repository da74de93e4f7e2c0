# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uv says when it fails, in the terms of a spec: who asks for what, and what to write.

uv knows lines, not nodes. Which of them matter is found by the package names that its explanation mentions.
"""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import SPEC, TORCH_FAMILY, Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import Indexes, without_credentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_causes import (
    NAME,
    URL,
    Failure,
    find_causes,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import canonical_name

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment

_SHOWN_LINES: t.Final = 12
_SHOWN_CHARACTERS: t.Final = 1500

_BOUND = re.compile(rf"(?P<name>{NAME})(?P<bound>(?:[<>=!~]=?=?[^\s,]+,?)+)")
_USER = re.compile(r"(?<=://)[^/\s@]*@")
_PREFIX = re.compile(r"^(?:error: |\s*cause: |\s+)", re.MULTILINE)
_OPTION_HINT = re.compile(r"hint: .*(`--|--\w|exclude-newer)")
_NO_SOLUTION = "No solution found"


def explain(messages: str, lines: c.Sequence[Line], indexes: Indexes, environment: TargetEnvironment) -> FleetError:
    """The error for what uv wrote. lines: everything that was asked for, overrides too."""
    failure = Failure(_plain(messages), lines, indexes, environment)
    text = failure.text
    if text.startswith(_NO_SOLUTION):
        return _no_solution(Failure(text.partition("\n")[2], lines, indexes, environment))
    if "conflicting URLs" in text:
        return _conflict(failure)
    if "URL dependencies must be expressed as direct" in text:
        return _url_of_a_package(failure)
    url = URL.search(text)
    if url and ("fetch" in text or "download" in text or "Request failed" in text):
        return _unreachable(failure, url[0])
    what = f"uv failed: {_shortened(text)}{_wanted_by(failure.naming_file())}"
    return FleetError(what, where=environment.where)


def _plain(messages: str) -> str:
    """The messages without what is no error, and without secrets."""
    kept = [line for line in messages.splitlines() if line and not line.startswith(("warning: ", "Resolved "))]
    return _USER.sub("", _PREFIX.sub("", "\n".join(kept)))


def _no_solution(failure: Failure) -> FleetError:
    causes = find_causes(failure)
    if not causes:
        return _conflict(failure)
    concerned = failure.concerned()
    remedies = dict.fromkeys(cause.remedy for cause in causes)
    if len({line.name for line in concerned if line.is_choosy}) < sum(line.is_choosy for line in concerned):
        # Two lines about one package: without one of them another version would do.
        remedies[_conflict_remedy(failure.text, concerned)] = None
    return FleetError(
        f"{'; '.join(cause.what for cause in causes)}{_wanted_by(concerned)}\nuv: {_shortened(failure.text)}",
        where=failure.environment.where,
        remedy=". ".join(remedies),
    )


def _conflict(failure: Failure) -> FleetError:
    concerned = failure.concerned()
    return FleetError(
        f"the requirements contradict each other{_wanted_by(concerned)}\nuv: {_shortened(failure.text)}",
        where=failure.environment.where,
        remedy=_conflict_remedy(failure.text, concerned),
    )


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
    sentence = "; or ".join(ways) or "change one of these requirements"
    return f"{sentence[0].upper()}{sentence[1:]}"


def _disputed(text: str, concerned: c.Sequence[Line]) -> str | None:
    """The package that is wanted in two ways."""
    bounds: dict[str, set[str]] = {}
    for match in _BOUND.finditer(text):
        bounds.setdefault(canonical_name(match["name"]), set()).add(match["bound"].rstrip(",."))
    for line in concerned:
        if line.requirement.specifier:
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


def _url_of_a_package(failure: Failure) -> FleetError:
    owner = re.search(r"for package `([^`]+)`", failure.text)
    name = re.search(rf"Package `({NAME})`", failure.text)
    package = name[1] if name else "a package"
    return FleetError(
        f"{owner[1] if owner else 'a package'} wants {package} from a URL, which only a spec may name",
        where=failure.environment.where,
        remedy=f'If it is to be: {{"name": "{package}", "url": "...", "sha256": "..."}} in python_packages; else '
        f"leave it out with python.exclude, or ask for another version",
    )


def _unreachable(failure: Failure, url: str) -> FleetError:
    reason = failure.text.rstrip().splitlines()[-1].rstrip(".")
    name = failure.indexes.name_of(url.rstrip("/"))
    if name:
        return FleetError(
            f"the index {failure.indexes.shown(name)} cannot be reached: {reason}",
            where=failure.environment.where,
            remedy=f'Check its address, or say where it is reached from here: comfy_python_indexes {{"{name}": "..."}}',
        )
    return FleetError(
        f"{without_credentials(url)} cannot be had: {reason}{_wanted_by(failure.naming_file())}",
        where=failure.environment.where,
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
