# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of model bytes: contents come in from the network, from this host's disks, or from a path by hand."""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import pathlib
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import PICKLE_REFUSED, Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import ConvergeLock
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import disk_fault
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.connections import Connections
from ansible_collections.comfyops.fleet.plugins.module_utils.models.content import defect, is_pickle
from ansible_collections.comfyops.fleet.plugins.module_utils.models.inline import inline_content
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import file_of
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import (
    advice,
    how_to_get_in,
    mirror_url,
    reached,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import READ_ONLY, Part
from ansible_collections.comfyops.fleet.plugins.module_utils.models.peers import NotGiven, Peers
from ansible_collections.comfyops.fleet.plugins.module_utils.models.progress import File
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import BLOCK, Receipts, record
from ansible_collections.comfyops.fleet.plugins.module_utils.models.transfer import ATTEMPTS, Transfer, WrongBytes
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob

STALL_SECONDS = 30.0
# Another host may fetch the same content into a shared store: as long as its heart beats, it is waited for.
_SHARED_FETCH_SECONDS = 24 * 3600.0


class NotFetched(FleetError):
    """A model that its source did not give."""


class Store:
    """Brings contents into the store. One for each batch; its methods run in threads."""

    def __init__(self, context: Context, receipts: Receipts, cancelled: threading.Event, budget: Connections) -> None:
        self._layout = context.layout
        self._settings = context.settings
        self._receipts = receipts
        self._cancelled = cancelled
        self._budget = budget
        self._access = Access(context.settings.credentials, context.settings.allow_http, STALL_SECONDS)
        self._peers = _peers(context, cancelled)
        self._silent_mirrors: set[str] = set()

    def fetch(self, model: Model, name: str, watched: File | None = None) -> None:
        """Get a content from a mirror, or else from its source. Raises NotFetched; FleetError when the disk fails.

        watched: is told how it goes.
        """
        file = watched or File(name, model.size)
        with self._alone(model, name):
            if not self._is_there(model):
                with _faults_of_the_disk(name), Part(self._layout.partial, model.sha256) as part:
                    with file.receiving(part):
                        self._fill(part, model, name, file)
                    self._admit(part, model, name)

    def adopt(self, model: Model, name: str, donor: pathlib.Path, copy: bool, watched: File | None = None) -> None:
        """Take a content from a file that has it: share the file, or copy it. Raises FleetError when it has changed.

        watched: is told how copying goes.
        """
        file = watched or File(name, model.size)
        with self._alone(model, name), _faults_of_the_disk(name):
            if self._is_there(model):
                return
            if copy or not self._share(model, donor, name):
                with Part(self._layout.partial, model.sha256) as part, file.receiving(part):
                    file.comes_from(donor.as_uri())
                    _copy_file(donor, part)
                    if not part.whole:
                        part.reset()
                        raise FleetError("has changed while it was read", where=str(donor), remedy="Run it again")
                    self._admit(part, model, name)

    def _alone(self, model: Model, name: str) -> contextlib.AbstractContextManager[object]:
        """A host has its own lock against a second converge; a shared store has several hosts."""
        if self._layout.shared_root is None:
            return contextlib.nullcontext()
        directory = self._layout.partial / f"{model.sha256}.lock"
        return ConvergeLock(directory, f"fetch of {name}", _SHARED_FETCH_SECONDS)

    def _is_there(self, model: Model) -> bool:
        """Whether another host has brought it since this one looked."""
        path = blob(self._layout, model.sha256)
        if self._layout.shared_root is None or not path.is_file():
            return False
        return self._receipts.verified([str(path)]).get(str(path)) == model.sha256

    def _fill(self, part: Part, model: Model, name: str, watched: File) -> None:
        file, inline = file_of(model.url), inline_content(model.url)
        if inline is not None:
            self._from_lock(part, model, name, inline)
            return
        if file is None and self._from_peers(part, model, name, watched):
            return
        if not self._settings.offline and self._from_mirrors(part, model, watched):
            return
        if file is not None:
            watched.comes_from(model.url)
            self._from_file(part, model, name, file)
        else:
            self._from_source(part, model, name, watched)

    def _from_mirrors(self, part: Part, model: Model, file: File) -> bool:
        """Whether a mirror has given it. What one lacks, or lies about, is what the source is for."""
        for base in self._settings.model_mirrors:
            if base in self._silent_mirrors:
                continue
            file.comes_from(mirror_url(base, model.sha256))
            try:
                self._transfer(part, model, attempts=2).run(mirror_url(base, model.sha256))
            except (HttpFault, WrongBytes) as fault:
                if isinstance(fault, HttpFault) and fault.status is None and not part.size:
                    self._silent_mirrors.add(base)
            else:
                return True
        return False

    def _from_peers(self, part: Part, model: Model, name: str, file: File) -> bool:
        """Whether another host of the site has given it. Raises NotFetched where it is not to be had any more."""
        if self._peers is None:
            return False

        def take(url: str, access: Access) -> None:
            file.comes_from(url)
            budget = self._budget.single()
            # Who is busy is not waited for: another peer may have it.
            Transfer(model, part, access, self._cancelled, attempts=2, budget=budget, longest_wish=0.0).run(url)

        try:
            return self._peers.fetch(model, take)
        except NotGiven as fault:
            raise NotFetched(fault.what, where=f"model {name}", remedy=fault.remedy) from fault

    def _from_source(self, part: Part, model: Model, name: str, file: File) -> None:
        settings = self._settings
        asked = reached(model.url, settings.hf_endpoint, settings.civitai_endpoint)
        file.comes_from(asked)
        try:
            self._transfer(part, model, ATTEMPTS).run(asked)
        except HttpFault as fault:
            raise NotFetched(fault.what, where=f"model {name}", remedy=advice(fault, model.url, asked, name)) from fault
        except WrongBytes as fault:
            remedy = (
                f"It may be a page in its place ({how_to_get_in(model.url, asked)}), or have changed at its source: "
                f"then lock it again with comfy_lock_upgrade={name}"
            )
            raise NotFetched(fault.what, where=f"model {name}", remedy=remedy) from fault

    def _transfer(self, part: Part, model: Model, attempts: int) -> Transfer:
        return Transfer(model, part, self._access, self._cancelled, attempts, self._budget)

    @staticmethod
    def _from_lock(part: Part, model: Model, name: str, content: bytes) -> None:
        part.reset()
        part.write(content)
        if not part.whole:
            found = part.sha256
            part.reset()
            raise NotFetched(
                f"{model.url} has sha256 {found}, the lock says {model.sha256}",
                where=f"model {name}",
                remedy="Make the lock again with lock.yml",
            )

    @staticmethod
    def _from_file(part: Part, model: Model, name: str, file: pathlib.Path) -> None:
        if not file.is_file():
            raise NotFetched(
                f"{file} is not on this host",
                where=f"model {name}",
                remedy="Put it there, or lock it from another source",
            )
        _read_file(file, part)
        if not part.whole:
            found = part.sha256
            part.reset()
            raise NotFetched(
                f"{file} has sha256 {found}, the lock says {model.sha256}",
                where=f"model {name}",
                remedy=f"Put the right file there, or lock it again with comfy_lock_upgrade={name}",
            )

    def _admit(self, part: Part, model: Model, name: str) -> None:
        """The bytes are the lock's; what remains is that the lock's are those of a model."""
        self._refuse(part.path, model, name, part.reset)
        place = blob(self._layout, model.sha256)
        part.commit(place)
        self._receipts.remember(str(place), model.sha256)

    def _refuse(self, file: pathlib.Path, model: Model, name: str, remove: c.Callable[[], None]) -> None:
        _refuse_defect(file, model, name, remove)
        if self._settings.pickle == PICKLE_REFUSED and is_pickle(file, _file_name(model)):
            remove()
            raise NotFetched(
                "it is a pickle, which runs code when it is loaded, and policy.pickle refuses those",
                where=f"model {name}",
                remedy="Take it as safetensors, or set policy.pickle (or comfy_policy.pickle) to allow once you trust"
                " where it comes from",
            )

    def _share(self, model: Model, donor: pathlib.Path, name: str) -> bool:
        """Give the store a name for the donor's own bytes; False where it is to copy them.

        A file with further names is copied, and one of somebody else's where it can not be taken over: whoever has
        those could go on to write into it.
        """
        beside = self._layout.partial / f"{model.sha256}.adopted"
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        before = os.stat(donor)
        if before.st_nlink > 1:
            return False
        if self._receipts.verified([str(donor)]).get(str(donor)) != model.sha256:
            raise FleetError("has changed since it was looked at", where=str(donor), remedy="Run it again")
        try:
            os.link(donor, beside)
        except OSError:
            return False
        if not _is_ours(beside, before):
            beside.unlink()
            return False
        self._refuse(beside, model, name, beside.unlink)
        after = record(os.stat(beside), model.sha256)
        unchanged = (after.size, after.mtime_ns, after.inode) == (before.st_size, before.st_mtime_ns, before.st_ino)
        if not unchanged:
            beside.unlink()
            return False
        beside.chmod(READ_ONLY)
        place = blob(self._layout, model.sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.replace(place)
        self._receipts.remember(str(place), model.sha256)
        return True


def _is_ours(file: pathlib.Path, status: os.stat_result) -> bool:
    """Whether nobody else may write into a file once it is read-only, or it is made so: its owner always may."""
    if status.st_uid == os.geteuid():
        return True
    with contextlib.suppress(OSError):
        os.chown(file, os.geteuid(), os.getegid())
        return True
    return False


def _peers(context: Context, cancelled: threading.Event) -> Peers | None:
    """The site's other hosts. Hosts of a shared store wait for each other there already."""
    settings = context.settings
    if not settings.peers or settings.offline or context.layout.shared_root is not None:
        return None
    return Peers(settings.peers, settings.seed, settings.peers_token, cancelled)


def _read_file(file: pathlib.Path, part: Part) -> None:
    part.reset()
    with file.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK):
            part.write(block)


def _copy_file(file: pathlib.Path, part: Part) -> None:
    """As L(_read_file), but without room and bytes that move where the file system can do that."""
    with file.open("rb", buffering=0) as stream:
        if part.take_blocks(stream.fileno()):
            return
    _read_file(file, part)


def _file_name(model: Model) -> str:
    return (model.paths[0] if model.paths else model.name).rpartition("/")[2]


def _refuse_defect(file: pathlib.Path, model: Model, name: str, remove: c.Callable[[], None]) -> None:
    reason = defect(file, _file_name(model))
    if reason is not None:
        remove()
        raise NotFetched(
            f"its bytes are those of the lock, but {reason}",
            where=f"model {name}",
            remedy="Correct the source in the spec and lock again: it has the sha256 of something that is no model",
        )


@contextlib.contextmanager
def _faults_of_the_disk(name: str) -> c.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_fault(error, f"model {name}") from error
