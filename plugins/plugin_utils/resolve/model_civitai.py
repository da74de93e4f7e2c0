# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on civitai: its API tells file, size and SHA256 of a model version (GET /api/v1/model-versions/<id>)."""

from __future__ import annotations

import collections.abc as c
import json
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import CIVITAI, advice
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import Facts
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_sources import CIVITAI_FILE_CHOICES

_LONGEST_ANSWER = 10 * 1024 * 1024
_KILOBYTE = 1024
_ROUNDING = 0.01


def facts(source: str, endpoint: str | None, access: Access) -> Facts:
    """What civitai says of ``civitai://<model version>[?type=...&format=...]``. Raises FleetError with what to do."""
    parts = urllib.parse.urlsplit(source)
    number, query = parts.netloc, urllib.parse.parse_qs(parts.query)
    asked = f"{(endpoint or CIVITAI).rstrip('/')}/api/v1/model-versions/{number}"
    try:
        with request(asked, access) as answer:
            described = json.loads(answer.read_all(_LONGEST_ANSWER))
    except HttpFault as error:
        url = f"{CIVITAI}/api/v1/model-versions/{number}"
        raise FleetError(error.what, remedy=advice(error, url, asked, f"model version {number}")) from error
    except ValueError as error:
        raise FleetError(f"{asked} does not answer with JSON", remedy="Check comfy_civitai_endpoint") from error
    file = _chosen(described.get("files") or [], query, number)
    sha256 = str((file.get("hashes") or {}).get("SHA256", "")).lower()
    if not sha256:
        raise FleetError(f"civitai has no SHA256 of {file.get('name')}", remedy="Put its checksum into the spec")
    suffix = f"?{parts.query}" if parts.query else ""
    return Facts(f"{CIVITAI}/api/download/models/{number}{suffix}", sha256, _size(file))


def _size(file: c.Mapping[str, t.Any]) -> int | None:
    """Bytes; None where the site's kilobytes are rounded, since then they do not say it."""
    size = float(file.get("sizeKB") or 0) * _KILOBYTE
    return round(size) if size and abs(size - round(size)) < _ROUNDING else None


def _chosen(files: c.Sequence[dict[str, t.Any]], query: c.Mapping[str, list[str]], number: str) -> dict[str, t.Any]:
    """The file that the download gives: one that is as the query has it, and the primary one of several."""
    wanted = {key: values[0].lower() for key, values in query.items() if key in CIVITAI_FILE_CHOICES}
    fitting = [file for file in files if all(_said(file, key) == value for key, value in wanted.items())]
    primary = [file for file in fitting if file.get("primary")] or fitting
    if not primary:
        there = ", ".join(f"{file.get('type')}/{_said(file, 'format')}" for file in files) or "none"
        asked = ", ".join(f"{key} {value}" for key, value in wanted.items()) or "any"
        raise FleetError(
            f"model version {number} has no file of {asked}; it has {there}",
            remedy="Change the query of the source (type, format, size, fp)",
        )
    return primary[0]


def _said(file: c.Mapping[str, t.Any], key: str) -> str:
    return str(file.get(key) or (file.get("metadata") or {}).get(key) or "").lower()
