# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in buckets: ``s3://bucket/key``, of Amazon or of whoever speaks S3, and ``gs://bucket/object``.

What an address holds is percent-encoded, so that keys may have ``?`` and ``#``. A version is ``?versionId=`` in S3 and,
as gsutil has it, ``#<generation>`` in Google Cloud Storage.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import SplitResult, parse_qsl, quote, urlencode

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_source import ModelSource
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.urls import (
    BUCKET_ENDPOINT,
    path_segments,
    url_problem,
)

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}", re.ASCII)
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_PARAMETERS: t.Final = {"s3": ("versionId", "endpoint", "region"), "gs": ("generation", "endpoint")}
_EXAMPLES: t.Final = {
    "s3": "s3://bucket/path?versionId=<id>&endpoint=https://host&region=<region>, all after '?' optional",
    "gs": "gs://bucket/path#<generation>?endpoint=https://host, all after '#' optional",
}


def read_bucket(text: str, parts: SplitResult, *, allow_http: bool) -> ModelSource | Problem:
    """Read ``s3://`` or ``gs://``; a Problem when it names no object."""
    parts = _with_generation(parts)
    remedy = f"Write {_EXAMPLES[parts.scheme]}"
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(query) - set(_PARAMETERS[parts.scheme]))
    if unknown or parts.fragment:
        odd = shown(unknown[0]) if unknown else "'#'"
        return Problem(f"has {odd}, which says nothing about an object of {parts.scheme}", remedy)
    if not _BUCKET.fullmatch(parts.netloc):
        return Problem(f"{shown(text)} names no bucket", remedy)
    segments = path_segments(parts.path)
    if not segments[-1]:
        return Problem(f"{shown(text)} names no object", remedy)
    problem = _value_problem(query, allow_http)
    return problem or ModelSource(_text(parts, query), segments[-1])


def _with_generation(parts: SplitResult) -> SplitResult:
    """``gs://bucket/object#123`` is what gsutil prints; before or after a query."""
    match = re.fullmatch(r"([0-9]{1,20})(\?(.*))?", parts.fragment, re.ASCII)
    if parts.scheme != "gs" or not match:
        return parts
    query = "&".join(each for each in (parts.query, match[3], f"generation={match[1]}") if each)
    return parts._replace(fragment="", query=query)


def _value_problem(query: dict[str, str], allow_http: bool) -> Problem | None:
    endpoint, region, generation = query.get("endpoint"), query.get("region"), query.get("generation")
    if endpoint is not None:
        problem = url_problem(endpoint, BUCKET_ENDPOINT, allow_http=allow_http)
        if problem:
            return Problem(f"has the endpoint {shown(endpoint)}, which {problem.reason}", problem.remedy)
    if region is not None and not _REGION.fullmatch(region):
        return Problem(f"has the region {shown(region)}", "Write one such as eu-central-1")
    if generation is not None and not re.fullmatch(r"[0-9]{1,20}", generation, re.ASCII):
        return Problem(f"has the generation {shown(generation)}, which is no number", "Write the object's generation")
    return None


def _text(parts: SplitResult, query: dict[str, str]) -> str:
    generation = query.pop("generation", None)
    if "endpoint" in query:
        query["endpoint"] = query["endpoint"].rstrip("/")
    path = "/".join(quote(segment, safe="~!$&'()*+,;=:@") for segment in path_segments(parts.path))
    written = urlencode({key: query[key] for key in sorted(query) if query[key]}, safe=":/", quote_via=quote)
    text = f"{parts.scheme}://{parts.netloc}{path}"
    return f"{text}{'#' if generation else ''}{generation or ''}{'?' if written else ''}{written}"
