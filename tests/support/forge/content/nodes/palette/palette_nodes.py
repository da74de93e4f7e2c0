# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture in a colour of the book, and pictures tinted with one."""

from __future__ import annotations

import typing as t

import arraything
import swatchbook


class PaletteSwatch:
    """One picture of a named colour."""

    CATEGORY = "palette"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "swatch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, t.Any]:
        """What the node takes."""
        size = ("INT", {"default": 64, "min": 1, "max": 1024})
        return {"required": {"colour": (swatchbook.names(),), "size": size}}

    def swatch(self, colour: str, size: int) -> tuple[list[arraything.Block]]:
        """Makes it."""
        return ([arraything.repeat(bytes(swatchbook.colour(colour)), (size, size, 3))],)


class PaletteTint:
    """Mixes a named colour into pictures, half and half."""

    CATEGORY = "palette"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "tint"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, t.Any]:
        """What the node takes."""
        return {"required": {"images": ("IMAGE",), "colour": (swatchbook.names(),)}}

    def tint(self, images: list[arraything.Block], colour: str) -> tuple[list[arraything.Block]]:
        """Mixes it in."""
        rgb = swatchbook.colour(colour)
        return ([arraything.each(image, lambda index, value: (value + rgb[index % 3]) // 2) for image in images],)
