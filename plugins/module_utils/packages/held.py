# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a lock's distributions a host has, and where: in the store, or as files that it was brought or fetched."""

from __future__ import annotations

import collections.abc as c
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import (
    FILE,
    GIT,
    PROVIDED,
    SDIST,
    SHIM,
    Package,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import entry_path, is_there

# Wheels that only the control node has; it brings what the host lacks.
PUSHED_SOURCES = (FILE, SDIST, GIT)
_DIGITS = 12


def installed_of(packages: c.Iterable[Package]) -> list[Package]:
    """Those that are files to install, by name; what the host's image provides is none."""
    return sorted((each for each in packages if each.source != PROVIDED), key=lambda package: package.name)


def pushed(layout: Layout) -> pathlib.Path:
    """What the control node brought because only it has it: ``<first 12 of sha256>/<file>``."""
    return layout.cache / "pushed"


def fetched(layout: Layout) -> pathlib.Path:
    """What was fetched and is not in the store yet, in the same form."""
    return layout.own_cache / "fetched"


def named_by_content(directory: pathlib.Path, sha256: str | None, file: str | None) -> pathlib.Path:
    """The place of a file in such a directory."""
    return directory / str(sha256)[:_DIGITS] / str(file)


def local_file(context: Context, package: Package) -> pathlib.Path | None:
    """The package's file on this host, with the locked size; None where there is none. Its bytes are not read."""
    layout, wheels = context.layout, context.settings.wheels_dir
    candidates = [wheels / str(package.file)] if wheels else []
    candidates += [named_by_content(each(layout), package.sha256, package.file) for each in (pushed, fetched)]
    return next((path for path in candidates if _is_whole(path, package.size)), None)


def in_store(context: Context, package: Package) -> bool:
    """Whether the store has it."""
    return is_there(entry_path(context.layout, package, context.target.python))


def is_held(context: Context, package: Package) -> bool:
    """Whether the host can install it without the network: it has it, makes it itself, or is brought it."""
    return (
        package.source in (SHIM, *PUSHED_SOURCES)
        or package.file in context.settings.wheels_coming
        or local_file(context, package) is not None
        or in_store(context, package)
    )


def _is_whole(path: pathlib.Path, size: int | None) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return size is None or status.st_size == size
