# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A civitai-like site: what a model version has, and its download, which redirects to the second port."""

from __future__ import annotations

import dataclasses
import typing as t
import urllib.parse

from tests.support.forge.contents import ContentKind, generated
from tests.support.forge.web import Request, Response, document, redirect

if t.TYPE_CHECKING:
    from tests.support.forge.blobs import BlobService
    from tests.support.forge.contents import Content, ContentStore


@dataclasses.dataclass(frozen=True)
class CivitaiFile:
    """One file of a model version; ``kind`` and ``file_format`` are what a download may select by."""

    number: int
    name: str
    content: Content
    blob_path: str
    primary: bool
    kind: str
    file_format: str

    @property
    def sha256(self) -> str:
        """The content's sha256 in lower-case hex (the site writes it in upper case)."""
        return self.content.sha256

    @property
    def size(self) -> int:
        """The content's size in bytes."""
        return self.content.size


class CivitaiVersion:
    """One version of a model. With a ``token`` only those who bring it may download; reading about it is free."""

    def __init__(self, number: int, base_url: str, contents: ContentStore, blobs: BlobService) -> None:
        self.number = number
        self.token: str | None = None
        self.files: list[CivitaiFile] = []
        self._base_url = base_url
        self._contents = contents
        self._blobs = blobs

    @property
    def download_url(self) -> str:
        """What the site says the primary file is to be fetched from."""
        return f"{self._base_url}/civitai/api/download/models/{self.number}"

    def file(
        self,
        name: str,
        content: bytes | None = None,
        *,
        size: int = 4096,
        content_kind: ContentKind = "safetensors",
        kind: str = "Model",
        file_format: str = "SafeTensor",
    ) -> CivitaiFile:
        """Adds a file; the first one is the primary one."""
        seed = f"civitai/{self.number}/{name}"
        stored = self._contents.add(generated(content_kind, size, seed) if content is None else (content,))
        number = self.number * 10 + len(self.files)
        file = CivitaiFile(number, name, stored, self._blobs.path(stored), not self.files, kind, file_format)
        self.files.append(file)
        return file

    def description(self) -> dict[str, object]:
        """What ``/api/v1/model-versions/<id>`` answers."""
        return {
            "id": self.number,
            "modelId": self.number // 10,
            "name": f"version {self.number}",
            "status": "Published",
            "model": {"name": f"model {self.number // 10}", "type": "Checkpoint", "nsfw": False},
            "files": [self._description(file) for file in self.files],
            "downloadUrl": self.download_url,
        }

    def _description(self, file: CivitaiFile) -> dict[str, object]:
        selection = urllib.parse.urlencode({"type": file.kind, "format": file.file_format})
        return {
            "id": file.number,
            "name": file.name,
            "sizeKB": file.size / 1024,
            "type": file.kind,
            "metadata": {"format": file.file_format},
            "hashes": {"SHA256": file.sha256.upper(), "AutoV2": file.sha256[:10].upper()},
            "primary": file.primary,
            "downloadUrl": self.download_url if file.primary else f"{self.download_url}?{selection}",
        }

    def select(self, query: dict[str, str]) -> CivitaiFile | None:
        """The file that a download's query selects; without a selection the primary one."""
        if "fileId" in query:
            return next((file for file in self.files if str(file.number) == query["fileId"]), None)
        wanted = {name: query[name].lower() for name in ("type", "format") if name in query}
        for file in self.files:
            offered = {"type": file.kind.lower(), "format": file.file_format.lower()}
            if (wanted or file.primary) and wanted.items() <= offered.items():
                return file
        return None


class CivitaiService:
    """Serves the versions under /civitai/api/."""

    def __init__(self, base_url: str, contents: ContentStore, blobs: BlobService) -> None:
        self._base_url = base_url
        self._contents = contents
        self._blobs = blobs
        self._versions: dict[int, CivitaiVersion] = {}

    def version(self, number: int) -> CivitaiVersion:
        """The model version of that number, made where it is new."""
        if number not in self._versions:
            self._versions[number] = CivitaiVersion(number, self._base_url, self._contents, self._blobs)
        return self._versions[number]

    def answer(self, request: Request) -> Response:
        """One call of the site's interface."""
        parts = request.parts[1:]
        if len(parts) == 4 and parts[:3] == ["api", "v1", "models"]:
            return self._model(parts[3])
        if len(parts) != 4 or parts[:3] not in (["api", "v1", "model-versions"], ["api", "download", "models"]):
            return document({"error": "Not found"}, 404)
        version = self._versions.get(int(parts[3])) if parts[3].isdigit() else None
        if version is None:
            return document({"error": f"No model with id {parts[3]}"}, 404)
        return document(version.description()) if parts[1] == "v1" else self._download(request, version)

    def _model(self, number: str) -> Response:
        """What ``/api/v1/models/<id>`` answers: a model and its versions, newest first."""
        versions = [each for each in self._versions.values() if str(each.number // 10) == number]
        if not versions:
            return document({"error": f"No model with id {number}"}, 404)
        found = [each.description() for each in sorted(versions, key=lambda each: -each.number)]
        return document({"id": int(number), "name": f"model {number}", "modelVersions": found})

    def _download(self, request: Request, version: CivitaiVersion) -> Response:
        if version.token not in (None, request.token, request.query.get("token")):
            message = "The creator of this asset requires you to be logged in to download it"
            return document({"error": "Unauthorized", "message": message}, 401)
        file = version.select(request.query)
        if file is None:
            return document({"error": "No file matches the request"}, 404)
        return redirect(self._blobs.signed_url(file.content, file.name), status=307)
