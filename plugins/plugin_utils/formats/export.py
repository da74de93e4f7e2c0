# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python packages of a lock's target in the form of other tools, with the files that only this machine has."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock, Target
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import nix, pylock, requirements
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.local_wheels import WHEELS, Content, local_wheels
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.places import Site

REQUIREMENTS, PYLOCK, NIX = "requirements", "pylock", "nix"
FORMATS: t.Final = (REQUIREMENTS, PYLOCK, NIX)


@dataclasses.dataclass(frozen=True)
class Export:
    """Files by their path in the directory of the export: texts, and contents of wheels."""

    texts: c.Mapping[str, str]
    wheels: c.Mapping[str, Content]


def choose_target(lock: Lock, name: str | None) -> Target:
    """The target of that name, or the only one. Raises FleetError, with the names that there are."""
    names = ", ".join(sorted(lock.targets))
    if name is None and len(lock.targets) == 1:
        return next(iter(lock.targets.values()))
    if name is None:
        raise FleetError(
            f"the lock has the targets {names}, and an export is of one of them",
            where=lock.version_id,
            remedy="Say which: -e target=...",
        )
    if name not in lock.targets:
        raise FleetError(f"the lock has no target {name!r}", where=lock.version_id, remedy=f"Take one of {names}")
    return lock.targets[name]


def export(lock: Lock, target: Target, form: str, site: Site, versions: pathlib.Path, nixpkgs: str) -> Export:
    """The export of a target. versions: the directory of the lock, with the wheels that were built for it beside it.

    nixpkgs: the flake reference of the only input of an export for Nix. Indexes are asked for the addresses of files
    where the form needs them, and repositories for their content. Raises FleetError, or Failures with all faults.
    """
    if form == REQUIREMENTS:
        wheels = local_wheels(target.packages, versions)
        texts = {"requirements.txt": requirements.written(lock, target)}
    elif form == PYLOCK:
        wheels = local_wheels(target.packages, versions)
        texts = {pylock.file_name(lock, target): pylock.written(lock, target, site.files_of_packages(lock, target))}
    else:
        wheels = local_wheels(nix.local_packages(target), versions)
        texts = nix.written(lock, target, nix.origins(lock, target, site), nixpkgs)
    return Export(texts, {f"{WHEELS}/{file}": content for file, content in wheels.items()})
