# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where models come from: the spellings that a spec may use, and the one that the lock gets."""

from __future__ import annotations

import typing as t
from urllib.parse import SplitResult, urlsplit

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.bucket_sources import read_bucket
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.civitai_sources import (
    CIVITAI_HOSTS,
    is_air,
    read_air,
    read_civitai,
    read_civitai_address,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.hub_sources import (
    HUB_HOSTS,
    read_hub,
    read_hub_address,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_source import ModelSource
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.urls import (
    MODEL,
    credentials_problem,
    path_segments,
    url_problem,
)

_BUCKETS: t.Final = ("gs", "s3")


def read_source(text: str, *, allow_http: bool) -> ModelSource | Problem:
    """Read a model's source; a Problem when it cannot be used."""
    if is_air(text):
        return read_air(text)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme == "hf":
        return credentials_problem(parts) or read_hub(text, parts)
    if parts.scheme == "civitai":
        return credentials_problem(parts) or read_civitai(text, parts)
    without_generation = text.partition("#")[0] if parts.scheme == "gs" else text
    problem = url_problem(without_generation, MODEL, allow_http=allow_http)
    if problem:
        return problem
    if parts.scheme in _BUCKETS:
        return read_bucket(text, parts, allow_http=allow_http)
    return _read_url(text, parts)


def _read_url(text: str, parts: SplitResult) -> ModelSource | Problem:
    host = (parts.hostname or "").removeprefix("www.")
    if host in HUB_HOSTS:
        return read_hub_address(parts)
    if host in CIVITAI_HOSTS:
        return read_civitai_address(parts)
    if host == "github.com" and "/blob/" in parts.path:
        raw = f"https://github.com{parts.path.replace('/blob/', '/raw/', 1)}"
        return Problem("is the address of a web page, not of the file", f"Write {raw}")
    name = path_segments(parts.path)[-1]
    return ModelSource(text, name if "." in name.strip(".") else None)
