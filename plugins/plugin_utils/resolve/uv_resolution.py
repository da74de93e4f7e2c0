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

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import FLEET, Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import DEFAULT, Indexes, project_file
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import run_uv
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_failure import explain
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_output import (
    Listed,
    Pinned,
    Wheel,
    read_list,
    read_pylock,
)

EVERYTHING: t.Final = "all"
# Every environment holds pip.
ALWAYS: t.Final = "pip"

_LIST = "resolution.txt"
_LOCK = "pylock.toml"
_ALWAYS = "always.txt"
_OVERRIDES = "overrides.txt"
_EXCLUDES = "excludes.txt"
_PINS = "pins.txt"
_LOCAL = "local.txt"
_UNDATED = re.compile(r"`(?P<file>[^`]+)` is missing an upload date")
_NOTES = re.compile(r"warning: (?P<note>.*(?:is yanked|does not have an extra named).*)")


@dataclasses.dataclass(frozen=True)
class Question:
    """What is to be resolved. lines and overrides count on the target; excluded are canonical names.

    kept: versions by name that stay where they still fit, but for those in upgrade (or ``all``), which may name other
    things than packages as well. exclude_newer: a day (its beginning in UTC) or a time with its zone. local: the file
    URL of a wheel by name, which is then the only one of that package.
    """

    environment: TargetEnvironment
    lines: c.Sequence[Line]
    indexes: Indexes
    overrides: c.Sequence[Line]
    excluded: c.Collection[str]
    exclude_newer: str | None
    kept: c.Mapping[str, str]
    upgrade: c.Collection[str]
    local: c.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def owners(self) -> dict[str, str]:
        """The files that uv reads, with who owns them."""
        owners = dict.fromkeys(line.demand.owner for line in self.lines)
        return {**{f"demand-{number}.txt": owner for number, owner in enumerate(owners)}, _ALWAYS: FLEET}


@dataclasses.dataclass(frozen=True)
class Found:
    """A package of the answer. required_by: owners and ``package:<name>``; index_url: None for one named by its URL."""

    name: str
    version: str
    required_by: tuple[str, ...]
    index_url: str | None
    wheels: tuple[Wheel, ...]


def resolve(
    question: Question, *, directory: pathlib.Path, cache: pathlib.Path, report: c.Callable[[str], None]
) -> list[Found]:
    """The packages that meet ``question``, by name. directory: an empty one of ours.

    Raises FleetError, which says who asks for what, when there are none, and when an index cannot be reached.
    """
    arguments = [*_common_arguments(question), *_write_inputs(question, directory)]
    undated, messages = _write_list(question, arguments, directory, cache)
    for note in _NOTES.finditer(messages):
        report(f"{question.environment.where}: {note['note']}")
    if undated:
        what = f"python.exclude_newer is not applied to {', '.join(sorted(undated))}, as their index gives no dates"
        report(f"{question.environment.where}: {what}: pin them in python_packages")
    listed = read_list((directory / _LIST).read_text(encoding="utf-8"))
    _write_lock(question, [*arguments, *_exemptions(undated)], listed, directory, cache)
    pinned = read_pylock((directory / _LOCK).read_text(encoding="utf-8"))
    return _merged(question, listed, pinned)


def _common_arguments(question: Question) -> list[str]:
    environment = question.environment
    arguments = ["pip", "compile", "--no-header", "--annotation-style", "split", "--emit-index-annotation"]
    # The interpreter that runs this is as good as any: its version and platform are replaced, and it builds nothing.
    arguments += ["--python", sys.executable, "--no-python-downloads", "--only-binary", ":all:"]
    arguments += ["--python-version", environment.python, "--python-platform", environment.platform]
    default = question.indexes.reached[DEFAULT]
    if default:
        arguments += ["--default-index", default]
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
    project = project_file(question.indexes, {line.name for line in question.lines})
    if project:
        (directory / "pyproject.toml").write_text(project, encoding="utf-8")
        arguments.append("pyproject.toml")
    if question.overrides:
        _write_lines(directory / _OVERRIDES, [line.text for line in question.overrides])
        arguments += ["--overrides", _OVERRIDES]
    if question.local:
        _write_lines(directory / _LOCAL, [f"{name} @ {url}" for name, url in question.local.items()])
        arguments += ["--constraints", _LOCAL]
    if question.excluded:
        _write_lines(directory / _EXCLUDES, sorted(question.excluded))
        arguments += ["--excludes", _EXCLUDES]
    return arguments


def _write_lines(path: pathlib.Path, lines: c.Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_list(
    question: Question, arguments: list[str], directory: pathlib.Path, cache: pathlib.Path
) -> tuple[set[str], str]:
    """Write the annotated list; give the packages that exclude_newer had to pass over, and what uv said.

    For uv a file without a date does not exist while exclude_newer is set, and many indexes (PyTorch's) give no dates:
    packages that the spec itself binds to such an index are exempt.
    """
    moving = sorted(name for name in question.kept if name in question.upgrade)
    upgrade = [argument for name in moving for argument in ("--upgrade-package", name)]
    upgrade = ["--upgrade"] if EVERYTHING in question.upgrade else upgrade
    preferred = [f"{name}=={version}" for name, version in question.kept.items() if name not in question.upgrade]
    undated: set[str] = set()
    while True:
        (directory / _LIST).unlink(missing_ok=True)
        if preferred and EVERYTHING not in question.upgrade:
            _write_lines(directory / _LIST, preferred)
        command = [*arguments, *_exemptions(undated), *upgrade, "--output-file", _LIST]
        outcome = run_uv(command, directory=directory, cache=cache)
        further = {name for name in _undated(outcome.messages) if question.indexes.of(name) != DEFAULT} - undated
        if not further:
            break
        undated |= further
    if not outcome.succeeded:
        raise explain(outcome.messages, [*question.lines, *question.overrides], question.indexes, question.environment)
    return undated, outcome.messages


def _undated(messages: str) -> set[str]:
    from packaging.utils import canonicalize_name

    return {str(canonicalize_name(match["file"].partition("-")[0])) for match in _UNDATED.finditer(messages)}


def _exemptions(undated: c.Iterable[str]) -> list[str]:
    return [argument for name in sorted(undated) for argument in ("--exclude-newer-package", f"{name}=false")]


def _write_lock(
    question: Question,
    arguments: list[str],
    listed: c.Mapping[str, Listed],
    directory: pathlib.Path,
    cache: pathlib.Path,
) -> None:
    """Write the lock of PEP 751, of the versions of the list.

    They are constraints and no preferences, which uv forgets for packages that are bound to an index.
    """
    pins = [f"{package.name}=={package.version}" for package in listed.values() if package.version]
    _write_lines(directory / _PINS, pins)
    arguments = [argument for argument in arguments if argument != "--emit-index-annotation"]
    command = [*arguments, "--constraints", _PINS, "--format", "pylock.toml", "--output-file", _LOCK]
    outcome = run_uv(command, directory=directory, cache=cache)
    if not outcome.succeeded:
        raise explain(outcome.messages, [*question.lines, *question.overrides], question.indexes, question.environment)


def _merged(question: Question, listed: c.Mapping[str, Listed], pinned: c.Mapping[str, Pinned]) -> list[Found]:
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
    return [
        Found(
            name=package.name,
            version=package.version,
            required_by=tuple(sorted({_requester(words, owners) for words in listed[name].requesters} - {""})),
            index_url=listed[name].index_url,
            wheels=package.wheels,
        )
        for name, package in sorted(pinned.items())
    ]


def _requester(words: str, owners: c.Mapping[str, str]) -> str:
    """Who asks, of uv's words; nobody where it is a file that only changes what others ask for."""
    option, _space, file = words.partition(" ")
    if option == "-r":
        return owners[file]
    return "" if file else f"package:{words}"
