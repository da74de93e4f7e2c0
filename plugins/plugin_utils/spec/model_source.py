# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's source in the one spelling that the lock gets."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A model's source in its one spelling.

    file_name is what the source calls the file, if it says so; folder is True when it stands for several files; quirk
    is what is odd about the spelling in the spec.
    """

    text: str
    file_name: str | None
    folder: bool = False
    quirk: Problem | None = None
