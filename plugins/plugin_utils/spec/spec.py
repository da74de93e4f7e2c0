# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A spec that has been read."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Finding


@dataclasses.dataclass(frozen=True)
class Spec:
    """A spec that may be used: its strict meaning (docs/spec.md), and the quirks that were accepted."""

    version_id: str
    path: Path
    normalized: dict[str, t.Any]
    warnings: list[Finding]
