# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exports say of a target and of its packages, in words: where each is from, and who wants it."""

from __future__ import annotations

import collections.abc as c

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    GIT,
    PROVIDED,
    SDIST,
    SHIM,
    Lock,
    Package,
    Target,
)


def kind_of_host(lock: Lock, target: Target) -> str:
    """The version, the target, and what a host of it is."""
    return f"{lock.version_id}, target {target.name}: {target.kind}"


def described(package: Package) -> c.Iterator[str]:
    """Lines for comments: what its entry does not show by itself, and who wants it."""
    built = package.built_from
    if package.source == PROVIDED:
        yield "provided by the hosts' image"
    elif package.source == SHIM:
        yield f"no content of its own: {package.provider} is in its place"
    elif package.source == GIT and built:
        folder = f", {built['subdirectory']}" if built.get("subdirectory") else ""
        yield f"built from {built['git']} at {built['commit']}{folder}"
    elif package.source == SDIST and built:
        where = built["url"] if "url" in built else f"{built['file']} of the index {built['index']}"
        yield f"built from {where}, sha256 {built['sha256']}"
    if package.required_by:
        yield f"for {', '.join(package.required_by)}"
