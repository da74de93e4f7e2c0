# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of a bundle come from: each is brought into a scratch directory of the control node, and checked."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import functools
import pathlib
import shutil
import tarfile
import threading
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.bundle import names
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import ensure_commit, mirror_path
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import INDEX, Lock, Model, Package, Target
from ansible_collections.comfyops.fleet.plugins.module_utils.models.connections import Connections
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import mirror_url
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part_journal import bytes_held
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.store import NotFetched, Store
from ansible_collections.comfyops.fleet.plugins.module_utils.models.transfer import Transfer, WrongBytes
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob, contents
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.places import Site
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.transfer import Program
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import sha256_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_credentials import index_access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import own_wheel, path_of

# Gives the file, in the scratch directory; it is moved away from there.
Get = c.Callable[[], pathlib.Path]
_ATTEMPTS: t.Final = 5


@dataclasses.dataclass(frozen=True)
class Origins:
    """How the control node reaches what a lock names. versions: the lock's directory; wheels: the user's own.

    site: for repositories and indexes. settings: for models, and the mirrors of everything.
    """

    versions: pathlib.Path
    wheels: pathlib.Path | None
    uv: Program
    site: Site
    settings: Settings


class Sources:
    """Gives each file of a bundle. Use it in ``with``; what it gives may be got in several threads."""

    def __init__(self, lock: Lock, targets: c.Sequence[Target], origins: Origins, scratch: pathlib.Path) -> None:
        self._lock = lock
        self._targets = targets
        self._origins = origins
        self._scratch = scratch
        self._layout = Layout(root=scratch)
        self._cancelled = threading.Event()
        self._budget = Connections(origins.settings.model_connections, origins.settings.model_rate_limit)
        context = Context(lock, targets[0], self._layout, origins.settings)
        self._store = Store(context, Receipts(self._layout, deep=False), self._cancelled, self._budget)

    def __enter__(self) -> Sources:
        self._budget.__enter__()
        return self

    def __exit__(self, *exception: t.Any) -> None:
        self._budget.__exit__(*exception)

    def cancel(self) -> None:
        """Let downloads that are under way end soon."""
        self._cancelled.set()

    def begun(self, sha256: str) -> int:
        """How many bytes of a download are there."""
        return max(bytes_held(self._layout.partial, sha256), bytes_held(self._scratch / "files", sha256))

    def gets(self, missing: c.Collection[str]) -> dict[str, Get]:
        """What gives each of the files that are missing. Indexes are asked where their files are.

        Raises FleetError, or Failures, where an index does not have a file any more.
        """
        found: dict[str, Get] = {names.UV: self._uv}
        for repo, commits in names.repositories(self._lock).items():
            found[names.repository_name(repo, commits)] = functools.partial(self._git, repo, commits)
        for target in self._targets:
            found.update(self._of_target(target, missing))
        for sha256, model in contents(self._lock.models).items():
            found[names.model_name(sha256)] = functools.partial(self._model, model)
        return {name: get for name, get in found.items() if name in missing}

    def _of_target(self, target: Target, missing: c.Collection[str]) -> c.Iterator[tuple[str, Get]]:
        site = self._origins.site
        wanted = [each for each in names.wheels(target) if names.package_name(each) in missing]
        from_indexes = [each for each in wanted if each.source == INDEX and self._own(each) is None]
        places = site.files_of_packages(self._lock, dataclasses.replace(target, packages=tuple(from_indexes)))
        urls = [*site.python_indexes.values(), *(url for url in target.indexes.values() if url)]
        access = index_access(urls, site.access)
        for package in wanted:
            url = places[str(package.sha256)].url if str(package.sha256) in places else str(package.url)
            content = _content(str(package.file), package.sha256, package.size, url)
            yield names.package_name(package), functools.partial(self._file, content, self._own(package), access)
        if target.interpreter is not None:
            python = target.interpreter
            archive = _content(python.file, python.sha256, python.size, python.url)
            local = path_of(python.url) if python.url.startswith("file:") else None
            get = functools.partial(self._file, archive, local, site.access)
            yield names.interpreter_name(python), get

    def _own(self, package: Package) -> pathlib.Path | None:
        """Where the control node itself has, or has to have, the package's wheel."""
        return own_wheel(package, self._origins.versions, self._origins.wheels)

    def _uv(self) -> pathlib.Path:
        place = self._new("uv")
        shutil.copyfile(self._origins.uv.path, place)
        return place

    def _git(self, repo: str, commits: c.Sequence[str]) -> pathlib.Path:
        """An archive of a bare repository with the commits; the same bytes for the same packs."""
        access = self._origins.site.repositories
        reachable = git.mirrored(repo, access.mirrors)
        for commit in commits:
            ensure_commit(
                self._layout.git_mirrors, repo, commit, reachable_at=reachable, credentials=access.credentials
            )
        mirror = mirror_path(self._layout.git_mirrors, repo)
        place = self._new(f"{mirror.name}.tar")
        with tarfile.open(place, "w:", format=tarfile.PAX_FORMAT) as content:
            for path in sorted(mirror.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    content.add(path, f"{mirror.name}/{path.relative_to(mirror)}", recursive=False, filter=_plain)
        return place

    def _model(self, model: Model) -> pathlib.Path:
        self._store.fetch(model, model.name)
        return blob(self._layout, model.sha256)

    def _file(self, content: Model, own: pathlib.Path | None, access: Access) -> pathlib.Path:
        if own is not None:
            return self._copied(content, own)
        directory = self._scratch / "files"
        place = directory / content.sha256
        with Part(directory, content.sha256) as part:
            if not self._from_mirrors(content, part):
                self._from_origin(content, part, access)
            part.commit(place)
        return place

    def _copied(self, content: Model, own: pathlib.Path) -> pathlib.Path:
        place = self._new(content.sha256)
        remedy = "Put it there again; what was built is built again by lock.yml"
        try:
            shutil.copyfile(own, place)
        except OSError as error:
            raise FleetError(f"can not be read ({error.strerror})", where=str(own), remedy=remedy) from error
        found = sha256_of(place)
        if found != content.sha256:
            raise FleetError(f"has sha256 {found}, the lock says {content.sha256}", where=str(own), remedy=remedy)
        return place

    def _from_mirrors(self, content: Model, part: Part) -> bool:
        settings = self._origins.settings
        access = Access(settings.credentials, settings.allow_http)
        for base in settings.model_mirrors:
            with contextlib.suppress(HttpFault, WrongBytes):
                Transfer(content, part, access, self._cancelled, 1).run(mirror_url(base, content.sha256))
                return True
        return False

    def _from_origin(self, content: Model, part: Part, access: Access) -> None:
        try:
            Transfer(content, part, access, self._cancelled, _ATTEMPTS).run(content.url)
        except (HttpFault, WrongBytes) as fault:
            remedy = fault.remedy or "Look at the network, comfy_python_indexes and comfy_credentials, and run it again"
            raise FleetError(fault.what, where=content.name, remedy=remedy) from fault

    def _new(self, name: str) -> pathlib.Path:
        directory = self._scratch / "new"
        directory.mkdir(parents=True, exist_ok=True)
        return directory / name


def is_missed(error: FleetError) -> bool:
    """Whether a fault is that of a source that did not give a model, which an optional one may lack."""
    return isinstance(error, NotFetched)


def _content(name: str, sha256: str | None, size: int | None, url: str) -> Model:
    return Model(name, "", url, str(sha256), size, (), optional=False)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
    member.mtime, member.mode = 0, 0o644
    return member
