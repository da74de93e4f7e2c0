# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model files, opened for use. A file that is none (a log-in page, half a download) is an error that says so."""

from __future__ import annotations

import dataclasses
import hashlib
import os

import tensorpocket


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model in memory: what it was read from, a number that stands for its weights, and what was laid over it."""

    name: str
    weight: int
    layers: tuple[tuple[int, float], ...] = ()

    def with_layer(self, other: LoadedModel, strength: float) -> LoadedModel:
        """The model with a LoRA over it."""
        return dataclasses.replace(self, layers=(*self.layers, (other.weight, strength)))

    def number(self, *more: object) -> int:
        """A number that depends on all of the model and on what is given."""
        return int.from_bytes(hashlib.sha256(repr((self.weight, self.layers, more)).encode()).digest()[:8], "big")


def load(path: str) -> LoadedModel:
    """Reads a safetensors file from beginning to end."""
    digest = hashlib.sha256()
    for _name, data in tensorpocket.tensors(path):
        digest.update(data)
    return LoadedModel(os.path.basename(path), int.from_bytes(digest.digest()[:8], "big"))
