# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels of a lock that no server has: built ones and local ones, which an export takes along."""

from __future__ import annotations

import collections.abc as c
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import SHIM, Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.shim import locked_shim
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import sha256_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import own_wheel

# The directory of an export with its wheels.
WHEELS: t.Final = "wheels"
# The file that it is a copy of, or its bytes.
Content = pathlib.Path | bytes


def local_wheels(packages: c.Iterable[Package], versions: pathlib.Path) -> dict[str, Content]:
    """The wheels by their file names, each with the locked bytes. versions: the directory of the lock.

    Raises FleetError, or Failures with all that are missing or are others.
    """
    found: dict[str, Content] = {}
    faults = []
    for package in packages:
        own = own_wheel(package, versions)
        try:
            if package.source == SHIM:
                found[str(package.file)] = locked_shim(package).content
            elif own is not None:
                found[str(package.file)] = _kept(package, own)
        except FleetError as fault:
            faults.append(fault)
    raise_all(faults)
    return found


def _kept(package: Package, path: pathlib.Path) -> pathlib.Path:
    remedy = "Run lock.yml with the same version" if package.built_from else "Put it there again, or lock again"
    try:
        found = sha256_of(path)
    except OSError as error:
        what = f"the wheel of {package.name} {package.version} cannot be read ({error.strerror})"
        raise FleetError(what, where=str(path), remedy=remedy) from error
    if found == package.sha256:
        return path
    what = f"the wheel of {package.name} {package.version} has the sha256 {found}, and the lock says {package.sha256}"
    raise FleetError(what, where=str(path), remedy=remedy)
