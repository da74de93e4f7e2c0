# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where models come from: the spellings that a spec may use, and the one that the lock gets.

The Hub's own spelling is that of huggingface_hub's HfFileSystem; AIR is Civitai's name for a model (urn:air:...).
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import relative_problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.urls import (
    MODEL,
    credentials_problem,
    path_segments,
    url_problem,
)

CIVITAI_FILE_CHOICES: t.Final = ("type", "format", "size", "fp")
"""What chooses between several files of one model version, in the order in which it is written."""

_HUB = re.compile(
    r"(?P<repo>(datasets/)?[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)"
    r"(@(?P<revision>refs/[a-z]+/[A-Za-z0-9._-]+|[^/]+))?/(?P<path>.*)",
    re.ASCII,
)
_HUB_KINDS = re.compile(r"(datasets/[^/]+|spaces/.+|models/.+)$")
"""What only looks like a repository: the Hub keeps these names for the kinds of repositories."""

_HUB_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}", re.ASCII)
_HUB_REMEDY = "Write hf://org/repo@revision/path/in/the/repository"
_CIVITAI = re.compile(
    r"civitai://(?P<form>|models/|model-versions/|api/download/models/)(?P<id>[0-9]{1,18})/?", re.ASCII
)
_CIVITAI_REMEDY = "Write civitai://<model version id>, the number behind modelVersionId= in the page's address"
_AIR = re.compile(
    r"urn:air:[\w-]+:[\w-]+:(?P<source>[\w-]+):(?P<id>[^@]+)(@(?P<version>[0-9]{1,18}))?(\.(?P<format>\w+))?"
)
_GLOB = re.compile(r"[*\[\]]")


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A model's source in its one spelling.

    file_name is what the source calls the file, if it says so; folder is True when it stands for several files; quirk
    is what is odd about the spelling in the spec.
    """

    text: str
    file_name: str | None
    folder: bool = False
    quirk: Problem | None = None


def read_source(text: str, *, allow_http: bool) -> ModelSource | Problem:
    """Read a model's source; a Problem when it cannot be used."""
    if text.startswith("urn:air:"):
        return _read_air(text)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme == "hf":
        return credentials_problem(parts) or _read_hub(text, parts)
    if parts.scheme == "civitai":
        return credentials_problem(parts) or _read_civitai(text, parts)
    return url_problem(text, MODEL, allow_http=allow_http) or _page_problem(parts) or _read_url(text, parts)


def _read_hub(text: str, parts: SplitResult) -> ModelSource | Problem:
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    asked = [query.pop(key) for key in ("rev", "revision") if key in query]
    match = _HUB.fullmatch(text.partition("://")[2].partition("?")[0])
    if not match or query or parts.fragment or _HUB_KINDS.match(match["repo"]):
        return Problem(f"{shown(text)} names no file on the Hub", _HUB_REMEDY)
    revisions = {unquote(revision) for revision in (match["revision"], *asked) if revision}
    if len(revisions) > 1:
        return Problem("names two revisions", "Keep one of them")
    revision = revisions.pop() if revisions else "main"
    path = unquote(match["path"])
    if not _HUB_REVISION.fullmatch(revision) or ".." in revision:
        return Problem(f"has the revision {shown(revision)}", "Write a branch, a tag or a full commit")
    problem = _hub_path_problem(path)
    if problem:
        return problem
    folder = not path or path.endswith("/") or bool(_GLOB.search(path))
    name = None if folder else path.rpartition("/")[2]
    return ModelSource(f"hf://{match['repo']}@{revision.replace('/', '%2F')}/{path}", name, folder)


def _hub_path_problem(path: str) -> Problem | None:
    plain = _GLOB.sub("x", path).removesuffix("/")
    problem = relative_problem(plain) if plain else None
    return Problem(f"has the path {shown(path)}: {problem.reason}", _HUB_REMEDY) if problem else None


def _read_civitai(text: str, parts: SplitResult) -> ModelSource | Problem:
    match = _CIVITAI.fullmatch(text.partition("?")[0])
    choices = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(choices) - set(CIVITAI_FILE_CHOICES))
    if not match or parts.fragment:
        return Problem(f"{shown(text)} names no model version", _CIVITAI_REMEDY)
    if unknown:
        remedy = f"Keep only {', '.join(CIVITAI_FILE_CHOICES)}"
        return Problem(f"has the query parameter {shown(unknown[0])}, which chooses no file", remedy)
    canonical = _civitai_text(match["id"], choices)
    quirk = None
    if match["form"] == "models/":
        quirk = Problem(f"{shown(text)} is taken for the model *version* {match['id']}", f"Write {canonical}")
    return ModelSource(canonical, None, quirk=quirk)


def _civitai_text(version: str, choices: dict[str, str]) -> str:
    query = urlencode({key: choices[key] for key in CIVITAI_FILE_CHOICES if choices.get(key)})
    return f"civitai://{int(version)}{'?' if query else ''}{query}"


def _read_air(text: str) -> ModelSource | Problem:
    match = _AIR.fullmatch(text)
    if not match or match["source"] != "civitai":
        return Problem(
            f"{shown(text)} is no AIR of Civitai", "Write civitai://<model version id> or hf://org/repo/path"
        )
    if not match["version"]:
        return Problem(f"{shown(text)} names a model but no version of it", "Add @<model version id>")
    formats = {"safetensors": "SafeTensor", "safetensor": "SafeTensor", "ckpt": "PickleTensor"}
    chosen = formats.get((match["format"] or "").lower())
    return ModelSource(_civitai_text(match["version"], {"format": chosen} if chosen else {}), None)


def _read_url(text: str, parts: SplitResult) -> ModelSource | Problem:
    name = path_segments(parts.path)[-1]
    return ModelSource(text, name if "." in name.strip(".") else None)


def _page_problem(parts: SplitResult) -> Problem | None:
    """Recognise addresses of web pages about a model, which would be saved as if they were the model."""
    host, path = (parts.hostname or "").removeprefix("www."), parts.path
    if host in {"huggingface.co", "hf.co"} and (
        match := re.fullmatch(r"/([^/]+/[^/]+)/(?:blob|tree)/([^/]+)/(.+)", path)
    ):
        return Problem("is the address of a web page, not of the file", f"Write hf://{match[1]}@{match[2]}/{match[3]}")
    if host in {"civitai.com", "civitai.green", "civitai.red"} and path.startswith("/models/"):
        version = dict(parse_qsl(parts.query)).get("modelVersionId", "<model version id>")
        return Problem("is the address of a web page, not of the file", f"Write civitai://{version}")
    if host == "github.com" and "/blob/" in path:
        raw = f"https://github.com{path.replace('/blob/', '/raw/', 1)}"
        return Problem("is the address of a web page, not of the file", f"Write {raw}")
    return None
