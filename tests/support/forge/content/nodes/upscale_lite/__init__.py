# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes pictures larger. What does it is in a submodule."""

from __future__ import annotations

import typing as t

from .kernels import resize

if t.TYPE_CHECKING:
    import arraything


class UpscaleLite:
    """Makes pictures larger by a whole number."""

    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, t.Any]:
        """What the node takes."""
        return {"required": {"images": ("IMAGE",), "factor": ("INT", {"default": 2, "min": 1, "max": 8})}}

    def upscale(self, images: list[arraything.Block], factor: int) -> tuple[list[arraything.Block]]:
        """Does it."""
        return ([resize(image, factor) for image in images],)


NODE_CLASS_MAPPINGS = {"UpscaleLite": UpscaleLite}
