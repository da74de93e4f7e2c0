# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a control node has things: specs and locks, the wheels that were built for them, what can be fetched again."""

from __future__ import annotations

import os
import pathlib
import typing as t
import urllib.parse
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import named_by_content

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package

# The checkout's own specs: <collection>/versions beside plugins/.
_SHIPPED = pathlib.Path(__file__).resolve().parents[3] / "versions"


def versions_directory(given: str | None) -> pathlib.Path:
    """The directory that is given, else ``versions`` of the working directory, else the checkout's own."""
    if given:
        return pathlib.Path(given)
    here = pathlib.Path.cwd() / "versions"
    return here if here.is_dir() else _SHIPPED


def built_wheel(directory: pathlib.Path, sha256: str, file: str) -> pathlib.Path:
    """The place of a wheel that was built for a lock of the directory of versions."""
    return named_by_content(directory / "wheels", sha256, file)


def own_wheel(package: Package, directory: pathlib.Path, given: pathlib.Path | None = None) -> pathlib.Path | None:
    """Where this machine has, or has to have, a package's wheel; None for one that hosts fetch or make themselves.

    directory: of versions. given: a directory of wheels that come first.
    """
    if given is not None and package.file and (given / package.file).is_file():
        return given / package.file
    if package.built_from:
        return built_wheel(directory, str(package.sha256), str(package.file))
    return path_of(package.url) if package.url and package.url.startswith("file:") else None


def path_of(url: str) -> pathlib.Path:
    """The path that a ``file:`` URL names (RFC 8089)."""
    return pathlib.Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))


def cache_directory() -> pathlib.Path:
    """Where this user keeps what can be fetched again: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "comfyops-fleet"
