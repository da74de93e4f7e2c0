# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels of a lock that no server has: built ones and local ones, which an export takes along."""

from __future__ import annotations

import collections.abc as c
import pathlib
import typing as t
import urllib.parse
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import FILE, GIT, SDIST, SHIM, Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.shim import locked_shim
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import sha256_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import built_wheel

# The directory of an export with its wheels.
WHEELS: t.Final = "wheels"
# The file that it is a copy of, or its bytes.
Content = pathlib.Path | bytes


def is_local(package: Package) -> bool:
    """Whether an export brings the package's wheel along."""
    return package.source in (FILE, GIT, SDIST, SHIM)


def local_wheels(packages: c.Iterable[Package], versions: pathlib.Path) -> dict[str, Content]:
    """The wheels by their file names, each with the locked bytes. versions: the directory of the lock.

    Raises FleetError, or Failures with all that are missing or are others.
    """
    found: dict[str, Content] = {}
    faults = []
    for package in packages:
        if not is_local(package):
            continue
        try:
            found[str(package.file)] = (
                locked_shim(package).content if package.source == SHIM else _kept(package, versions)
            )
        except FleetError as fault:
            faults.append(fault)
    raise_all(faults)
    return found


def _place(package: Package, versions: pathlib.Path) -> pathlib.Path:
    if package.source == FILE:
        return pathlib.Path(urllib.request.url2pathname(urllib.parse.urlsplit(str(package.url)).path))
    return built_wheel(versions, str(package.sha256), str(package.file))


def _kept(package: Package, versions: pathlib.Path) -> pathlib.Path:
    path = _place(package, versions)
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
