# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An index on loopback that binds packages to their indexes, transitive ones included, while uv resolves.

uv asks it first, and its default index for what is not found here. A bound name always gets an answer here (maybe no
files, maybe a fault), so that it is never taken from the default index; all other names get 404. Files stay where they
are: uv sees addresses of ours, reads metadata through them and never a whole file.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import hashlib
import http.server
import itertools
import pathlib
import secrets
import threading
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import (
    JSON_TYPE,
    ListedFile,
    write_page,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import LOCAL, Indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_archive import MOST_METADATA
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_contents import read_metadata

# For uv a file without a date does not exist while exclude_newer is set; many indexes (PyTorch's) give none.
_NO_DATE: t.Final = "1970-01-01T00:00:00Z"
# Without one uv would read the whole file for its lock; what we take is always that of the file's own index.
_NO_HASH: t.Final = "0" * 64
_METADATA: t.Final = ".metadata"
_NOT_THERE: t.Final = 404
# uv asks again, for ten seconds, after other refusals; the fault is told by us in any case.
_REFUSED: t.Final = 403


@dataclasses.dataclass(frozen=True)
class LocalWheel:
    """A wheel that no index has, the only candidate of its name beside others of the same.

    sha256 in lower-case hex; size in bytes; metadata: its core metadata. entry: what the lock has of it beyond name,
    version, file, sha256 and size (its source above all), or in their place. path: the file, where there is one.
    """

    file: str
    sha256: str
    size: int
    metadata: bytes
    entry: c.Mapping[str, t.Any]
    path: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a file that uv chose really is. index: by name."""

    index: str
    file: ListedFile


class RoutingIndex:
    """The index, from ``with`` to its end. url: for uv, unguessable, as anybody on this machine may ask.

    faults: why bound packages could not be looked up: then what uv found does not count. missing: bound names that
    their index does not have. undated: names of which it gave a file without a date.
    """

    def __init__(self, indexes: Indexes, local: c.Mapping[str, c.Sequence[LocalWheel]], cache: pathlib.Path) -> None:
        self.faults: list[FleetError] = []
        self.missing: set[str] = set()
        self.undated: set[str] = set()
        self._indexes = indexes
        self._local = local
        self._cache = cache
        self._origins: dict[str, Origin] = {}
        self._numbers = itertools.count()
        self._root = f"/{secrets.token_urlsafe(16)}"
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> RoutingIndex:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where uv finds it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self._root}/simple"

    def origin(self, url: str) -> Origin | None:
        """Where the file behind one of our addresses is; None for another address."""
        return (
            self._origins.get(urllib.parse.urlsplit(url).path) if url.startswith(self.url[: -len("/simple")]) else None
        )

    def index_of(self, package: str) -> str | None:
        """The index that we ask for a package; None for what is not ours to answer."""
        if package in self._local:
            return LOCAL
        index = self._indexes.of(package)
        return None if index == DEFAULT_INDEX else index

    def answer(self, path: str) -> tuple[int, bytes]:
        """The status and body of an answer to GET."""
        kind, _slash, rest = path.removeprefix(f"{self._root}/").partition("/")
        try:
            if path.startswith(f"{self._root}/") and kind == "simple":
                return self._page(rest.strip("/"))
            origin = self._origins.get(path.removesuffix(_METADATA)) if path.endswith(_METADATA) else None
            if origin:
                return 200, self._metadata_of(origin)
        except FleetError as fault:
            self.faults.append(fault)
            return _REFUSED, str(fault).encode()
        return _NOT_THERE, b""

    def _page(self, package: str) -> tuple[int, bytes]:
        index = self.index_of(package)
        if index is None:
            return _NOT_THERE, b""
        files = [_listed(wheel) for wheel in self._local[package]] if index == LOCAL else self._files(package)
        return 200, write_page(package, [self._own(Origin(index, file)) for file in files])

    def _files(self, package: str) -> list[ListedFile]:
        found = self._indexes.files_of(package)
        if found is None:
            self.missing.add(package)
        if any(file.uploaded is None for file in found or ()):
            self.undated.add(package)
        return found or []

    def _own(self, origin: Origin) -> ListedFile:
        """The file as uv is told of it: at an address of ours, with metadata, a date and a hash."""
        path = f"{self._root}/files/{next(self._numbers)}/{urllib.parse.quote(origin.file.name)}"
        self._origins[path] = origin
        return dataclasses.replace(
            origin.file,
            url=path,
            sha256=origin.file.sha256 or _NO_HASH,
            uploaded=origin.file.uploaded or _NO_DATE,
            has_metadata=origin.file.is_wheel,
            metadata_sha256=None,
        )

    def _metadata_of(self, origin: Origin) -> bytes:
        """The core metadata of a file, asked for once."""
        file = origin.file
        if origin.index == LOCAL:
            return next(w.metadata for wheels in self._local.values() for w in wheels if w.file == file.name)
        known = self._indexes.known_metadata
        if file.url not in known:
            beside = self._metadata_beside(origin) if file.has_metadata else None
            if beside is None:
                beside = read_metadata(file, self._indexes.access, self._cache)
            known[file.url] = beside
        return known[file.url]

    def _metadata_beside(self, origin: Origin) -> bytes | None:
        """The metadata file of a wheel (PEP 658); None where the index promises it and has none."""
        file, url = origin.file, f"{origin.file.url}{_METADATA}"

        def ask() -> bytes:
            with request(url, self._indexes.access) as answer:
                return answer.read_all(MOST_METADATA)

        try:
            content = patiently(ask)
        except HttpFault as fault:
            if fault.status == _NOT_THERE:
                return None
            what = f"the metadata of {file.name} cannot be read in the index {self._indexes.shown(origin.index)}"
            raise FleetError(f"{what}: {fault.what}", remedy=fault.remedy or "Lock again") from fault
        found = hashlib.sha256(content).hexdigest()
        if file.metadata_sha256 not in (None, found):
            raise FleetError(
                f"the metadata of {file.name} at {url} has the sha256 {found}, and the index"
                f" {self._indexes.shown(origin.index)} says {file.metadata_sha256}",
                remedy="Lock again, or take the package from elsewhere",
            )
        return content


def _listed(wheel: LocalWheel) -> ListedFile:
    url = wheel.path.as_uri() if wheel.path else ""
    return ListedFile(wheel.file, url, sha256=wheel.sha256, size=wheel.size, uploaded=_NO_DATE)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, routing: RoutingIndex) -> None:
        self.routing = routing
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Answer with what the index has."""
        status, body = self.server.routing.answer(urllib.parse.urlsplit(self.path).path)
        self.send_response(status)
        self.send_header("Content-Type", JSON_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing is logged: paths are not for others."""
