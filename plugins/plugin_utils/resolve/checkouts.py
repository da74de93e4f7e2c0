# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Core and nodes at lock time: commits, submodules, and the requirement lines that they bring."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import posixpath
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import CORE, NODE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git, requirement_files
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.requirement_sources import OfTree

Entry = c.Mapping[str, t.Any]
_DEFAULT_FILE = "requirements.txt"
_PARALLEL = 16


@dataclasses.dataclass(frozen=True)
class Wanted:
    """One repository of a spec. owner: ``core`` or ``node:<directory>``; pointer: its place in the spec.

    requirements: true (requirements.txt if there is one), false, a file's name, or the lines themselves.
    """

    owner: str
    pointer: str
    name: str
    repo: str
    ref: str | None
    commit: str | None
    submodules: bool
    requirements: bool | str | c.Sequence[str]


@dataclasses.dataclass(frozen=True)
class Locked:
    """What a repository was resolved to. lines: its requirement lines; file: where they stand (None: in the spec)."""

    commit: str
    submodules: tuple[dict[str, str], ...]
    file: str | None
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Kept:
    """What an earlier lock has of a repository, and what the spec said then."""

    wanted: Wanted
    locked: Locked


def wanted_of(spec: Entry) -> list[Wanted]:
    """The repositories of a normalized spec, the core first; disabled nodes are none."""
    core = spec["comfy"]
    found = [Wanted(CORE, "/comfy", "ComfyUI", core["repo"], core["ref"], core["commit"], True, True)]
    for number, node in enumerate(spec["custom_nodes"]):
        if node["enabled"]:
            found.append(
                Wanted(
                    owner=f"{NODE}{node['directory']}",
                    pointer=f"/custom_nodes/{number}",
                    name=node["name"],
                    repo=node["repo"],
                    ref=node["ref"],
                    commit=node["commit"],
                    submodules=bool(node["submodules"]),
                    requirements=node["requirements"],
                )
            )
    return found


def resolve_checkouts(
    access: git.Access,
    wanted: c.Sequence[Wanted],
    kept: c.Mapping[str, Kept],
    upgrade: c.Callable[[Wanted], bool],
    report: c.Callable[[str], None],
) -> dict[str, Locked]:
    """All repositories at once, by owner. kept: what an earlier lock has, by owner; used unless ``upgrade`` says move.

    Raises FleetError, or Failures with all faults.
    """

    def resolve(each: Wanted) -> Locked | FleetError:
        try:
            return _resolve(access, each, kept.get(each.owner), upgrade(each), report)
        except FleetError as error:
            return FleetError(error.what, where=f"{each.pointer}: {error.where}".rstrip(": "), remedy=error.remedy)

    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        results = list(pool.map(resolve, wanted))
    raise_all([result for result in results if isinstance(result, FleetError)])
    return {each.owner: result for each, result in zip(wanted, results, strict=True) if isinstance(result, Locked)}


def _resolve(
    access: git.Access, wanted: Wanted, kept: Kept | None, upgrade: bool, report: c.Callable[[str], None]
) -> Locked:
    commit = _commit(access, wanted, kept, upgrade)
    if kept and kept.locked.commit == commit and _same_reading(wanted, kept.wanted):
        return kept.locked
    tree = git.tree_of(access, wanted.repo, commit)
    file, lines = _requirements(wanted, tree, report)
    submodules = git.submodules_of(tree) if wanted.submodules else []
    asked = wanted.ref or ("the commit" if wanted.commit else "the default branch")
    report(f"{wanted.name}: {asked} is {commit[:12]}, {len(lines)} requirement(s)")
    return Locked(commit, tuple(submodules), file, tuple(lines))


def _commit(access: git.Access, wanted: Wanted, kept: Kept | None, upgrade: bool) -> str:
    if wanted.commit:
        return wanted.commit
    if kept and not upgrade and (kept.wanted.repo, kept.wanted.ref) == (wanted.repo, wanted.ref):
        return kept.locked.commit
    return git.commit_of(access, wanted.repo, wanted.ref)


def _same_reading(wanted: Wanted, before: Wanted) -> bool:
    """Whether the same commit would be read the same way."""
    now = (wanted.repo, wanted.submodules, wanted.requirements)
    return now == (before.repo, before.submodules, before.requirements)


def _requirements(wanted: Wanted, tree: git.Tree, report: c.Callable[[str], None]) -> tuple[str | None, list[str]]:
    if wanted.requirements is False:
        return None, []
    if not isinstance(wanted.requirements, (bool, str)):
        return None, list(wanted.requirements)
    file = wanted.requirements if isinstance(wanted.requirements, str) else _DEFAULT_FILE
    if not tree.has(file):
        if wanted.requirements is True:
            _tell_other_files(wanted, tree, report)
            return None, []
        raise FleetError(
            f"has no file {file!r} at {tree.commit[:12]}",
            where=wanted.repo,
            remedy=f"Requirement files there: {', '.join(_requirement_files(tree)) or 'none'}",
        )
    return file, requirement_files.parse(
        tree.read(file),
        f"{wanted.name} {file}",
        _includes(tree, file),
        report,
        OfTree(tree),
    )


def _tell_other_files(wanted: Wanted, tree: git.Tree, report: c.Callable[[str], None]) -> None:
    """Which of several files is meant only a person knows, and without any the node may not work."""
    others = _requirement_files(tree)
    if others:
        report(
            f"{wanted.name}: has no {_DEFAULT_FILE}, so nothing is installed for it, but {', '.join(others)}: name one"
            f' in its entry of custom_nodes ("requirements": "{others[0]}"), or none ("requirements": false)'
        )


def _includes(tree: git.Tree, file: str) -> c.Callable[[str], bytes]:
    def read(name: str) -> bytes:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), name))
        if not tree.has(path):
            raise FleetError(f"includes {name!r}, which is not in the repository", where=f"{tree.repo} {file}")
        return tree.read(path)

    return read


def _requirement_files(tree: git.Tree) -> list[str]:
    return sorted(path for path in tree.entries if "/" not in path and path.endswith(".txt") and "requirement" in path)
