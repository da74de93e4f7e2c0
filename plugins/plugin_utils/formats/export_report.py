# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an export has, and what of the lock it cannot have, as text."""

from __future__ import annotations

import collections.abc as c
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import PROVIDED, SHIM, Target
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.export import Export


def render(directory: pathlib.Path, target: Target, found: Export) -> str:
    """The lines for people. directory: of the export."""
    files = " and ".join(str(directory / file) for file in sorted(found.texts))
    installed = sum(package.source != PROVIDED for package in target.packages)
    beside = f", the wheels of {len(found.wheels)} of them beside it" if found.wheels else ""
    return "\n".join([f"{files}: {installed} packages{beside}", *notes(target)])


def notes(target: Target) -> list[str]:
    """What is not as a reader of the export might think."""
    provided = [f"{each.name} {each.version}" for each in target.packages if each.source == PROVIDED]
    shims = [f"{each.name} ({each.provider})" for each in target.packages if each.source == SHIM]
    return [*_note("left out, because the hosts' image brings them", provided), *_note(_SHIMS, shims)]


_SHIMS = "names without content, because another package (in brackets) is in their place"


def _note(what: str, names: c.Sequence[str]) -> list[str]:
    return [f"{what}: {', '.join(sorted(names))}"] if names else []
