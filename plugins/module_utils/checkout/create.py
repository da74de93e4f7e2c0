# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a checkout from mirrors: beside, verified, then renamed into place. It does not need the mirrors afterwards."""

from __future__ import annotations

import collections.abc as c
import contextlib
import pathlib
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.links import make_link
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.observe import CheckoutState, observe_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import move, new_aside, remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout

# Gives the mirror that holds a commit of a repository: (repo, commit) -> path.
MirrorOf = c.Callable[[str, str], pathlib.Path]

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer begins so and is shorter than 1024 bytes.
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
_LFS_POINTER_LIMIT = 1024
# Upload-pack does not inherit our configuration; the mirrors may have been made by another user of this host.
_UPLOAD_PACK = "git -c 'safe.directory=*' upload-pack"


def create_tree(
    destination: pathlib.Path,
    wanted: Checkout,
    mirror_of: MirrorOf,
    *,
    making: pathlib.Path,
    aside: pathlib.Path,
    links: c.Mapping[str, str],
) -> None:
    """Put the checkout ``wanted`` with its submodules and links at ``destination``.

    making: a directory on the same file system that nothing reads. What is at the destination is put into ``aside``.
    """
    making.mkdir(parents=True, exist_ok=True)
    beside = pathlib.Path(tempfile.mkdtemp(dir=making, prefix=f"{destination.name}."))
    try:
        beside.chmod(0o755)
        populate(beside, wanted.repo, wanted.commit, mirror_of(wanted.repo, wanted.commit))
        for submodule in wanted.submodules:
            mirror = mirror_of(submodule.repo, submodule.commit)
            populate(beside / submodule.path, submodule.repo, submodule.commit, mirror)
        for path, target in links.items():
            make_link(beside / path, target, base=destination / path, aside=aside)
        _verify(beside, wanted, links)
        if destination.is_symlink() or destination.exists():
            move(destination, new_aside(aside) / destination.name)
        destination.parent.mkdir(parents=True, exist_ok=True)
        beside.rename(destination)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_tree(beside)
        raise


def populate(directory: pathlib.Path, repo: str, commit: str, mirror: pathlib.Path) -> None:
    """Make ``directory`` a repository at ``commit`` with its files. Raises FleetError for a Git LFS pointer in it."""
    directory.mkdir(parents=True, exist_ok=True)
    initialize(directory, repo, commit, mirror)
    git.local(directory, "checkout", "--quiet", "--force", "--detach", commit)
    refuse_lfs_pointers(directory, repo)


def initialize(directory: pathlib.Path, repo: str, commit: str, mirror: pathlib.Path) -> None:
    """Make ``directory`` a repository that holds ``commit``, without files yet."""
    git.local(directory, "init", "--quiet", "--template=", ".")
    git.local(directory, "config", "remote.origin.url", repo)
    fetch(directory, commit, mirror)


def fetch(directory: pathlib.Path, commit: str, mirror: pathlib.Path) -> None:
    """Copy ``commit`` from the mirror; the copy stands on its own."""
    git.local(
        directory,
        *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1", "--update-shallow"),
        f"--upload-pack={_UPLOAD_PACK}",
        mirror.as_uri(),
        f"refs/locked/{commit}",
    )


def refuse_lfs_pointers(directory: pathlib.Path, repo: str) -> None:
    """Raise FleetError when a tracked file is a pointer in place of its content."""
    names = git.local(directory, "ls-files", "-z").text.split("\0")
    pointers = [name for name in filter(None, names) if _is_lfs_pointer(directory / name)]
    if pointers:
        raise FleetError(
            f"has Git LFS pointers in place of files: {', '.join(pointers[:5])}",
            where=git.shown(repo),
            remedy="Take the files as models (custom_nodes need real files in git), or use a repository that has them",
        )


def _is_lfs_pointer(path: pathlib.Path) -> bool:
    try:
        status = path.lstat()
        if path.is_symlink() or not len(_LFS_POINTER) < status.st_size < _LFS_POINTER_LIMIT:
            return False
        with path.open("rb") as stream:
            return stream.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError:
        return False


def _verify(directory: pathlib.Path, wanted: Checkout, links: c.Mapping[str, str]) -> None:
    state = observe_tree(directory, wanted.submodules, links)
    faults = _dirt(state.checkout, wanted.commit)
    for submodule in wanted.submodules:
        faults += _dirt(state.submodules[submodule.path], submodule.commit)
    if faults:
        raise FleetError(f"the checkout is not what was asked for: {'; '.join(faults)}", where=git.shown(wanted.repo))


def _dirt(state: CheckoutState, commit: str) -> list[str]:
    head = [] if state.head == commit else [f"HEAD is {state.head}, not {commit}"]
    return head + [f"{path} differs from the commit" for path in (*state.changed, *state.loadable)]
