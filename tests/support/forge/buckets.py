# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object storage as Google's XML API answers: generations, tokens or HMAC keys, and no sha256.

Its token service (POST /storage/token) gives the token of a service account to whoever signs as one.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t
import urllib.parse

from tests.support.forge.web import Request, Response, data, document, static

if t.TYPE_CHECKING:
    from tests.support.forge.contents import Content

_FIRST_GENERATION = 1700000000000000


@dataclasses.dataclass(frozen=True)
class StoredObject:
    """One generation of an object. readers: tokens and access keys that may read it; None: everybody."""

    bucket: str
    key: str
    content: Content
    generation: int
    readers: frozenset[str] | None = None
    metadata: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The content's sha256 in lower-case hex."""
        return self.content.sha256

    @property
    def size(self) -> int:
        """The content's size in bytes."""
        return self.content.size


class BucketService:
    """Serves objects under /storage/<bucket>/<key>."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.service_token = "token-of-the-service-account"
        self.assertions: list[str] = []
        self._objects: dict[tuple[str, str], list[StoredObject]] = {}
        self._generations = itertools.count(_FIRST_GENERATION)

    def put(self, bucket: str, key: str, content: Content, **more: t.Any) -> StoredObject:
        """Adds a generation of an object."""
        stored = StoredObject(bucket, key, content, next(self._generations), **more)
        self._objects.setdefault((bucket, key), []).append(stored)
        return stored

    def answer(self, request: Request) -> Response:
        """GET or HEAD of an object, or a call of the token service."""
        if request.path == "/storage/token":
            return self._token(request)
        parts = request.parts[1:]
        found = self._find(parts[0], "/".join(parts[1:]), request.query.get("generation")) if parts else None
        if found is None:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        if found.readers is not None:
            reader = _reader(request)
            if reader is None:
                return _error(401, "AccessDenied", "Anonymous caller does not have storage.objects.get access")
            if reader not in found.readers:
                return _error(403, "AccessDenied", "The caller does not have storage.objects.get access")
        headers = {
            "x-goog-generation": str(found.generation),
            "x-goog-hash": "crc32c=AAAAAA==",
            "x-goog-stored-content-length": str(found.size),
            **{f"x-goog-meta-{name}": value for name, value in found.metadata.items()},
        }
        return static(request, found.content.path, found.sha256[:32], headers=headers)

    def _find(self, bucket: str, key: str, generation: str | None) -> StoredObject | None:
        generations = self._objects.get((bucket, key), [])
        fitting = [each for each in generations if generation in (None, str(each.generation))]
        return fitting[-1] if fitting else None

    def _token(self, request: Request) -> Response:
        form = urllib.parse.parse_qs(request.body.decode())
        self.assertions += form.get("assertion", [])
        return document({"access_token": self.service_token, "expires_in": 3600, "token_type": "Bearer"})


def _reader(request: Request) -> str | None:
    """Who asks: the bearer token, or the access key that the request is signed with."""
    signed = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/", request.headers.get("authorization", ""))
    return signed[1] if signed else request.token


def _error(status: int, code: str, message: str) -> Response:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return data(body.encode(), "application/xml; charset=UTF-8", status=status)
