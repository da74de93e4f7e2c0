# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an installed distribution says of where it came from: its ``direct_url.json``, as the lock has it.

Source: the PyPA specification "Recording the Direct URL Origin of installed distributions" (PEP 610).
"""

from __future__ import annotations

import json
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    FILE,
    GIT,
    SDIST,
    WHEEL,
    Package,
)

ORIGIN_FILE = "direct_url.json"


def direct_url(package: Package) -> str | None:
    """The text of ``direct_url.json``; None for what has none.

    Those are files of an index, what was built of them, shims, and what the image provides.

    It is the lock's origin and not the mirror or the directory that a host took the bytes from, so that it is the same
    on all hosts.
    """
    if package.source in (WHEEL, FILE) and package.url:
        return _text(_archive(package.url, str(package.sha256)))
    built = package.built_from
    if package.source == SDIST and built and "url" in built:
        return _text(_archive(built["url"], built["sha256"]))
    if package.source == GIT and built:
        origin = {"url": _without_user(built["git"]), "vcs_info": {"vcs": "git", "commit_id": built["commit"]}}
        subdirectory = built.get("subdirectory")
        return _text({**origin, "subdirectory": subdirectory} if subdirectory else origin)
    return None


def _archive(url: str, sha256: str) -> dict[str, t.Any]:
    info = {"hash": f"sha256={sha256}", "hashes": {"sha256": sha256}}
    return {"archive_info": info, "url": _without_user(url)}


def _without_user(url: str) -> str:
    """Without what may be a secret; the user of SSH (``git@``) is none."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return url
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _text(document: dict[str, t.Any]) -> str:
    return json.dumps(document, sort_keys=True)
