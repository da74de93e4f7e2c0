# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's links to packages of the host's image: kept when they are made, and held against what is there."""

from __future__ import annotations

import collections.abc as c
import json
import os
import pathlib

_KEPT = "provided.json"
# By package: paths in the packages' directory, and where on the host they lead.
Links = c.Mapping[str, c.Mapping[str, str]]


def keep_links(environment: pathlib.Path, links: Links) -> None:
    """Remember the links that were made in the environment."""
    (environment / _KEPT).write_text(json.dumps(links, sort_keys=True), "utf-8")


def kept_links(environment: pathlib.Path) -> Links:
    """Those that were made; none where that can not be read."""
    try:
        kept = json.loads((environment / _KEPT).read_text("utf-8"))
        return {str(name): {str(path): str(target) for path, target in links.items()} for name, links in kept.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def broken_links(kept: Links, site: pathlib.Path, names: c.Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The links of each package that are not as they were made, or lead nowhere; packages without any are left out."""
    broken = {}
    for name in names:
        links = kept.get(name, {})
        wrong = [path for path, target in links.items() if not _leads(site / path, target)]
        if wrong or not links:
            broken[name] = tuple(sorted(wrong))
    return broken


def linked_entries(kept: Links) -> set[str]:
    """The entries of the packages' directory that have links to the image."""
    return {path.partition("/")[0] for links in kept.values() for path in links}


def _leads(link: pathlib.Path, target: str) -> bool:
    try:
        return os.readlink(link) == target and link.exists()
    except OSError:
        return False
