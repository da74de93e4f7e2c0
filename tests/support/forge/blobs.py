# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge's second port: the storage that the Hub, civitai and plain model URLs redirect to.

It is another host as far as HTTP clients go, so a client that sends a token on to it is seen. Like the real storage it
knows signed URLs only, and refuses a request that brings an Authorization header as well.
"""

from __future__ import annotations

import hashlib
import typing as t
import urllib.parse

from tests.support.forge.web import Request, Response, static, text

if t.TYPE_CHECKING:
    from tests.support.forge.contents import Content, ContentStore


class BlobService:
    """Serves contents by sha256 to whoever has a signed URL."""

    def __init__(self, base_url: str, contents: ContentStore) -> None:
        self._base_url = base_url
        self._contents = contents

    def path(self, content: Content) -> str:
        """The path of a content on the second port: what a fault there is set for."""
        return f"/blob/{content.sha256}"

    def signed_url(self, content: Content, file_name: str) -> str:
        """A URL that gives the content under that name."""
        query = {"filename": file_name, "signature": _signature(content.sha256, file_name)}
        return f"{self._base_url}{self.path(content)}?{urllib.parse.urlencode(query)}"

    def answer(self, request: Request) -> Response:
        """GET or HEAD of /blob/<sha256>?filename=&signature=."""
        sha256, query = request.parts[-1], request.query
        path = self._contents.find(sha256)
        if "authorization" in request.headers:
            return text(400, "InvalidArgument: only one way of authentication, and the query has a signature")
        if path is None or query.get("signature") != _signature(sha256, query.get("filename", "")):
            return text(403, "AccessDenied: the signature is missing or wrong")
        disposition = f'attachment; filename="{query["filename"]}"'
        return static(request, path, sha256[:32], headers={"Content-Disposition": disposition})


def _signature(sha256: str, file_name: str) -> str:
    return hashlib.sha256(f"forge {sha256} {file_name}".encode()).hexdigest()[:40]
