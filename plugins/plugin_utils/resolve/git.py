# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git repositories at lock time: every reference to a full commit, submodules too, and no more fetched than is read.

A repository is asked for its references, and where files of it are read (requirements, ``.gitmodules``), for the trees
of one commit without the files' contents; those come one by one as they are read.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import fcntl
import hashlib
import pathlib
import posixpath
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import COMMIT
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.urls import REPOSITORY, is_loopback, url_problem

_REFUSED = ("not our ref", "unadvertised object")
_GITLINK = "160000"


@dataclasses.dataclass(frozen=True)
class Access:
    """How repositories are reached from the control node. cache: a directory of ours for what is fetched."""

    cache: pathlib.Path
    mirrors: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    credentials: c.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)


@dataclasses.dataclass(frozen=True)
class Tree:
    """A commit whose files can be read: ``entries`` is path to (mode, object)."""

    access: Access
    repo: str
    commit: str
    directory: pathlib.Path
    entries: c.Mapping[str, tuple[str, str]]

    def has(self, path: str) -> bool:
        """Whether the commit has a file at ``path``."""
        return path in self.entries and self.entries[path][0] != _GITLINK

    def read(self, path: str) -> bytes:
        """The content of a file. Raises FleetError when the server does not give it."""
        url = git.mirrored(self.repo, self.access.mirrors)
        arguments = ("cat-file", "blob", self.entries[path][1])
        with _alone(self.directory):
            return git.remote(self.directory, *arguments, url=url, credentials=self.access.credentials).stdout


def commit_of(access: Access, repo: str, ref: str | None) -> str:
    """The full commit that ``ref`` (a branch, a tag, or None for the default branch) is now.

    A tag goes before a branch of the same name, as in git itself. Raises FleetError for a reference that is not there.
    """
    url = git.mirrored(repo, access.mirrors)
    patterns = [f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref] if ref else ["HEAD"]
    listed = git.remote(None, "ls-remote", "--", url, *patterns, url=url, credentials=access.credentials).text
    found = {name: oid for oid, _tab, name in (line.partition("\t") for line in listed.splitlines())}
    for pattern in patterns:
        if pattern in found:
            return found[pattern]
    raise FleetError(
        f"has no branch or tag {ref!r}" if ref else "has no commit yet",
        where=git.shown(repo),
        remedy="Check the spelling of ref, or give a commit",
    )


def tree_of(access: Access, repo: str, commit: str) -> Tree:
    """The tree of ``commit``, fetched without file contents where the server can do that."""
    directory = access.cache / f"{hashlib.sha256(repo.encode()).hexdigest()[:16]}.git"
    url = git.mirrored(repo, access.mirrors)
    with _alone(directory):
        _initialize(directory, url)
        if not _has(directory, commit):
            _fetch(directory, url, commit, access.credentials)
    listed = git.local(directory, "ls-tree", "-r", "-z", "--full-tree", commit).text
    entries = {}
    for entry in filter(None, listed.split("\0")):
        description, _tab, path = entry.partition("\t")
        mode, _kind, oid = description.split(" ")
        entries[path] = (mode, oid)
    return Tree(access, repo, commit, directory, entries)


def submodules_of(tree: Tree) -> list[dict[str, str]]:
    """All submodules, nested ones too, as ``{path, repo, commit}`` ordered by path.

    Raises FleetError for a gitlink without a URL in ``.gitmodules``, and for URLs that a spec could not have.
    """
    links = {path: oid for path, (mode, oid) in tree.entries.items() if mode == _GITLINK}
    if not links:
        return []
    urls = _submodule_urls(tree)
    found: list[dict[str, str]] = []
    for path, commit in links.items():
        if path not in urls:
            raise _submodule_fault(tree, path, "has no URL in .gitmodules")
        repo = _absolute(tree.repo, urls[path])
        _check_submodule(tree, path, repo)
        found.append({"path": path, "repo": repo, "commit": commit})
        for inner in submodules_of(tree_of(tree.access, repo, commit)):
            found.append({**inner, "path": f"{path}/{inner['path']}"})
    return sorted(found, key=lambda submodule: submodule["path"])


def _check_submodule(tree: Tree, path: str, repo: str) -> None:
    """Who writes a repository does not decide that this machine's files, or plain HTTP, are read for it."""
    parent = urllib.parse.urlsplit(tree.repo)
    # Plain HTTP to another machine is where the spec was allowed to have it.
    problem = url_problem(repo, REPOSITORY, allow_http=parent.scheme == "http" and not is_loopback(parent.hostname))
    if problem:
        raise _submodule_fault(tree, path, problem.reason)
    if urllib.parse.urlsplit(repo).scheme == "file" and parent.scheme != "file":
        raise _submodule_fault(tree, path, f"is {repo}, a directory of this machine")


def _submodule_fault(tree: Tree, path: str, what: str) -> FleetError:
    return FleetError(
        f"submodule {path} {what}",
        where=git.shown(tree.repo),
        remedy="Set submodules to false for this node if it works without, or use a commit that declares it otherwise",
    )


def is_commit(text: str | None) -> bool:
    """Whether ``text`` is a full commit."""
    return bool(text and COMMIT.fullmatch(text))


@contextlib.contextmanager
def _alone(directory: pathlib.Path) -> c.Iterator[None]:
    """No other thread, and no other run, changes the repository meanwhile: nodes share submodules and packages."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_suffix(".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _initialize(directory: pathlib.Path, url: str) -> None:
    """Also repairs what a killed run left."""
    git.initialize_bare(directory)
    settings = {
        "remote.origin.url": url,
        "remote.origin.promisor": "true",
        "remote.origin.partialclonefilter": "blob:none",
    }
    for name, value in settings.items():
        git.local(directory, "config", name, value)


def _has(directory: pathlib.Path, commit: str) -> bool:
    return (directory / "refs" / "locked" / commit).is_file()


def _fetch(directory: pathlib.Path, url: str, commit: str, credentials: c.Mapping[str, str]) -> None:
    common = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--filter=blob:none")
    wanted = f"+{commit}:refs/locked/{commit}"
    try:
        git.remote(directory, *common, "--depth=1", "origin", wanted, url=url, credentials=credentials)
    except FleetError as error:
        if not any(word in str(error) for word in _REFUSED):
            raise
        _fetch_all(directory, url, commit, common, credentials)


def _fetch_all(
    directory: pathlib.Path, url: str, commit: str, common: c.Sequence[str], credentials: c.Mapping[str, str]
) -> None:
    """For a server that gives no commit by its name: all branches and tags, still without file contents."""
    everything = ("+refs/heads/*:refs/upstream/heads/*", "+refs/tags/*:refs/upstream/tags/*")
    unshallow = ["--unshallow"] if (directory / "shallow").is_file() else []
    git.remote(directory, *common, *unshallow, "origin", *everything, url=url, credentials=credentials)
    try:
        git.local(directory, "rev-list", "--no-walk", "--quiet", commit)
    except FleetError as error:
        raise FleetError(
            f"commit {commit} is not in the repository",
            where=git.shown(url),
            remedy="It was removed there (a force push?) or never pushed; choose another commit",
        ) from error
    git.local(directory, "update-ref", f"refs/locked/{commit}", commit)


def _submodule_urls(tree: Tree) -> dict[str, str]:
    """Path to URL, as ``.gitmodules`` says (gitmodules(5))."""
    if not tree.has(".gitmodules"):
        return {}
    content = tree.read(".gitmodules")
    listed = git.local(tree.directory, "config", "--file", "-", "--list", "-z", stdin=content).text
    values: dict[str, dict[str, str]] = {}
    for entry in filter(None, listed.split("\0")):
        key, _newline, value = entry.partition("\n")
        section, _dot, name = key.rpartition(".")
        values.setdefault(section, {})[name] = value
    return {each["path"]: each["url"] for each in values.values() if {"path", "url"} <= each.keys()}


def _absolute(repo: str, url: str) -> str:
    """A submodule's URL that begins with ``./`` or ``../`` is relative to its superproject's (gitmodules(5))."""
    if not url.startswith(("./", "../")):
        return url
    parts = urllib.parse.urlsplit(repo)
    if not parts.scheme:
        # git@host:path, whose path may begin with a slash.
        host, colon, path = repo.partition(":")
        rooted = posixpath.normpath(posixpath.join("/", path, url))
        return f"{host}{colon}{rooted if path.startswith('/') else rooted[1:]}"
    path = posixpath.normpath(posixpath.join(parts.path, url))
    return urllib.parse.urlunsplit(parts._replace(path=path))
