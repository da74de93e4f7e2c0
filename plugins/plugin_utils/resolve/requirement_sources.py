# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirement lines that name a repository or a source archive: what to write into the spec in their place.

Nothing of what they name is run: a name comes from its declarations alone.
"""

from __future__ import annotations

import ast
import collections.abc as c
import configparser
import dataclasses
import json
import pathlib
import posixpath
import tomllib
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import download
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line, demand_of_spec
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown

Section = c.Mapping[str, t.Any]

_GIT: t.Final = "git+"


@dataclasses.dataclass(frozen=True)
class Lookups:
    """How repositories and files of URLs are read. files: where downloads are kept."""

    repositories: git.Access
    archives: Access
    files: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Settled:
    """Lines that count, those that the spec's entries count for (as the lock has them), and what is wrong."""

    lines: list[Line]
    replaced: list[dict[str, str]]
    faults: list[FleetError]


def settle_sources(lines: c.Sequence[Line], packages: c.Sequence[Section], lookups: Lookups) -> Settled:
    """Lines of core and nodes that name a file or a repository, where the spec's ``python_packages`` name the package.

    The spec's entry counts for them. Without one, a line that would need a build is a fault, which says the entry.
    """
    settled = Settled([], [], [])
    given = {line.name: entry for line, entry in _of_spec(packages)}
    for line in lines:
        entry = given.get(line.name) if line.url and line.demand.is_of_code else None
        if entry is not None and entry.get("url") != line.url:
            why = "the spec says where the package comes from"
            record = {"owner": line.demand.owner, "line": line.text, "by": SPEC, "why": why}
            settled.replaced.append(record)
        elif line.needs_build and line.demand.is_of_code:
            settled.faults.append(_missing_entry(line, lookups))
        else:
            settled.lines.append(line)
    return settled


class Repository(t.NamedTuple):
    """A repository as pip writes it: ``git+<repo>@<ref>#subdirectory=<subdirectory>``."""

    repo: str
    ref: str | None
    subdirectory: str | None


def repository_of(url: str) -> Repository:
    """The parts of a git URL of pip's; an @ before the path belongs to the host."""
    plain, _mark, fragment = url.removeprefix(_GIT).partition("#")
    head, at_sign, ref = plain.rpartition("@")
    if not at_sign or "/" not in head.partition("://")[2]:
        head, ref = plain, ""
    return Repository(head, ref or None, dict(urllib.parse.parse_qsl(fragment)).get("subdirectory"))


@dataclasses.dataclass(frozen=True)
class OfTree:
    """What the requirement lines of a repository at a commit lead to."""

    tree: git.Tree

    def name_of(self, url: str) -> str | None:
        """The name of the project that a git URL of pip's leads to."""
        return name_in_repository(self.tree.access, url)

    def entry_of(self, path: str) -> str | None:
        """The entry of python_packages for a directory of the repository."""
        subdirectory = posixpath.normpath(path)
        folder = "" if subdirectory == "." else subdirectory
        name = _name_in(self.tree, folder)
        if name is None:
            return None
        entry = {"name": name, "git": self.tree.repo, "commit": self.tree.commit}
        return json.dumps({**entry, "subdirectory": folder} if folder else entry)


def name_in_repository(access: git.Access, url: str) -> str | None:
    """The name of the project that a git URL of pip's leads to; None where its files do not say it as data.

    Raises FleetError when the repository cannot be read.
    """
    wanted = repository_of(url)
    return _name_in(git.tree_of(access, wanted.repo, _commit(access, wanted)), wanted.subdirectory or "")


def _name_in(tree: git.Tree, folder: str) -> str | None:
    for file, read in (("pyproject.toml", _of_pyproject), ("setup.cfg", _of_setup_cfg), ("setup.py", _of_setup_py)):
        path = posixpath.join(folder, file)
        name = read(tree.read(path).decode("utf-8", "replace")) if tree.has(path) else None
        if name:
            return name
    return None


def entry_to_add(name: str, url: str, lookups: Lookups) -> str:
    """The entry of python_packages for what a line names: a repository at the commit that it has now, or an archive.

    Raises FleetError when it cannot be read.
    """
    if url.startswith(_GIT):
        wanted = repository_of(url)
        entry = {"name": name, "git": wanted.repo, "commit": _commit(lookups.repositories, wanted)}
        return json.dumps({**entry, "subdirectory": wanted.subdirectory} if wanted.subdirectory else entry)
    return json.dumps({"name": name, "url": url, "sha256": download(url, None, lookups.archives, lookups.files).sha256})


def _commit(access: git.Access, wanted: Repository) -> str:
    if git.is_commit(wanted.ref):
        return str(wanted.ref)
    return git.commit_of(access, wanted.repo, wanted.ref)


def _of_spec(packages: c.Sequence[Section]) -> c.Iterator[tuple[Line, Section]]:
    from packaging.requirements import Requirement

    demand = demand_of_spec(packages)
    for text, entry in zip(demand.lines, packages, strict=True):
        yield Line(demand, text, Requirement(text)), entry


def _missing_entry(line: Line, lookups: Lookups) -> FleetError:
    try:
        remedy = f"Add to python_packages: {entry_to_add(line.name, str(line.requirement.url), lookups)}"
    except FleetError as error:
        remedy = f'It cannot be read now ({error}). Add it to python_packages: {{"name": "{line.name}", ...}}'
    what = f"{shown(line.text)} needs a build, and only what the spec names is built"
    return FleetError(what, where=line.demand.label, remedy=remedy)


def _of_pyproject(text: str) -> str | None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    name = _at(document, "project", "name") or _at(document, "tool", "poetry", "name")
    return name if isinstance(name, str) else None


def _at(document: object, *keys: str) -> object:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _of_setup_cfg(text: str) -> str | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return parser.get("metadata", "name", fallback=None)


def _of_setup_py(text: str) -> str | None:
    """The name where it stands in a call of setup() as a plain text."""
    try:
        calls: c.Iterable[ast.AST] = ast.walk(ast.parse(text))
    except (SyntaxError, ValueError):
        return None
    for call in calls:
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "setup":
            for keyword in call.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None
