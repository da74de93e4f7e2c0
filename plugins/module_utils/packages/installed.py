# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment holds, package by package, for the report of sources."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import INDEX, Package
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import ORIGIN_FILE
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    distributions,
    environment_site,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.indexes import index_name
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.record import read_record


def installed_packages(context: Context) -> list[dict[str, t.Any]]:
    """Name, version, source and origin of each distribution that is there, and how many files of how many bytes it has.

    source and origin are None for what the lock does not name; origin is a URL, or the name of an index that has no URL
    in the lock.
    """
    site = environment_site(context.environment, context.target.python)
    locked = {package.name: package for package in context.target.packages}
    found, _unreadable = distributions(site, os.listdir(site), {})
    described = []
    for each in found:
        record = read_record(site / each.entry) or []
        package = locked.get(each.name)
        described.append(
            {
                "name": each.name,
                "version": each.version,
                "source": package.source if package else None,
                "origin": _origin(context, package, site / each.entry) if package else None,
                "files": len(record),
                "bytes": sum(_size(site, file.path) if file.size is None else file.size for file in record),
            }
        )
    return sorted(described, key=lambda entry: str(entry["name"]))


def _origin(context: Context, package: Package, metadata: pathlib.Path) -> str | None:
    if package.source == INDEX:
        name = str(index_name(package))
        return context.target.indexes.get(name) or name
    try:
        document = json.loads((metadata / ORIGIN_FILE).read_text("utf-8"))
        commit = document.get("vcs_info", {}).get("commit_id")
        return f"git+{document['url']}@{commit}" if commit else str(document["url"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _size(site: pathlib.Path, path: str) -> int:
    try:
        return os.stat(site / path).st_size
    except OSError:
        return 0
