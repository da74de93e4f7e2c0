# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the page's colours a source has: few, and the same one everywhere."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock import document as lock
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import TargetSources

REST: t.Final = "from-rest"
_CLASSES: t.Final = {
    lock.WHEEL: "from-wheel",
    lock.FILE: "from-file",
    lock.SDIST: "from-sdist",
    lock.GIT: "from-git",
    lock.SHIM: "from-shim",
    lock.PROVIDED: "from-provided",
}
# Named indexes that page.css tells apart; what is beyond them begins anew.
_INDEXES: t.Final = 3


def colors_of(sources: TargetSources) -> c.Mapping[str, str]:
    """Source, as entries have it in words, to the class that page.css gives its colour."""
    named = sorted({entry.source for entry in sources.entries if _is_of_named_index(entry.package)})
    numbers = {source: place % _INDEXES + 1 for place, source in enumerate(named)}
    return {
        entry.source: _CLASSES.get(entry.package.source)
        or (f"from-index-{numbers[entry.source]}" if entry.source in numbers else "from-pypi")
        for entry in sources.entries
    }


def _is_of_named_index(package: lock.Package) -> bool:
    return package.source == lock.INDEX and package.index not in (None, DEFAULT_INDEX)
