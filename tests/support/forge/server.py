# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge itself: two ports, all services, one request log."""

from __future__ import annotations

import dataclasses
import typing as t

from tests.support.forge import faults as fault_effects
from tests.support.forge.blobs import BlobService
from tests.support.forge.buckets import BucketService, StoredObject
from tests.support.forge.civitai import CivitaiService, CivitaiVersion
from tests.support.forge.contents import ContentKind, ContentStore, generated
from tests.support.forge.faults import Fault, FaultKind, Faults
from tests.support.forge.git import PUBLIC_URL as PUBLIC_GIT_URL
from tests.support.forge.git import GitService, Repository
from tests.support.forge.hub import HubRepository, HubService
from tests.support.forge.models import MirrorService, Model, ModelService
from tests.support.forge.packages import Index, PackageService
from tests.support.forge.web import OWN_INTERFACE, LoggedRequest, Request, RequestLog, Response, Server, text

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType


class Forge:
    """Git host, package indexes, model sites and a second ("blob") host, on this machine.

    Both ports are bound when the object is made, so its URLs are known at once; it serves inside ``with`` or between
    ``start`` and ``close``.

    Args:
        directory: an empty or new directory for repositories, contents and the request log.
        bind: the address to listen on; ``blob_bind`` is the second port's, the same where it is not given.
        port: 0 for any free one, and so for ``blob_port``.
        host_name: how clients reach ``bind``, where it is another name than the address (as with 0.0.0.0).

    Raises:
        FileExistsError: the directory has something in it.
        OSError: an address or port cannot be had.
    """

    def __init__(
        self,
        directory: Path,
        *,
        bind: str = "127.0.0.1",
        port: int = 0,
        blob_bind: str | None = None,
        blob_port: int = 0,
        host_name: str | None = None,
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise FileExistsError(f"{directory} is not empty: give the forge a new or an empty directory")
        self._log = RequestLog(directory / "requests.jsonl")
        self.faults = Faults()
        self._main = Server((bind, port), "main", self._answer, self._log)
        self._blob = Server((blob_bind or bind, blob_port), "blob", self._answer, self._log)
        self.base_url = f"http://{host_name or bind}:{self._main.server_port}"
        self.blob_url = f"http://{blob_bind or host_name or bind}:{self._blob.server_port}"
        self._contents = ContentStore(directory / "contents")
        self._blobs = BlobService(self.blob_url, self._contents)
        self._git = GitService(directory / "git", self.base_url)
        self._packages = PackageService(self.base_url, self._contents)
        self._models = ModelService(self.base_url, self._blobs)
        self._hub = HubService(self._contents, self._blobs)
        self._civitai = CivitaiService(self.base_url, self._contents, self._blobs)
        self.buckets = BucketService(self.base_url)
        self.mirror = MirrorService(self._contents)
        self._routes = self._make_routes()

    def _make_routes(self) -> dict[tuple[str, str], Callable[[Request], Response]]:
        """What answers, by port and first segment of the path."""
        return {
            ("main", "git"): self._git.answer,
            ("main", "simple"): self._packages.answer,
            ("main", "index"): self._packages.answer,
            ("main", "files"): self._packages.answer,
            ("main", "models"): self._models.answer,
            ("main", "mirror"): self.mirror.answer,
            ("main", "hub"): self._hub.answer,
            ("main", "civitai"): self._civitai.answer,
            ("main", "storage"): self.buckets.answer,
            ("blob", "blob"): self._blobs.answer,
        }

    def start(self) -> Forge:
        """Begins to serve."""
        self._main.start()
        self._blob.start()
        return self

    def close(self) -> None:
        """Stops serving and ends every open connection."""
        self._main.close()
        self._blob.close()

    def __enter__(self) -> Forge:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # What there is to serve

    def repository(self, name: str) -> Repository:
        """The git repository ``owner/name``, made where it is new."""
        return self._git.repository(name)

    def index(self, name: str = "pypi") -> Index:
        """The package index of that name, made where it is new."""
        return self._packages.index(name)

    def model(
        self,
        path: str,
        content: bytes | None = None,
        *,
        size: int = 4096,
        kind: ContentKind = "safetensors",
        seed: str | None = None,
        token: str | None = None,
        redirects: bool = False,
    ) -> Model:
        """Puts a model at /models/<path>, with generated content where none is given."""
        stored = self._contents.add(generated(kind, size, seed or path) if content is None else (content,))
        return self._models.add(path, stored, token=token, redirects=redirects)

    def remove_model(self, path: str) -> None:
        """Takes a model away: its URL is answered with 404."""
        self._models.remove(path)

    def hub(self, name: str, gated_token: str | None = None) -> HubRepository:
        """The Hub repository ``organisation/name``, made where it is new."""
        return self._hub.repository(name, gated_token)

    def stored(
        self, bucket: str, key: str, content: bytes | None = None, *, size: int = 4096, **more: t.Any
    ) -> StoredObject:
        """Puts an object into a bucket of the Google-like storage; ``more`` are fields of ``StoredObject``."""
        stored = self._contents.add(
            generated("safetensors", size, f"{bucket}/{key}") if content is None else (content,)
        )
        return self.buckets.put(bucket, key, stored, **more)

    def civitai(self, number: int) -> CivitaiVersion:
        """The civitai model version of that number, made where it is new."""
        return self._civitai.version(number)

    def fault(self, kind: FaultKind, path: str, **details: t.Any) -> int:
        """Switches a fault on for a path pattern and gives its number; ``details`` are fields of ``Fault``."""
        return self.faults.add(Fault(kind, path, **details))

    # What was asked, and where things are

    @property
    def requests(self) -> list[LoggedRequest]:
        """The requests answered so far, those of the forge's own interface aside."""
        return self._log.snapshot()

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far."""
        return self._log.connections

    def close_connections(self) -> None:
        """Ends every open connection, and goes on to serve."""
        self._main.close_connections()
        self._blob.close_connections()

    def forget_requests(self) -> None:
        """Begins the log anew."""
        self._log.clear()

    @property
    def hub_url(self) -> str:
        """What HF_ENDPOINT is for this forge."""
        return f"{self.base_url}/hub"

    @property
    def civitai_url(self) -> str:
        """The base URL of the civitai-like site."""
        return f"{self.base_url}/civitai"

    @property
    def storage_url(self) -> str:
        """The endpoint of the Google-like storage."""
        return f"{self.base_url}/storage"

    @property
    def mirror_url(self) -> str:
        """The base URL of the content-addressed mirror."""
        return f"{self.base_url}/mirror"

    def variables(self) -> dict[str, t.Any]:
        """The collection's variables that point a run at this forge."""
        return {
            "comfy_git_mirrors": {PUBLIC_GIT_URL: f"{self.base_url}/git/"},
            "comfy_python_indexes": {name: index.url for name, index in self._packages.indexes.items()},
            "comfy_hf_endpoint": self.hub_url,
            "comfy_civitai_endpoint": self.civitai_url,
            "comfy_model_mirrors": [self.mirror_url],
        }

    def _answer(self, request: Request) -> Response:
        if request.port == "main" and request.path.startswith(OWN_INTERFACE):
            return self._own_interface(request)
        request = dataclasses.replace(request, faults=self.faults.take(request))
        self._main.stopping.wait(fault_effects.delay(request))
        replacement = fault_effects.replacement(request, self._log.in_flight - 1)
        if replacement is not None:
            return fault_effects.disturbed(request, replacement)
        route = self._routes.get((request.port, next(iter(request.parts), "")))
        if route is None:
            return text(404, f"the forge serves nothing at {request.path}")
        return fault_effects.disturbed(request, route(request))

    def _own_interface(self, request: Request) -> Response:
        if request.parts == ["forge", "faults"]:
            return self.faults.answer(request)
        return text(404, "the forge's own interface is /forge/faults")
