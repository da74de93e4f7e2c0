# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on civitai: its API tells file, size and SHA256 of a model version (GET /api/v1/model-versions/<id>).

Which file a download without ``fileId`` gives depends on the preferences of the token's account (civitai/civitai,
src/server/services/file.service.ts), so the locked URL always names the file.
"""

from __future__ import annotations

import collections.abc as c
import json
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import CIVITAI, advice
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import Facts
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.civitai_sources import (
    CIVITAI_FILE_CHOICES,
    CIVITAI_MODEL,
)

Described = c.Mapping[str, t.Any]
_LONGEST_ANSWER = 10 * 1024 * 1024
_KILOBYTE = 1024
_ROUNDING = 0.01
_NOT_FOUND = 404
_DOWNLOADS = "Download"


def facts(source: str, endpoint: str | None, access: Access) -> Facts:
    """What civitai says of ``civitai://<model version>[?type=...&fileId=...]``. Raises FleetError with what to do."""
    parts = urllib.parse.urlsplit(source)
    number, query = parts.netloc, dict(urllib.parse.parse_qsl(parts.query))
    site = _Site((endpoint or CIVITAI).rstrip("/"), access)
    described = site.version(number)
    model = query.pop(CIVITAI_MODEL, None)
    if model is not None and str(described.get("modelId")) != model:
        raise FleetError(
            f"model version {number} is one of model {described.get('modelId')}, not of {model}",
            remedy=f"See {CIVITAI}/models/{described.get('modelId')}?modelVersionId={number}, and correct the source",
        )
    if described.get("usageControl") not in (None, _DOWNLOADS):
        raise FleetError(
            f"model version {number} is not for download: its author has it for use on the site alone",
            remedy=f"Choose another version: {CIVITAI}/models/{described.get('modelId')}",
        )
    file = _chosen(described.get("files") or [], query, number)
    sha256 = str((file.get("hashes") or {}).get("SHA256", "")).lower()
    if not sha256:
        raise FleetError(f"civitai has no SHA256 of {file.get('name')}", remedy="Put its checksum into the spec")
    chosen: dict[str, str] = {key: query[key] for key in CIVITAI_FILE_CHOICES if key in query}
    if "id" in file:
        chosen["fileId"] = str(file["id"])
    suffix = f"?{urllib.parse.urlencode(chosen)}" if chosen else ""
    return Facts(f"{CIVITAI}/api/download/models/{number}{suffix}", sha256, _size(file))


class _Site:
    """The API at the address where it is asked."""

    def __init__(self, base: str, access: Access) -> None:
        self._base = base
        self._access = access

    def version(self, number: str) -> Described:
        try:
            return self._ask(f"/api/v1/model-versions/{number}")
        except HttpFault as error:
            versions = self._versions_of_model(number) if error.status == _NOT_FOUND else None
            if versions:
                raise FleetError(
                    f"{number} is no model version but a model, with the versions {versions}",
                    remedy="Write the number of one of its versions",
                ) from error
            asked = f"{self._base}/api/v1/model-versions/{number}"
            public = f"{CIVITAI}/api/v1/model-versions/{number}"
            raise FleetError(error.what, remedy=advice(error, public, asked, f"model version {number}")) from error

    def _versions_of_model(self, number: str) -> str | None:
        """The versions that a model of that number has, where one is there: people take one number for the other."""
        try:
            versions = self._ask(f"/api/v1/models/{number}").get("modelVersions") or []
        except FleetError:
            return None
        return ", ".join(f"{version.get('id')} ({version.get('name')})" for version in versions) or None

    def _content(self, asked: str) -> bytes:
        with request(asked, self._access) as answer:
            return answer.read_all(_LONGEST_ANSWER)

    def _ask(self, path: str) -> Described:
        asked = f"{self._base}{path}"
        content = patiently(lambda: self._content(asked))
        try:
            described = json.loads(content)
        except ValueError as error:
            raise FleetError(f"{asked} does not answer with JSON", remedy="Check comfy_civitai_endpoint") from error
        if not isinstance(described, dict):
            raise FleetError(f"{asked} does not answer as civitai does", remedy="Check comfy_civitai_endpoint")
        return described


def _size(file: Described) -> int | None:
    """Bytes; None where the site's kilobytes are rounded, since then they do not say it."""
    size = float(file.get("sizeKB") or 0) * _KILOBYTE
    return round(size) if size and abs(size - round(size)) < _ROUNDING else None


def _chosen(files: c.Sequence[Described], query: c.Mapping[str, str], number: str) -> Described:
    """The one file that is as the query has it; of several the primary one."""
    wanted = {key: query[key].lower() for key in CIVITAI_FILE_CHOICES if key in query}
    fitting = [file for file in files if all(_said(file, key) == value for key, value in wanted.items())]
    asked = " and ".join(f"{key} {query[key]}" for key in wanted)
    if not fitting:
        raise FleetError(
            f"model version {number} has no file{f' of {asked}' if asked else ''}; {_listed(files)}",
            remedy="Change what the source chooses by (type, format, size, fp, fileId)",
        )
    primary = [file for file in fitting if file.get("primary")]
    if len(fitting) > 1 and len(primary) != 1:
        raise FleetError(
            f"model version {number} has {len(fitting)} files{f' of {asked}' if asked else ''} "
            f"and none of them is the primary one; {_listed(fitting)}",
            remedy=f"Choose one: civitai://{number}?fileId={fitting[0].get('id')}",
        )
    return (primary or fitting)[0]


def _listed(files: c.Sequence[Described]) -> str:
    described = [
        f"\n  fileId={file.get('id')}: {file.get('name')} "
        f"({', '.join(filter(None, (_text(file, key) for key in CIVITAI_FILE_CHOICES[:-1])))})"
        for file in files
    ]
    return f"it has{''.join(described)}" if described else "it has none"


def _said(file: Described, key: str) -> str:
    return _text(file, key).lower()


def _text(file: Described, key: str) -> str:
    if key == "fileId":
        return str(file.get("id", ""))
    return str(file.get(key) or (file.get("metadata") or {}).get(key) or "")
