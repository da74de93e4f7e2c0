# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders and patterns of a Hub repository: the files that they stand for (GET /api/models/<repo>/tree/<commit>).

``*`` stands for a part of one name, ``**`` for any folders, ``[ab]`` for one character. As in a shell, names that begin
with a dot are only meant where the pattern has the dot.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import json
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import origin
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import HUB
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import Facts
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_hub import (
    HubPath,
    asked_endpoint,
    read_small,
    read_source,
    refused,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import relative_problem

MOST_FILES = 2000
_PARALLEL = 8
_LONGEST_PAGE = 50 * 1024 * 1024
_MOST_PAGES = 1000
_GLOB = re.compile(r"[*\[\]]")
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_COMMIT = re.compile(r"[0-9a-f]{40}")
_IN_URL = re.compile(r"/(datasets/)?[^/]+/[^/]+/resolve/[0-9a-f]{40}/(?P<path>.+)")


def is_folder(source: str) -> bool:
    """Whether a normalized source stands for several files."""
    path = read_source(source).path if source.startswith("hf://") else "x"
    return not path or path.endswith("/") or bool(_GLOB.search(path))


def relative_path(source: str, url: str) -> str:
    """Where the file of a locked URL is below the folder or pattern that it was found by."""
    found = _IN_URL.fullmatch(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    path = found["path"] if found else url.rpartition("/")[2]
    return path.removeprefix(_base(read_source(source).path))


def expand(source: str, endpoint: str | None, access: Access) -> list[Facts]:
    """The files of a folder or pattern at the commit that its revision is now, in the order of their paths.

    Files in git itself, of which the Hub says no sha256, are read. Raises FleetError, or Failures with all faults.
    """
    asked = asked_endpoint(endpoint, access)
    folder = read_source(source)
    site = _Site(asked, access)
    locked = dataclasses.replace(folder, revision=site.commit(folder))
    meant = _pattern(folder.path)
    files = [entry for entry in site.tree(folder, locked.revision) if meant.fullmatch(entry["path"])]
    if not files:
        what = f"no file that is {folder.path}" if _GLOB.search(folder.path) else f"no file in {folder.path or '/'}"
        raise FleetError(f"{folder.repo} has {what} at {folder.revision}", remedy=f"See {folder.page}")
    if len(files) > MOST_FILES:
        raise FleetError(f"stands for {len(files)} files, more than {MOST_FILES}", remedy="Name a folder below it")
    _refuse_odd_paths(files)
    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        found = list(pool.map(lambda entry: _facts(locked, entry, asked, access), _sorted(files)))
    raise_all([each for each in found if isinstance(each, FleetError)])
    return [each for each in found if isinstance(each, Facts)]


def _sorted(files: c.Iterable[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    return sorted(files, key=lambda entry: str(entry["path"]))


def _facts(locked: HubPath, entry: dict[str, t.Any], endpoint: str, access: Access) -> Facts | FleetError:
    file = dataclasses.replace(locked, path=entry["path"])
    size = int(entry["size"])
    try:
        known = (entry.get("lfs") or {}).get("oid")
        sha256 = known or read_small(file, endpoint, size, str(entry["oid"]), access)
    except FleetError as error:
        return error
    return Facts(file.url(HUB), str(sha256), size)


def _refuse_odd_paths(files: c.Iterable[dict[str, t.Any]]) -> None:
    """Paths of a repository become paths on hosts."""
    problems = [(entry["path"], relative_problem(entry["path"])) for entry in files]
    raise_all(
        [
            FleetError(f"the repository's {path!r} is no path for a model: {problem.reason}", remedy="Name its others")
            for path, problem in problems
            if problem
        ]
    )


class _Site:
    """The Hub's API at the address where it is asked."""

    def __init__(self, endpoint: str, access: Access) -> None:
        self._endpoint = endpoint
        self._access = access

    def commit(self, folder: HubPath) -> str:
        """The full commit of its revision."""
        page, _next = self._page(f"{self._api(folder)}/revision/{_quoted(folder.revision)}", folder)
        commit = page.get("sha") if isinstance(page, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise FleetError(f"{self._endpoint} does not answer as the Hub does", remedy="Check comfy_hf_endpoint")
        return commit

    def tree(self, folder: HubPath, commit: str) -> list[dict[str, t.Any]]:
        """The files in its folder and below, page by page."""
        base = _base(folder.path)
        path = urllib.parse.quote(base.rstrip("/"))
        url: str | None = f"{self._api(folder)}/tree/{commit}{'/' if path else ''}{path}?recursive=true"
        found: list[dict[str, t.Any]] = []
        for _number in range(_MOST_PAGES):
            if url is None:
                return [entry for entry in found if entry.get("type") == "file"]
            page, url = self._page(url, dataclasses.replace(folder, path=base))
            found += page
        raise FleetError(f"{self._endpoint} gives pages without end", remedy="Name a folder below it")

    def _api(self, folder: HubPath) -> str:
        return f"{self._endpoint}/api/{folder.kind or 'models/'}{folder.repo}"

    def _answer(self, url: str) -> tuple[bytes, str]:
        with request(url, self._access) as answer:
            return answer.read_all(_LONGEST_PAGE), answer.headers.get("Link", "")

    def _page(self, url: str, folder: HubPath) -> tuple[t.Any, str | None]:
        """A page, and where the next one is: on the same site, where the token may go."""
        try:
            content, links = patiently(lambda: self._answer(url))
        except HttpFault as error:
            raise refused(error, folder, self._endpoint) from error
        following = _NEXT.search(links)
        place = urllib.parse.urljoin(url, following[1]) if following else None
        if place is not None and origin(place) != origin(self._endpoint):
            # A mirror may pass on the Hub's own address of the next page.
            parts = urllib.parse.urlsplit(place)
            place = f"{self._endpoint}{parts.path[parts.path.find('/api/') :]}?{parts.query}"
        try:
            return json.loads(content), place
        except ValueError as error:
            raise FleetError(f"{self._endpoint} does not answer with JSON", remedy="Check comfy_hf_endpoint") from error


def _quoted(revision: str) -> str:
    return urllib.parse.quote(revision, safe="")


def _base(path: str) -> str:
    """The folder that a path is in before its first pattern: empty, or with ``/`` at the end."""
    beginning = _GLOB.split(path, maxsplit=1)[0]
    return beginning[: beginning.rfind("/") + 1]


def _pattern(path: str) -> re.Pattern[str]:
    """What the paths are like that a folder (all below it) or a pattern stands for."""
    segments = (f"{path}**" if not path or path.endswith("/") else path).split("/")
    text = "".join(_segment(segment, number == len(segments) - 1) for number, segment in enumerate(segments))
    try:
        return re.compile(text)
    except re.error as error:
        raise FleetError(f"{path!r} is no pattern ({error})", remedy="Use *, ** and [abc] alone") from error


def _segment(segment: str, last: bool) -> str:
    plain = r"(?!\.)[^/]+"
    if segment == "**":
        return rf"({plain}/)*{plain if last else ''}"
    hidden = "" if segment.startswith(".") else r"(?!\.)"
    pieces = re.split(r"(\*+|\[[^\]]+\])", segment)
    text = "".join(_piece(piece) for piece in pieces)
    return f"{hidden}{text}{'' if last else '/'}"


def _piece(piece: str) -> str:
    if piece.startswith("*"):
        return "[^/]*"
    if piece.startswith("[") and piece.endswith("]"):
        inner = re.sub(r"^\^", r"\^", piece[1:-1].replace("\\", r"\\"))
        return f"(?!/)[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(piece)
