# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a control node has things: specs and locks, the wheels that were built for them, what can be fetched again."""

from __future__ import annotations

import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import named_by_content

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


def cache_directory() -> pathlib.Path:
    """Where this user keeps what can be fetched again: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "comfyops-fleet"
