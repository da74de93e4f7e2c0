# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that follow from content: of a build and of an environment.

A build's digest covers core, nodes, interpreter and packages of a target, so a new model or launch argument makes no
new build; an environment's covers interpreter and packages, so builds that need the same packages share it.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout, Lock, Package, Target
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import direct_url

DIGEST_LENGTH = 12


def environment_name(target: Target) -> str:
    """The directory's name below ``envs/``: 12 hex digits."""
    return _digest(_environment(target))


def build_name(lock: Lock, target: Target) -> str:
    """The directory's name below ``builds/``: ``<version id>-<12 hex digits>``."""
    content = {
        "core": _checkout(lock.core),
        "nodes": sorted((_checkout(node) for node in lock.nodes), key=lambda node: str(node["directory"])),
        "environment": _environment(target),
    }
    return f"{lock.version_id}-{_digest(content)}"


def _environment(target: Target) -> dict[str, t.Any]:
    return {
        "python": target.python,
        "interpreter": target.interpreter.sha256 if target.interpreter else None,
        "packages": sorted((_package(package) for package in target.packages), key=lambda package: str(package[0])),
    }


def _package(package: Package) -> list[str | None]:
    """The same bytes from elsewhere are another installation: it says where it came from."""
    return [package.name, package.version, package.sha256, direct_url(package)]


def _checkout(checkout: Checkout) -> dict[str, t.Any]:
    return {
        "directory": checkout.directory,
        "commit": checkout.commit,
        "submodules": sorted([submodule.path, submodule.commit] for submodule in checkout.submodules),
        "writable": sorted(checkout.writable),
    }


def _digest(content: dict[str, t.Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
