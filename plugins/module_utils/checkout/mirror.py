# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git mirrors in the cache: bare repositories that hold the locked commits, fetched by commit and only when missing."""

from __future__ import annotations

import collections.abc as c
import hashlib
import pathlib
import re
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import ConvergeLock

_REFUSED = re.compile(r"not our ref|unadvertised object|no such remote ref|couldn't find remote ref", re.IGNORECASE)
# A directory that git does not know, for the lock of who fetches.
_FETCHING = "fetching"
# As long as another one's heart beats, it is waited for; git itself gives up earlier.
_FETCH_SECONDS = 6 * 3600.0
_creating: dict[pathlib.Path, threading.Lock] = {}
_registry = threading.Lock()


def mirror_path(mirrors: pathlib.Path, repo: str) -> pathlib.Path:
    """The bare repository of ``repo`` below ``mirrors``: readable, and one for each URL."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(repo.removesuffix(".git").split("/")[-2:])).strip("-.")
    return mirrors / f"{readable}-{hashlib.sha256(repo.encode()).hexdigest()[:12]}.git"


def has_commit(mirror: pathlib.Path, commit: str) -> bool:
    """Whether the mirror holds ``commit`` completely.

    Git writes the reference only after it has checked that all objects are there, so a killed fetch leaves none.
    """
    return (mirror / _reference(commit)).is_file()


def ensure_commit(
    mirrors: pathlib.Path,
    repo: str,
    commit: str,
    *,
    reachable_at: str,
    credentials: c.Mapping[str, str],
) -> pathlib.Path:
    """The mirror of ``repo`` with ``commit`` in it; asks the server only when it is not there.

    reachable_at: the URL to fetch from. Raises FleetError when the server can not be reached or does not give it.
    """
    mirror = mirror_path(mirrors, repo)
    with _lock_of(mirror):
        if not has_commit(mirror, commit):
            # Others may have the same cache: a host that shares it, another run on the control node.
            with ConvergeLock(mirror / _FETCHING, f"fetch of {git.shown(repo)}", _FETCH_SECONDS):
                if not has_commit(mirror, commit):
                    git.initialize_bare(mirror)
                    _fetch(mirror, reachable_at, commit, credentials)
    return mirror


def _lock_of(mirror: pathlib.Path) -> threading.Lock:
    with _registry:
        return _creating.setdefault(mirror, threading.Lock())


def _reference(commit: str) -> str:
    return f"refs/locked/{commit}"


def _fetch(mirror: pathlib.Path, url: str, commit: str, credentials: c.Mapping[str, str]) -> None:
    wanted = f"+{commit}:{_reference(commit)}"
    common = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--force")
    try:
        git.remote(mirror, *common, "--depth=1", url, wanted, url=url, credentials=credentials)
    except FleetError as error:
        if not _REFUSED.search(str(error)):
            raise
        _fetch_everything(mirror, url, commit, common, credentials)


def _fetch_everything(
    mirror: pathlib.Path, url: str, commit: str, common: c.Sequence[str], credentials: c.Mapping[str, str]
) -> None:
    """For servers that do not give a commit by its name: all branches and tags, then look whether it is among them."""
    unshallow = ["--unshallow"] if (mirror / "shallow").is_file() else []
    everything = ("+refs/heads/*:refs/upstream/heads/*", "+refs/tags/*:refs/upstream/tags/*")
    git.remote(mirror, *common, *unshallow, url, *everything, url=url, credentials=credentials)
    try:
        git.local(mirror, "cat-file", "-e", f"{commit}^{{commit}}")
    except FleetError as error:
        raise FleetError(
            f"commit {commit} is not in the repository",
            where=git.shown(url),
            remedy="It was removed there (a force push?) or never pushed; choose another commit and lock again",
        ) from error
    git.local(mirror, "update-ref", _reference(commit), commit)
