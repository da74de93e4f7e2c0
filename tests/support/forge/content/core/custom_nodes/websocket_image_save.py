# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node in a single file: it shows how many pictures come by."""

from __future__ import annotations

import typing as t


class SaveImageWebsocket:
    """Takes pictures and keeps none."""

    CATEGORY = "api/image"
    RETURN_TYPES = ()
    FUNCTION = "count"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, t.Any]:
        """What the node takes."""
        return {"required": {"images": ("IMAGE",)}}

    def count(self, images: list[t.Any]) -> dict[str, t.Any]:
        """Counts them."""
        return {"ui": {"count": [len(images)]}}


NODE_CLASS_MAPPINGS = {"SaveImageWebsocket": SaveImageWebsocket}
