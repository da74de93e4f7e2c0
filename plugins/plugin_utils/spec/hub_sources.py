# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models on the Hugging Face Hub: ``hf://`` as huggingface_hub's HfFileSystem has it, and the site's own addresses."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import SplitResult, parse_qsl, unquote

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_source import ModelSource
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import relative_problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem

HUB_HOSTS: t.Final = frozenset({"huggingface.co", "hf.co"})

_HUB = re.compile(
    r"(?P<repo>(datasets/)?[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)"
    r"(@(?P<revision>refs/[a-z]+/[A-Za-z0-9._-]+|[^/]+))?/(?P<path>.*)",
    re.ASCII,
)
_HUB_KINDS = re.compile(r"(datasets/[^/]+|spaces/.+|models/.+)$")
"""What only looks like a repository: the Hub keeps these names for the kinds of repositories."""

_HUB_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}", re.ASCII)
_HUB_REMEDY = "Write hf://org/repo@revision/path/in/the/repository"
_GLOB = re.compile(r"[*\[\]]")
_ADDRESS = re.compile(
    r"/(?P<repo>(datasets/)?[^/]+/[^/]+)/(?P<page>resolve|blob|raw|tree)/"
    r"(?P<revision>refs/[a-z]+/[^/]+|[^/]+)(/(?P<path>.*))?"
)


def read_hub(text: str, parts: SplitResult) -> ModelSource | Problem:
    """Read ``hf://[datasets/]org/repo[@revision]/path``; a path that ends with ``/`` or is a pattern is for many."""
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    asked = [query.pop(key) for key in ("rev", "revision") if key in query]
    match = _HUB.fullmatch(text.partition("://")[2].partition("?")[0])
    if not match or query or parts.fragment or _HUB_KINDS.match(match["repo"]):
        return Problem(f"{shown(text)} names no file on the Hub", _HUB_REMEDY)
    revisions = {unquote(revision) for revision in (match["revision"], *asked) if revision}
    if len(revisions) > 1:
        return Problem("names two revisions", "Keep one of them")
    return hub_source(match["repo"], revisions.pop() if revisions else "main", unquote(match["path"]))


def hub_source(repo: str, revision: str, path: str) -> ModelSource | Problem:
    """Give the source of a path at a revision, both decoded; a Problem when there can be none."""
    if not _HUB_REVISION.fullmatch(revision) or ".." in revision:
        return Problem(f"has the revision {shown(revision)}", "Write a branch, a tag or a full commit")
    problem = _path_problem(path)
    if problem:
        return problem
    folder = not path or path.endswith("/") or bool(_GLOB.search(path))
    name = None if folder else path.rpartition("/")[2]
    return ModelSource(f"hf://{repo}@{revision.replace('/', '%2F')}/{path}", name, folder)


def read_hub_address(parts: SplitResult) -> ModelSource | Problem:
    """Read an address of the site. Those of its web pages are taken for the file or folder that they show."""
    match = _ADDRESS.fullmatch(parts.path)
    if not match or _HUB_KINDS.match(match["repo"]):
        return Problem(f"{shown(parts.path)} is the address of a web page of the Hub, not of a file", _HUB_REMEDY)
    path = unquote(match["path"] or "")
    if match["page"] == "tree":
        path = f"{path.rstrip('/')}/" if path else ""
    elif not path or path.endswith("/"):
        return Problem(f"{shown(parts.path)} names no file on the Hub", _HUB_REMEDY)
    elif _GLOB.search(path):
        return Problem(f"{shown(path)} has '*' or '[', which stand for many files in hf://", _HUB_REMEDY)
    source = hub_source(match["repo"], unquote(match["revision"]), path)
    if isinstance(source, Problem) or match["page"] == "resolve":
        return source
    what = "folder" if source.folder else "file"
    quirk = Problem(f"is the address of a web page, taken for the {what} that it shows", f"Write {source.text}")
    return ModelSource(source.text, source.file_name, source.folder, quirk)


def _path_problem(path: str) -> Problem | None:
    plain = _GLOB.sub("x", path).removesuffix("/")
    problem = relative_problem(plain) if plain else None
    return Problem(f"has the path {shown(path)}: {problem.reason}", _HUB_REMEDY) if problem else None
