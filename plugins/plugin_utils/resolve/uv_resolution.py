# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One joint resolution by ``uv pip compile``: what it is asked, and its two answers brought together.

uv is asked twice, as no one format of its says everything: the annotated list has who asked and from which index, the
lock of PEP 751 has the files. The second run is bound to the first one's versions, and both have to agree.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import re
import sys
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import FLEET, PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_credentials import netrc_for_uv
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import LOCAL, Indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.routing_index import LocalWheel, RoutingIndex
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import Outcome, run_uv
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import explain
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_output import (
    Listed,
    Pinned,
    Wheel,
    day_of,
    read_list,
    read_pylock,
)

EVERYTHING: t.Final = "all"
# Every environment holds pip.
ALWAYS: t.Final = "pip"

_LIST = "resolution.txt"
_LOCK = "pylock.toml"
_NEWEST = "newest.txt"
_MOVED = "moved.txt"
_ALWAYS = "always.txt"
_OVERRIDES = "overrides.txt"
_EXCLUDES = "excludes.txt"
_CONSTRAINTS = "constraints.txt"
_PINS = "pins.txt"
_NOTES = re.compile(r"warning: (?P<note>.*(?:is yanked|does not have an extra named).*)")


@dataclasses.dataclass(frozen=True)
class Question:
    """What is to be resolved. lines and overrides count on the target; excluded are canonical names.

    kept: versions by name that stay where they still fit, but for those in upgrade (or ``all``), which may name other
    things than packages as well. exclude_newer: a day (its beginning in UTC) or a time with its zone. local: wheels
    that no index has, by canonical name: nothing else is a candidate for that package. constraints: lines of our own
    that bind packages which others ask for, and ask for none.
    """

    environment: TargetEnvironment
    lines: c.Sequence[Line]
    indexes: Indexes
    overrides: c.Sequence[Line]
    excluded: c.Collection[str]
    exclude_newer: str | None
    kept: c.Mapping[str, str]
    upgrade: c.Collection[str]
    local: c.Mapping[str, c.Sequence[LocalWheel]] = dataclasses.field(default_factory=dict)
    constraints: c.Sequence[Line] = ()

    def owners(self) -> dict[str, str]:
        """The files that uv reads, with who owns them."""
        owners = dict.fromkeys(line.demand.owner for line in self.lines)
        return {**{f"demand-{number}.txt": owner for number, owner in enumerate(owners)}, _ALWAYS: FLEET}


@dataclasses.dataclass(frozen=True)
class Found:
    """A package of the answer. required_by: owners and ``package:<name>``.

    index: the name of the index that gave it, LOCAL for a wheel that none has, None for one that is named by its URL.
    index_url: where uv found its default index, None for what is from elsewhere.
    """

    name: str
    version: str
    required_by: tuple[str, ...]
    index: str | None
    index_url: str | None
    wheels: tuple[Wheel, ...]


def resolve(
    question: Question, *, directory: pathlib.Path, cache: pathlib.Path, report: c.Callable[[str], None]
) -> list[Found]:
    """The packages that meet ``question``, by name. directory: an empty one of ours. cache: uv's.

    Raises NoSolution, which says who asks for what, when there are none; Failures when indexes cannot be read.
    """
    with RoutingIndex(question.indexes, question.local, cache.parent) as routing:
        run = _Run(question, routing, directory, cache)
        messages = run.write_list()
        listed = read_list((directory / _LIST).read_text(encoding="utf-8"))
        run.write_lock(listed)
    pinned = read_pylock((directory / _LOCK).read_text(encoding="utf-8"))
    for note in _NOTES.finditer(messages):
        report(f"{question.environment.where}: {note['note']}")
    undated = sorted(routing.undated & set(pinned))
    if undated and question.exclude_newer:
        what = f"python.exclude_newer is not applied to {', '.join(undated)}, as their index gives no dates"
        report(f"{question.environment.where}: {what}: pin them in python_packages")
    return _merged(question, listed, pinned, routing)


def list_packages(
    question: Question, *, directory: pathlib.Path, cache: pathlib.Path, with_needs: bool = True
) -> dict[str, Listed]:
    """The packages that meet ``question``, by name, without their files: one run of uv instead of two.

    with_needs: also what packages need themselves; else only what the lines name. Raises as ``resolve`` does.
    """
    with RoutingIndex(question.indexes, question.local, cache.parent) as routing:
        _Run(question, routing, directory, cache).write_list(*(() if with_needs else ("--no-deps",)))
    return read_list((directory / _LIST).read_text(encoding="utf-8"))


class _Run:
    """uv, asked twice about one question."""

    def __init__(self, question: Question, routing: RoutingIndex, directory: pathlib.Path, cache: pathlib.Path) -> None:
        self._question = question
        self._routing = routing
        self._directory = directory
        self._cache = cache
        self._arguments = [*_common_arguments(question), *_write_inputs(question, directory)]

    def write_list(self, *arguments: str) -> str:
        """Write the annotated list; give what uv said. arguments: further ones for uv."""
        kept, moving = self._question.kept, self._question.upgrade
        if EVERYTHING not in moving:
            moved = kept.keys() & set(moving)
            arguments += tuple(self._constraints_for(moved)) if moved else ()
            _write_lines(self._directory / _LIST, [f"{name}=={kept[name]}" for name in kept if name not in moved])
        return self._succeeded("--emit-index-annotation", *arguments, "--output-file", _LIST)

    def _constraints_for(self, moved: c.Collection[str]) -> list[str]:
        """Arguments that move packages to what they have where all may move.

        Without, uv would rather keep a package that is to move than move another one that it needs.
        """
        outcome = self._uv("--output-file", _NEWEST)
        if not outcome.succeeded:
            return []
        listed = read_list((self._directory / _NEWEST).read_text(encoding="utf-8"))
        pins = [f"{name}=={listed[name].version}" for name in sorted(moved) if name in listed and listed[name].version]
        _write_lines(self._directory / _MOVED, pins)
        return ["--constraints", _MOVED]

    def write_lock(self, listed: c.Mapping[str, Listed]) -> None:
        """Write the lock of PEP 751, of the versions of the list."""
        pins = [f"{package.name}=={package.version}" for package in listed.values() if package.version]
        _write_lines(self._directory / _PINS, pins)
        self._succeeded("--constraints", _PINS, "--format", "pylock.toml", "--output-file", _LOCK)

    def _succeeded(self, *arguments: str) -> str:
        """What uv said."""
        outcome = self._uv(*arguments)
        if not outcome.succeeded:
            raise self._explained(outcome.messages)
        return outcome.messages

    def _uv(self, *arguments: str) -> Outcome:
        default = self._question.indexes.reached[DEFAULT_INDEX]
        outcome = run_uv(
            [*self._arguments, *arguments],
            directory=self._directory,
            cache=self._cache,
            settings={"UV_INDEX": self._routing.url, **({"UV_DEFAULT_INDEX": default} if default else {})},
            netrc=netrc_for_uv(self._question.indexes.access, default),
        )
        self._raise_faults()
        return outcome

    def _raise_faults(self) -> None:
        """What could not be looked up may have changed the answer, whatever uv made of it."""
        faults = {str(fault): fault for fault in self._routing.faults}
        where = self._question.environment.where
        raise_all([FleetError(f.what, where=f.where or where, remedy=f.remedy) for f in faults.values()])

    def _explained(self, messages: str) -> FleetError:
        question = self._question
        for name in self._routing.missing:
            empty = rf"there (?:is no version|are no versions) of {re.escape(name)}(?![\w.-])(?:\[[^\]]*\])?\S*"
            messages = re.sub(empty, f"{name} was not found in the package registry", messages)
        lines = [*question.lines, *question.overrides, *question.constraints]
        return explain(messages, lines, question.indexes.with_local(question.local), question.environment)


def _common_arguments(question: Question) -> list[str]:
    environment = question.environment
    arguments = ["pip", "compile", "--no-header", "--annotation-style", "split"]
    # The interpreter that runs this is as good as any: its version and platform are replaced, and it builds nothing.
    arguments += ["--python", sys.executable, "--no-python-downloads", "--only-binary", ":all:"]
    arguments += ["--python-version", environment.python, "--python-platform", environment.platform]
    if question.exclude_newer:
        time = question.exclude_newer
        arguments += ["--exclude-newer", time if "T" in time else f"{time}T00:00:00Z"]
    return arguments


def _write_inputs(question: Question, directory: pathlib.Path) -> list[str]:
    """Write what uv reads, and give the arguments that name it."""
    arguments = []
    for file, owner in question.owners().items():
        texts = [line.text for line in question.lines if line.demand.owner == owner]
        _write_lines(directory / file, texts if owner != FLEET else [ALWAYS])
        arguments.append(file)
    if question.overrides:
        _write_lines(directory / _OVERRIDES, [line.text for line in question.overrides])
        arguments += ["--overrides", _OVERRIDES]
    if question.constraints:
        _write_lines(directory / _CONSTRAINTS, [line.text for line in question.constraints])
        arguments += ["--constraints", _CONSTRAINTS]
    if question.excluded:
        _write_lines(directory / _EXCLUDES, sorted(question.excluded))
        arguments += ["--excludes", _EXCLUDES]
    return arguments


def _write_lines(path: pathlib.Path, lines: c.Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _merged(
    question: Question, listed: c.Mapping[str, Listed], pinned: c.Mapping[str, Pinned], routing: RoutingIndex
) -> list[Found]:
    differences = sorted(
        name
        for name in {*listed, *pinned}
        if name not in listed
        or name not in pinned
        or listed[name].version not in (None, pinned[name].version)
        or pinned[name].direct is not (listed[name].version is None)
    )
    if differences:
        raise FleetError(
            f"uv resolved {', '.join(differences)} in two ways within seconds: an index is changing",
            where=question.environment.where,
            remedy="Lock again",
        )
    owners = question.owners()
    return [_found(listed[name], package, owners, routing) for name, package in sorted(pinned.items())]


def _found(listed: Listed, pinned: Pinned, owners: c.Mapping[str, str], routing: RoutingIndex) -> Found:
    ours = listed.index_url is not None and listed.index_url.rstrip("/") == routing.url
    index = None if listed.index_url is None else (routing.index_of(pinned.name) if ours else DEFAULT_INDEX)
    return Found(
        name=pinned.name,
        version=pinned.version,
        required_by=tuple(sorted({_requester(words, owners) for words in listed.requesters} - {""})),
        index=index,
        index_url=None if ours else listed.index_url,
        wheels=tuple(_wheel(wheel, routing) for wheel in pinned.wheels),
    )


def _wheel(wheel: Wheel, routing: RoutingIndex) -> Wheel:
    """The file with its own address in place of ours."""
    origin = routing.origin(wheel.url)
    if origin is None:
        return wheel
    file = origin.file
    # What no index has, it has since no day.
    uploaded = None if origin.index == LOCAL else day_of(file.uploaded)
    return Wheel(file.name, file.url, file.sha256, file.size, origin.index, uploaded)


def _requester(words: str, owners: c.Mapping[str, str]) -> str:
    """Who asks, of uv's words; nobody where it is a file that only changes what others ask for."""
    option, _space, file = words.partition(" ")
    if option == "-r":
        return owners[file]
    return "" if file else f"{PACKAGE}{words}"
