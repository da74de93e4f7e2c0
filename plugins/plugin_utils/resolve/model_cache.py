# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``hf_cache: true``: files where huggingface_hub looks for what it has fetched before, so that it fetches nothing.

Its cache has ``models--<org>--<repo>/snapshots/<commit>/<path>`` and, in ``refs/<branch>``, the commit that a branch
was (huggingface_hub, guide "Understand caching"). Both are models of the lock: they change with the switch, as all do.
"""

from __future__ import annotations

import collections.abc as c
import hashlib
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.models.inline import inline_url
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_hub import read_source

Entry = dict[str, t.Any]
_HUB = "$HF_HOME/hub"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE = re.compile(
    r"https://huggingface\.co/(?P<datasets>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<commit>[0-9a-f]{40})/(?P<path>.+)"
)


def cached_path(url: str) -> str:
    """Where the library has the file of a locked URL of the Hub. Raises FleetError for another URL."""
    found = _FILE.fullmatch(url)
    if found is None:
        raise FleetError("is no file of the Hub", where=url, remedy="Take hf_cache out of its model")
    folder = _folder(found["datasets"] or "", found["repo"])
    return f"{folder}/snapshots/{found['commit']}/{urllib.parse.unquote(found['path'])}"


def references(cached: c.Iterable[Entry]) -> list[Entry]:
    """The lock's entries of the branches and tags that cached files were named by, sorted.

    cached: entries of models with hf_cache. Raises FleetError, or Failures, for a branch at two commits.
    """
    commits: dict[str, dict[str, Entry]] = {}
    for entry in cached:
        named, found = read_source(entry["source"]), _FILE.fullmatch(entry["url"])
        if found is not None and not _COMMIT.fullmatch(named.revision):
            path = f"{_folder(named.kind, named.repo)}/refs/{named.revision}"
            commits.setdefault(path, {}).setdefault(found["commit"], entry)
    raise_all([_two_commits(path, list(found.values())) for path, found in commits.items() if len(found) > 1])
    return [_reference(path, *found.items()) for path, found in sorted(commits.items())]


def _folder(kind: str, repo: str) -> str:
    return f"{_HUB}/{'datasets' if kind else 'models'}--{repo.replace('/', '--')}"


def _reference(path: str, only: tuple[str, Entry]) -> Entry:
    commit, entry = only
    named = read_source(entry["source"])
    url = inline_url(commit)
    return {
        "name": f"{named.kind}{named.repo}@{named.revision}",
        "source": url,
        "url": url,
        "sha256": hashlib.sha256(commit.encode()).hexdigest(),
        "size": len(commit),
        "paths": [path],
        "optional": False,
    }


def _two_commits(path: str, entries: c.Sequence[Entry]) -> FleetError:
    names = ",".join(entry["name"] for entry in entries)
    return FleetError(
        f"{names} are locked at different commits of one branch, and the Hub's cache has one for each",
        where=path,
        remedy=f"Lock them again: comfy_lock_upgrade={names}",
    )
