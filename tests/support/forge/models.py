# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models behind plain URLs, and the content-addressed mirror of everything that the forge has.

A model may ask for a token, and may be answered with a redirect to the second port. The mirror's paths are
``sha256/ab/ab12...`` below its base URL.
"""

from __future__ import annotations

import dataclasses
import typing as t
import urllib.parse

from tests.support.forge.web import Request, Response, document, redirect, static, text

if t.TYPE_CHECKING:
    from tests.support.forge.blobs import BlobService
    from tests.support.forge.contents import Content, ContentStore

# Where the models of the demo say they are; the mirror is how they are reached.
PUBLIC_URL = "https://models.forge.example/"


@dataclasses.dataclass(frozen=True)
class Model:
    """A file behind a URL. ``public_url`` is the same file's address in a specification."""

    path: str
    url: str
    public_url: str
    content: Content
    blob_path: str
    token: str | None = None
    redirects: bool = False

    @property
    def sha256(self) -> str:
        """The content's sha256 in lower-case hex."""
        return self.content.sha256

    @property
    def size(self) -> int:
        """The content's size in bytes."""
        return self.content.size


class ModelService:
    """Serves models under /models/<path>."""

    def __init__(self, base_url: str, blobs: BlobService) -> None:
        self._base_url = base_url
        self._blobs = blobs
        self._models: dict[str, Model] = {}

    def add(self, path: str, content: Content, *, token: str | None = None, redirects: bool = False) -> Model:
        """Puts a content at a path, in place of what was there."""
        quoted = urllib.parse.quote(path)
        url = f"{self._base_url}/models/{quoted}"
        model = Model(path, url, PUBLIC_URL + quoted, content, self._blobs.path(content), token, redirects)
        self._models[path] = model
        return model

    def remove(self, path: str) -> None:
        """Takes a model away: 404 from now on."""
        del self._models[path]

    def answer(self, request: Request) -> Response:
        """GET or HEAD of a model."""
        model = self._models.get("/".join(request.parts[1:]))
        if model is None:
            return text(404, "no model is here")
        if model.token is not None and request.token != model.token:
            return _refused(request)
        if model.redirects:
            return redirect(self._blobs.signed_url(model.content, model.path.rpartition("/")[2]))
        return static(request, model.content.path, model.content.sha256[:32])


def _refused(request: Request) -> Response:
    if request.token is None:
        return document({"error": "a token is needed"}, 401, {"WWW-Authenticate": 'Bearer realm="forge"'})
    return document({"error": "this token may not read the model"}, 403)


class MirrorService:
    """Serves every content that the forge has, by its sha256; ``withheld`` ones are answered with 404."""

    def __init__(self, contents: ContentStore) -> None:
        self._contents = contents
        self.withheld: set[str] = set()

    def answer(self, request: Request) -> Response:
        """GET or HEAD of /mirror/sha256/ab/ab12...."""
        parts = request.parts
        if len(parts) != 4 or parts[1] != "sha256" or parts[2] != parts[3][:2]:
            return text(404, "a mirror's path is sha256/ab/ab12...")
        path = self._contents.find(parts[3])
        if path is None or parts[3] in self.withheld:
            return text(404, "the mirror does not have this content")
        return static(request, path, parts[3])
