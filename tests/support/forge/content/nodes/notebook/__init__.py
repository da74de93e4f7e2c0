# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that keep notes. Like many others, this one writes its settings and a cache into its own folder."""

from __future__ import annotations

import json
import os
import typing as t

import notepaper

FOLDER = os.path.dirname(os.path.realpath(__file__))
CONFIG = os.path.join(FOLDER, "config.json")
CACHE = os.path.join(FOLDER, "cache")
WEB_DIRECTORY = "./js"


def read_config() -> dict[str, t.Any]:
    """The settings; they are made where there are none."""
    if not os.path.exists(CONFIG):
        with open(CONFIG, "w", encoding="utf-8") as stream:
            json.dump({"paper": "lined", "columns": 40}, stream, indent=2)
    with open(CONFIG, encoding="utf-8") as stream:
        config: dict[str, t.Any] = json.load(stream)
        return config


def fill_cache() -> None:
    """Keeps a sheet of the paper that is set."""
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "sheet.txt"), "w", encoding="utf-8") as stream:
        stream.write(notepaper.sheet(read_config()["columns"]))


class NotebookNote:
    """Writes a note on the paper that is set."""

    CATEGORY = "notebook"
    RETURN_TYPES = ("STRING",)
    FUNCTION = "write"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, t.Any]:
        """What the node takes."""
        return {"required": {"text": ("STRING", {"multiline": True})}}

    def write(self, text: str) -> dict[str, t.Any]:
        """Writes it."""
        written = notepaper.write(text, read_config()["columns"])
        return {"ui": {"text": [written]}, "result": (written,)}


fill_cache()
NODE_CLASS_MAPPINGS = {"NotebookNote": NotebookNote}
