# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a checkout is: its commit, what was changed in it, and what lies in it that git does not know."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.content import (
    files_below,
    is_bytecode,
    is_loadable,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.index import hides_changes
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import ProcessFailed
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Submodule


@dataclasses.dataclass(frozen=True)
class Link:
    """A path of a checkout that is a symbolic link to a place outside of the build. found: where it leads, if so."""

    path: str
    target: str
    found: str | None


@dataclasses.dataclass(frozen=True)
class CheckoutState:
    """One repository on disk. Paths are relative to it.

    head: its commit; None when there is no readable repository, or one that hides changes.
    changed: tracked files that are not as committed. loadable: untracked files that would be loaded.
    runtime: other untracked files with their sizes in bytes.
    """

    exists: bool
    head: str | None = None
    changed: tuple[str, ...] = ()
    loadable: tuple[str, ...] = ()
    runtime: tuple[tuple[str, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class TreeState:
    """A checkout with its submodules (by path) and its links out of the build."""

    checkout: CheckoutState
    submodules: c.Mapping[str, CheckoutState] = dataclasses.field(default_factory=dict)
    links: tuple[Link, ...] = ()


def observe_tree(
    directory: pathlib.Path,
    submodules: c.Sequence[Submodule],
    links: c.Mapping[str, str],
    left_out: c.Sequence[str] = (),
) -> TreeState:
    """Look at the checkout in ``directory``. links: path to target. left_out: paths that are somebody else's."""
    inner = [submodule.path for submodule in submodules]
    return TreeState(
        checkout=observe_checkout(directory, [*left_out, *inner, *links]),
        submodules={path: observe_checkout(directory / path, []) for path in inner},
        links=tuple(Link(path, target, _link_target(directory / path)) for path, target in links.items()),
    )


def observe_checkout(directory: pathlib.Path, left_out: c.Sequence[str]) -> CheckoutState:
    """Look at one repository. Its index only saves reading: git compares each file's identity, in doubt its bytes."""
    if not directory.is_dir() or directory.is_symlink():
        return CheckoutState(exists=os.path.lexists(directory))
    if not (directory / ".git").is_dir() or hides_changes(directory / ".git" / "index"):
        return CheckoutState(exists=True)
    excluded = [f":(exclude,literal){path}" for path in left_out]
    try:
        status = git.local(
            directory,
            *("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--ignored=traditional"),
            *("--no-renames", "--ignore-submodules=all", "--", ".", *excluded),
        )
    except ProcessFailed:
        return CheckoutState(exists=True)
    return _parsed(directory, status.text, [directory / path for path in left_out])


def _parsed(directory: pathlib.Path, status: str, left_out: c.Sequence[pathlib.Path]) -> CheckoutState:
    """Read porcelain v2 (git-status(1), "Porcelain Format Version 2").

    Git gives an ignored directory as one entry, whatever is left out of it.
    """
    head: str | None = None
    changed: list[str] = []
    untracked: list[pathlib.Path] = []
    for entry in filter(None, status.split("\0")):
        kind, _space, rest = entry.partition(" ")
        if kind == "#" and rest.startswith("branch.oid "):
            oid = rest.removeprefix("branch.oid ")
            head = None if oid == "(initial)" else oid
        elif kind in ("?", "!"):
            path = directory / rest
            untracked.extend(files_below(path, left_out) if rest.endswith("/") else [path])
        elif kind in ("1", "2"):
            changed.append(rest.split(" ", 7)[7])
        elif kind == "u":
            changed.append(rest.split(" ", 9)[9])
    return _sorted_out(directory, head, changed, untracked)


def _sorted_out(
    directory: pathlib.Path, head: str | None, changed: c.Sequence[str], untracked: c.Sequence[pathlib.Path]
) -> CheckoutState:
    kept = [path for path in untracked if not is_bytecode(path)]
    loadable = {path for path in kept if is_loadable(path)}
    return CheckoutState(
        exists=True,
        head=head,
        changed=tuple(sorted(changed)),
        loadable=tuple(sorted(str(path.relative_to(directory)) for path in loadable)),
        runtime=tuple(sorted((str(path.relative_to(directory)), _size(path)) for path in kept if path not in loadable)),
    )


def _size(path: pathlib.Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _link_target(path: pathlib.Path) -> str | None:
    return os.readlink(path) if path.is_symlink() else None
