# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that know colours by name."""

from __future__ import annotations

from .palette_nodes import PaletteSwatch, PaletteTint

NODE_CLASS_MAPPINGS = {"PaletteSwatch": PaletteSwatch, "PaletteTint": PaletteTint}
NODE_DISPLAY_NAME_MAPPINGS = {"PaletteSwatch": "Swatch", "PaletteTint": "Tint"}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
