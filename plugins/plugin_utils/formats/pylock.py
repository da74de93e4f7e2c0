# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target's packages as a lock file of the PyPA specification "pylock.toml" (PEP 751)."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    INDEX,
    PROVIDED,
    WHEEL,
    Lock,
    Package,
    Target,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import toml
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.dependencies import dependencies_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.local_wheels import WHEELS
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.places import Place
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.wording import kind_of_host
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import target_environment

TOOL: t.Final = "comfyops-fleet"


def file_name(lock: Lock, target: Target) -> str:
    """``pylock.<version>-<target>.toml``; the specification allows no dot in what is between the dots."""
    return f"pylock.{f'{lock.version_id}-{target.name}'.replace('.', '-')}.toml"


def written(lock: Lock, target: Target, places: c.Mapping[str, Place]) -> str:
    """The text of the file. places: of the files that indexes have, by sha256."""
    packages = sorted(target.packages, key=lambda package: package.name)
    # What the hosts' image provides is no entry here, and dependencies are of entries.
    dependencies = dependencies_of(package for package in packages if package.file)
    minor = ".".join(target.python.split(".")[:2])
    return "\n".join(
        [
            f"# The Python packages of {kind_of_host(lock, target)}.\n"
            "# Written by comfyops.fleet from the lock; write it anew rather than edit it.\n"
            f"#\n#     uv pip sync {file_name(lock, target)}\n",
            toml.pairs(
                {
                    "lock-version": "1.0",
                    "environments": [_environment(target)],
                    "requires-python": f"=={minor}.*" if target.python == minor else f"=={target.python}",
                    "extras": [],
                    "dependency-groups": [],
                    "default-groups": [],
                    "created-by": "comfyops.fleet",
                }
            ),
            *(_package(package, dependencies[package.name], places) for package in packages if package.file),
            toml.table(("tool", TOOL), _tool(lock, target)),
        ]
    )


def _environment(target: Target) -> str:
    markers = target_environment(target.name, target.platform, target.python).markers()
    names = ("implementation_name", "platform_machine", "python_version", "sys_platform")
    return " and ".join(f"{name} == '{markers[name]}'" for name in names)


def _tool(lock: Lock, target: Target) -> dict[str, t.Any]:
    return {
        "version": lock.version_id,
        "target": target.name,
        "platform": target.platform,
        "accelerator": target.accelerator or "",
        # The specification knows no package without a file.
        "provided": [f"{each.name}=={each.version}" for each in target.packages if each.source == PROVIDED],
    }


def _package(package: Package, dependencies: c.Sequence[str], places: c.Mapping[str, Place]) -> str:
    place = places.get(str(package.sha256)) if package.source == INDEX else None
    entry: dict[str, t.Any] = {"name": package.name, "version": package.version}
    if dependencies:
        entry["dependencies"] = [{"name": name} for name in dependencies]
    if place:
        entry["index"] = place.index_url
    key, file = _file(package, place)
    head = toml.table if key == "archive" else toml.element
    tables = [head(("packages", key), file), toml.table(("packages", "tool", TOOL), _origin(package))]
    return "".join([toml.element(("packages",), entry), *tables])


def _file(package: Package, place: Place | None) -> tuple[str, dict[str, t.Any]]:
    """The key of the entry that the package's file belongs to, and what it says."""
    if place:
        address = {"name": str(package.file), "url": place.url}
    elif package.source == WHEEL:
        address = {"url": str(package.url)}
    else:
        address = {"name": str(package.file), "path": f"{WHEELS}/{package.file}"}
    size = {} if package.size is None else {"size": package.size}
    file = {**address, **size, "hashes": {"sha256": package.sha256}}
    # What is named by its URL is recorded so by installers (PEP 610) where it is an archive.
    return ("archive" if package.source == WHEEL else "wheels"), file


def _origin(package: Package) -> dict[str, t.Any]:
    """What the specification has no key for."""
    built = package.built_from or {}
    kept = {
        key: built[key]
        for key in ("git", "commit", "subdirectory", "url", "index", "file", "sha256", "python")
        if built.get(key)
    }
    index = {"index": package.index} if package.index else {}
    provider = {"provider": package.provider} if package.provider else {}
    built_from = {"built-from": kept} if kept else {}
    return {"source": package.source, **index, **provider, **built_from, "required-by": list(package.required_by)}
