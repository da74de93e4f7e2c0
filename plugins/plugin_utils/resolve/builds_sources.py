# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built: a git repository at a commit, or a source archive by its sha256, brought here as one archive."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import posixpath
import tarfile
import tomllib
import typing as t
import zipfile

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git as git_program
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.create import populate
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import ensure_commit
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import GIT, SDIST
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import download

Section = c.Mapping[str, t.Any]

# Build requirements that take the version from git's tags and history, by canonical name.
_VERSION_FROM_GIT: t.Final = frozenset(
    (
        *("dunamai", "dynamic-versioning", "hatch-vcs", "miniver", "pbr", "pdm-backend", "poetry-dynamic-versioning"),
        *("setuptools-git-versioning", "setuptools-scm", "setuptools-vcs-versioning", "uv-dynamic-versioning"),
        *("vcs-versioning", "versioneer", "versioningit"),
    )
)
# A ZIP archive, as wheels are, knows no earlier time.
_EARLIEST: t.Final = 315532800
_LEGACY_BACKEND: t.Final = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES: t.Final = ("setuptools>=40.8.0",)


@dataclasses.dataclass(frozen=True)
class Source:
    """A source by its identity, which is what the lock's ``built_from`` says of it. name: canonical.

    address: where an archive is reached from here, if its identity does not say that.
    """

    name: str
    identity: Section
    address: str | None = None

    @property
    def kind(self) -> str:
        """The lock's word for packages that are built of it."""
        return GIT if "git" in self.identity else SDIST

    @property
    def label(self) -> str:
        """The source as messages name it."""
        if self.kind == GIT:
            folder = f", {self.identity['subdirectory']}" if self.identity["subdirectory"] else ""
            return f"{self.name} ({git_program.shown(self.identity['git'])} at {self.identity['commit'][:12]}{folder})"
        return f"{self.name} ({git_program.shown(self.url)})"

    @property
    def url(self) -> str:
        """Where an archive is."""
        return str(self.address or self.identity["url"])


@dataclasses.dataclass(frozen=True)
class Archive:
    """A source in one file. epoch: when it was made, seconds. requires: what it says that its build requires."""

    path: pathlib.Path
    subdirectory: str | None
    epoch: int
    backend: str
    backend_path: tuple[str, ...]
    requires: tuple[str, ...]


def source_of(entry: Section) -> Source:
    """The source of an entry of a spec's normalized ``python_packages`` that has ``git`` or a source archive."""
    from packaging.utils import canonicalize_name

    keys = ("git", "commit", "subdirectory", "submodules") if "git" in entry else ("url", "sha256")
    return Source(str(canonicalize_name(entry["name"])), {key: entry[key] for key in keys})


def fetch_source(
    source: Source, repositories: git.Access, archives: Access, directory: pathlib.Path, files: pathlib.Path
) -> Archive:
    """Bring a source here. directory: an empty one of ours. files: where downloads are kept. Raises FleetError."""
    try:
        if source.kind == GIT:
            return _repository(source, repositories, directory)
        return _sdist(source, archives, files)
    except FleetError as error:
        raise FleetError(str(error), where=source.label) from error


def _repository(source: Source, access: git.Access, directory: pathlib.Path) -> Archive:
    repo, commit = source.identity["git"], source.identity["commit"]
    tree = directory / "source"
    check_out(source.identity, access, tree)
    folder = tree / (source.identity["subdirectory"] or "")
    if not folder.is_dir():
        remedy = "Correct subdirectory, or take another commit"
        raise FleetError(f"has no directory {source.identity['subdirectory']} at {commit[:12]}", remedy=remedy)
    pyproject = folder / "pyproject.toml"
    system = _build_system(
        pyproject.read_bytes() if pyproject.is_file() else None, has_setup=(folder / "setup.py").is_file()
    )
    if required_names(system[2]) & _VERSION_FROM_GIT:
        _add_history(tree, repo, commit, access)
    epoch = int(git_program.local(tree, "show", "--no-patch", "--format=%ct", commit).text)
    path = directory / "source.tar"
    _pack(tree, path, epoch)
    return Archive(path, source.identity["subdirectory"], max(epoch, _EARLIEST), *system)


def check_out(identity: Section, access: git.Access, directory: pathlib.Path) -> None:
    """The repository of a source's identity at its commit, with submodules where it has them. Raises FleetError."""
    repo, commit = identity["git"], identity["commit"]
    _check_out(directory, repo, commit, access)
    if identity["submodules"]:
        for submodule in git.submodules_of(git.tree_of(access, repo, commit)):
            _check_out(directory / submodule["path"], submodule["repo"], submodule["commit"], access)


def _check_out(directory: pathlib.Path, repo: str, commit: str, access: git.Access) -> None:
    mirror = ensure_commit(
        access.cache.parent / "git-sources",
        repo,
        commit,
        reachable_at=git_program.mirrored(repo, access.mirrors),
        credentials=access.credentials,
    )
    populate(directory, repo, commit, mirror)


def _add_history(tree: pathlib.Path, repo: str, commit: str, access: git.Access) -> None:
    """All commits up to this one, and the tags, without the old files' contents where the server can do that."""
    url = git_program.mirrored(repo, access.mirrors)
    common = (
        "fetch",
        "--quiet",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--unshallow",
        "--filter=blob:none",
    )
    references = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
    git_program.remote(tree, *common, url, *references, url=url, credentials=access.credentials)
    # Of a partial clone, git would ask the server for what is not there, and builds have no network.
    git_program.local(tree, "config", "--remove-section", f"remote.{url}") if _is_promisor(tree, url) else None
    git_program.local(tree, "checkout", "--quiet", "--force", "--detach", commit)


def _is_promisor(tree: pathlib.Path, url: str) -> bool:
    return f"remote.{url}.promisor" in git_program.local(tree, "config", "--list", "--name-only").text


def _pack(tree: pathlib.Path, path: pathlib.Path, epoch: int) -> None:
    """One archive whose bytes' order and times are those of the commit."""

    def neutral(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = epoch
        return member

    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(tree, "source", filter=neutral)


def _sdist(source: Source, access: Access, files: pathlib.Path) -> Archive:
    path = download(source.url, source.identity["sha256"], access, files).path
    try:
        members, epoch, pyproject = _look_into(path)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise FleetError(f"is no source archive: {error}", remedy="Name a .tar.gz or .zip with one project") from error
    has_setup = any(_is_at_root(member, "setup.py") for member in members)
    return Archive(path, None, max(epoch, _EARLIEST), *_build_system(pyproject, has_setup=has_setup))


def _look_into(path: pathlib.Path) -> tuple[list[str], int, bytes | None]:
    """The names in an archive, the time of its newest member, and its pyproject.toml."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            found = [name for name in names if _is_at_root(name, "pyproject.toml")]
            return names, _EARLIEST, archive.read(found[0]) if found else None
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        newest = max((int(member.mtime) for member in members), default=0)
        found_members = [member for member in members if _is_at_root(member.name, "pyproject.toml") and member.isfile()]
        stream = archive.extractfile(found_members[0]) if found_members else None
        return [member.name for member in members], newest, stream.read() if stream else None


def _is_at_root(member: str, name: str) -> bool:
    """Whether a member is the file ``name`` of the project: in the one directory at the top, or at the top itself."""
    parts = posixpath.normpath(member).split("/")
    return parts[-1] == name and len(parts) <= len(("root", name))


def _build_system(pyproject: bytes | None, *, has_setup: bool) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Backend, its path and the build requirements, as PEP 517 and 518 read a pyproject.toml."""
    if pyproject is None and not has_setup:
        raise FleetError(
            "has neither pyproject.toml nor setup.py: it is no Python project",
            remedy="Name the subdirectory that has one, or take a wheel",
        )
    try:
        system = tomllib.loads((pyproject or b"").decode()).get("build-system", {"requires": _LEGACY_REQUIRES})
        backend = str(system.get("build-backend", _LEGACY_BACKEND))
        return backend, tuple(map(str, system.get("backend-path", ()))), tuple(map(str, system["requires"]))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise FleetError(
            f"its pyproject.toml cannot be read: {error}", remedy="Take another commit or release"
        ) from error


def required_names(lines: c.Iterable[str]) -> set[str]:
    """The canonical names of requirement lines; what is none is another's to tell."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    names = set()
    for line in lines:
        try:
            names.add(str(canonicalize_name(Requirement(line).name)))
        except InvalidRequirement:
            continue
    return names
