# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a checkout that is there back to its commit, file by file, keeping what is replaced."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import shutil
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.create import (
    fetch,
    initialize,
    populate,
    refuse_lfs_pointers,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.observe import observe_checkout
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import move, remove_tree


def check_out(
    directory: pathlib.Path,
    repo: str,
    commit: str,
    mirror: pathlib.Path,
    *,
    aside: pathlib.Path,
    left_out: c.Sequence[str] = (),
    foreign_below: str | None = None,
) -> None:
    """Bring the repository at ``directory`` to ``commit`` with its files; also when its ``.git`` is missing or broken.

    aside: a new directory that takes what is replaced. left_out: paths in it that are somebody else's.
    foreign_below: a directory in it whose untracked files are somebody else's.
    """
    if not directory.is_dir() or directory.is_symlink():
        if os.path.lexists(directory):
            move(directory, aside / directory.name)
        populate(directory, repo, commit, mirror)
        return
    _ensure_repository(directory, repo, commit, mirror, aside)
    changed = _differing(directory, commit, left_out)
    restore_files(directory, commit, changed, aside)
    state = observe_checkout(directory, left_out)
    own = [path for path in state.loadable if not foreign_below or not path.startswith(f"{foreign_below}/")]
    put_aside(directory, own, aside)
    refuse_lfs_pointers(directory, repo)


def restore_files(directory: pathlib.Path, commit: str, paths: c.Sequence[str], aside: pathlib.Path) -> None:
    """Write the files ``paths`` as they are in ``commit``, each by rename, and make the index say that they are."""
    git_directory = directory / ".git"
    stage = pathlib.Path(tempfile.mkdtemp(dir=git_directory, prefix="comfy-stage."))
    index = stage / "index"
    try:
        git.local(directory, "read-tree", commit, index=index)
        wanted = "".join(f"{path}\0" for path in paths if _in_index(directory, index, path))
        arguments = ("checkout-index", "--quiet", "--force", "-z", "--stdin", f"--prefix={stage}/files/")
        git.local(directory, *arguments, index=index, stdin=wanted.encode("utf-8", "surrogateescape"))
        for path in paths:
            _replace_file(directory, path, stage / "files" / path, aside)
        _refresh(directory, index)
        (git_directory / "index.lock").unlink(missing_ok=True)
        index.replace(git_directory / "index")
    finally:
        remove_tree(stage)


def put_aside(directory: pathlib.Path, paths: c.Iterable[str], aside: pathlib.Path) -> None:
    """Move files of ``directory`` to the same paths below ``aside``."""
    for path in paths:
        move(directory / path, aside / path)


def _ensure_repository(
    directory: pathlib.Path, repo: str, commit: str, mirror: pathlib.Path, aside: pathlib.Path
) -> None:
    git.clear_locks(directory / ".git")
    if observe_checkout(directory, []).head is None:
        _renew_repository(directory, repo, commit, mirror, aside)
    elif not _has(directory, commit):
        fetch(directory, commit, mirror)
    git.local(directory, "update-ref", "--no-deref", "HEAD", commit)


def _renew_repository(
    directory: pathlib.Path, repo: str, commit: str, mirror: pathlib.Path, aside: pathlib.Path
) -> None:
    """Replace ``.git`` and leave the files."""
    beside = pathlib.Path(tempfile.mkdtemp(dir=directory, prefix=".git-new."))
    try:
        initialize(beside, repo, commit, mirror)
        if os.path.lexists(directory / ".git"):
            move(directory / ".git", aside / ".git")
        (beside / ".git").rename(directory / ".git")
        git.local(directory, "update-ref", "--no-deref", "HEAD", commit)
        git.local(directory, "read-tree", commit)
    finally:
        remove_tree(beside)


def _has(directory: pathlib.Path, commit: str) -> bool:
    try:
        git.local(directory, "rev-list", "--objects", "--no-walk", "--quiet", commit)
    except FleetError:
        return False
    return True


def _differing(directory: pathlib.Path, commit: str, left_out: c.Sequence[str]) -> list[str]:
    """Tracked files of ``commit`` that are not so on disk."""
    with tempfile.TemporaryDirectory(dir=directory / ".git", prefix="comfy-stage.") as stage:
        index = pathlib.Path(stage, "index")
        git.local(directory, "read-tree", commit, index=index)
        _refresh(directory, index)
        excluded = [f":(exclude,literal){path}" for path in left_out]
        arguments = ("diff-files", "--name-only", "-z", "--ignore-submodules=all", "--", ".", *excluded)
        return [name for name in git.local(directory, *arguments, index=index).text.split("\0") if name]


def _refresh(directory: pathlib.Path, index: pathlib.Path) -> None:
    # --really-refresh also looks at files that somebody marked "assume unchanged"; -q: differing ones are no failure.
    git.local(directory, "update-index", "-q", "--unmerged", "--really-refresh", index=index)


def _in_index(directory: pathlib.Path, index: pathlib.Path, path: str) -> bool:
    return bool(git.local(directory, "ls-files", "-z", "--", f":(literal){path}", index=index).stdout)


def _replace_file(directory: pathlib.Path, path: str, restored: pathlib.Path, aside: pathlib.Path) -> None:
    """Copy what is there aside, then rename the restored file over it; a path that the commit has not is only moved."""
    place = directory / path
    if not os.path.lexists(restored):
        if os.path.lexists(place):
            move(place, aside / path)
        return
    _make_parents(directory, place, aside)
    if place.is_dir() and not place.is_symlink():
        move(place, aside / path)
    elif os.path.lexists(place):
        (aside / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(place, aside / path, follow_symlinks=False)
    restored.replace(place)


def _make_parents(directory: pathlib.Path, place: pathlib.Path, aside: pathlib.Path) -> None:
    """A file or link where a directory belongs would lead the restored file elsewhere."""
    for parent in reversed(place.relative_to(directory).parents[:-1]):
        candidate = directory / parent
        if os.path.lexists(candidate) and (candidate.is_symlink() or not candidate.is_dir()):
            move(candidate, aside / parent)
    place.parent.mkdir(parents=True, exist_ok=True)
