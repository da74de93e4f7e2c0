# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The builds that an index has of a package, for several releases of torch or several accelerators, and which to take.

To uv they are versions of which the highest wins, whatever it was built for.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_versions import (
    files_by_version,
    has_fitting_wheel,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import LOCAL

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question


def builds_in_index(question: Question, package: Found) -> list[str]:
    """The versions of which the package's index has a wheel for the target's Python and platform.

    Of a package from elsewhere there are none. Raises FleetError when the index cannot be read.
    """
    if package.index in (None, LOCAL):
        return []
    indexes = question.indexes
    if package.index == DEFAULT_INDEX and package.index_url:
        indexes = indexes.with_default(package.index_url)
    found = files_by_version(indexes.files_of(package.name) or (), question)
    return [str(version) for version, files in found.items() if has_fitting_wheel(files, question)]


def best_build(
    question: Question, package: Found, versions: c.Iterable[str], fits: c.Callable[[str], bool]
) -> str | None:
    """The version to take in place of what was found: the same release in another build, else the newest that is final.

    None where none ``fits`` and is one that the lines take.
    """
    from packaging.version import Version

    lines = [line for line in question.lines if line.name == package.name]
    public = Version(package.version).public
    fitting = [
        Version(version)
        for version in versions
        if fits(version) and all(line.requirement.specifier.contains(version, prereleases=True) for line in lines)
    ]
    best = max(
        fitting, key=lambda version: (version.public == public, not version.is_prerelease, version), default=None
    )
    return None if best is None else str(best)
