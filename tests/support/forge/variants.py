# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens upstream after a version was locked: each function changes a demo's forge and says what is new.

A test then edits a copy of ``Demo.specification`` or locks again.
"""

from __future__ import annotations

import typing as t

from tests.support.forge.demo import with_version
from tests.support.forge.sources import source_tree

if t.TYPE_CHECKING:
    from tests.support.forge.demo import Demo
    from tests.support.forge.models import Model
    from tests.support.forge.packages import Release

NEW_CORE_VERSION = "0.10.0"
NEW_CHECKPOINT = "checkpoints/small-v2.safetensors"


def new_core(demo: Demo) -> str:
    """A release of the core, v0.10.0, on main: a file changed, one is new, one is gone. Gives its commit."""
    files = with_version(source_tree("core"), NEW_CORE_VERSION)
    changes = {path: files[path] for path in ("comfyui_version.py", "pyproject.toml")}
    commit = demo.core.commit(
        {**changes, "extra_model_paths.yaml.example": None, "notes.txt": "what is new\n"}, f"Release {NEW_CORE_VERSION}"
    )
    demo.core.tag(f"v{NEW_CORE_VERSION}", annotated=True)
    return commit


def changed_node(demo: Demo) -> str:
    """A commit of the palette node with one more class: files changed, new and gone. Gives it."""
    files = source_tree("nodes/palette")
    package = files["__init__.py"].decode()
    package = package.replace(
        "from .palette_nodes import", "from .mix import PaletteMix\nfrom .palette_nodes import"
    ).replace('"PaletteTint": PaletteTint}', '"PaletteTint": PaletteTint, "PaletteMix": PaletteMix}')
    mix = 'from .palette_nodes import PaletteTint\n\n\nclass PaletteMix(PaletteTint):\n    """Another name for it."""\n'
    return demo.palette.commit({"__init__.py": package, "mix.py": mix, "notes.txt": None}, "Mix colours")


def moved_branch(demo: Demo) -> str:
    """A commit on the notebook node's default branch, which the version follows by no name. Gives it."""
    return demo.notebook.commit({"notes.txt": "comfyui-notebook, after its release\n"}, "Take more notes")


def newer_package(demo: Demo) -> Release:
    """A release of hueshelf that the palette node's range allows."""
    modules = source_tree("wheels/hueshelf", "hueshelf")
    return demo.forge.index().wheel("hueshelf", "0.9.9", requires=("tinytext>=0.2",), modules=modules)


def extra_model(demo: Demo) -> tuple[Model, dict[str, t.Any]]:
    """One more model behind a plain URL, and its entry in a specification."""
    model = demo.forge.model("loras/ink.safetensors", size=800_000)
    return model, _entry(model, "$MODELS_DIR/loras/ink.safetensors")


def replaced_model(demo: Demo) -> tuple[Model, dict[str, t.Any]]:
    """Another checkpoint for the path at which the first one is, and its entry in a specification."""
    model = demo.forge.model(NEW_CHECKPOINT, size=3_000_000)
    return model, _entry(model, "$MODELS_DIR/checkpoints/small-v1.safetensors")


def _entry(model: Model, target_path: str) -> dict[str, t.Any]:
    checksum = f"sha256:{model.sha256}"
    return {"source": model.public_url, "target_path": target_path, "checksum": checksum, "size": model.size}
