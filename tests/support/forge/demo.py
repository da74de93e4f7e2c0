# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo is about: a forge with a small ComfyUI, three nodes, packages and models, and the version made of them.

Everything is made from the files in ``content`` and from fixed words, so commits and hashes are the same on every
machine. ``versions/demo.json`` is ``specification`` written down.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
import zlib

from tests.support.forge import demo_packages
from tests.support.forge.distributions import stored_zlib
from tests.support.forge.sources import source_tree

if t.TYPE_CHECKING:
    from tests.support.forge.civitai import CivitaiFile
    from tests.support.forge.git import Repository
    from tests.support.forge.hub import HubFile
    from tests.support.forge.models import Model
    from tests.support.forge.server import Forge

CORE_VERSION = "0.9.0"
OLD_CORE_VERSION = "0.8.0"
MODEL_FOLDERS = (
    "audio_encoders",
    "checkpoints",
    "clip",
    "clip_vision",
    "configs",
    "controlnet",
    "diffusers",
    "diffusion_models",
    "embeddings",
    "gligen",
    "hypernetworks",
    "loras",
    "model_patches",
    "photomaker",
    "style_models",
    "text_encoders",
    "unet",
    "upscale_models",
    "vae",
    "vae_approx",
)
VAE_VERSION = 417001
# The one who may read the gated model. A word like any other: it is worth nothing outside of the forge.
TOKEN = "demo-token"


@dataclasses.dataclass(frozen=True)
class Demo:
    """What ``populate`` has made."""

    forge: Forge
    core: Repository
    palette: Repository
    notebook: Repository
    upscale: Repository
    kernels: Repository
    checkpoint: Model
    lora: HubFile
    vae: CivitaiFile
    gated: HubFile
    token: str = TOKEN

    def specification(self) -> dict[str, t.Any]:
        """The version ``demo`` as it stands in versions/demo.json: a new copy each time, to change at will."""
        return {
            "schema_version": 3,
            "version_id": "demo",
            "comfy": {"repo": self.core.public_url, "ref": f"v{CORE_VERSION}"},
            "custom_nodes": [
                {"repo": self.palette.public_url, "commit": self.palette.head("refs/tags/v1.0")},
                {"repo": self.notebook.public_url},
                {"repo": self.upscale.public_url, "ref": "v1.0"},
            ],
            "models": self._models(),
            "python": {
                "targets": {"cpu": {"accelerator": "cpu"}},
                "indexes": [
                    {
                        "name": demo_packages.CPU_INDEX,
                        "url": f"https://packages.forge.example/{demo_packages.CPU_INDEX}/simple",
                        "packages": ["torch"],
                    }
                ],
            },
            "python_packages": ["ledgerline>=1.0", "tinytext==0.3.0"],
            "launch": {"args": ["--cpu", "--disable-auto-launch"]},
        }

    def _models(self) -> list[dict[str, t.Any]]:
        gated = f"hf://comfy-demo/gated/{self.gated.path}"
        return [
            {
                "source": self.checkpoint.public_url,
                "target_subdir": "checkpoints",
                "checksum": f"sha256:{self.checkpoint.sha256}",
                "size": self.checkpoint.size,
            },
            {"source": f"hf://comfy-demo/loras/{self.lora.path}", "target_subdir": "loras"},
            {"source": f"civitai://{VAE_VERSION}", "name": self.vae.name, "target_subdir": "vae"},
            {"source": gated, "target_path": f"$MODELS_DIR/embeddings/{self.gated.path}"},
        ]

    def environment(self) -> dict[str, str]:
        """The environment variables with the tokens that the version needs."""
        return {"HF_TOKEN": self.token}


def populate(forge: Forge) -> Demo:
    """Fills a forge with all that ``versions/demo.json`` names."""
    demo_packages.publish(forge)
    kernels = forge.repository("comfy-demo/upscale-kernels")
    kernels.commit(source_tree("nodes/upscale_kernels"), "Enlarge by nearest neighbour")
    loras, gated = forge.hub("comfy-demo/loras"), forge.hub("comfy-demo/gated", gated_token=TOKEN)
    loras.file("README.md", "# LoRAs of the demo\n", lfs=False)
    demo = Demo(
        forge,
        core=_core(forge),
        palette=_node(forge, "palette", "comfy-demo/comfyui-palette"),
        notebook=_node(forge, "notebook", "comfy-demo/comfyui-notebook"),
        upscale=_upscale(forge, kernels),
        kernels=kernels,
        checkpoint=forge.model("checkpoints/small-v1.safetensors", size=4_000_000),
        lora=loras.file("styles/watercolour.safetensors", size=2_000_000),
        vae=forge.civitai(VAE_VERSION).file("soft-vae.safetensors", size=1_500_000, kind="VAE"),
        gated=gated.file("glow.safetensors", size=1_000_000),
    )
    loras.commit()
    gated.commit()
    return demo


def _core(forge: Forge) -> Repository:
    """The core with two releases."""
    repository = forge.repository("comfy-demo/core")
    files = {**source_tree("core"), **_placeholders()}
    for version in (OLD_CORE_VERSION, CORE_VERSION):
        repository.commit(with_version(files, version), f"Release {version}")
        repository.tag(f"v{version}", annotated=True)
    return repository


def with_version(files: dict[str, bytes], version: str) -> dict[str, bytes]:
    """The core's files with another version in them."""
    changed = {
        path: files[path].replace(f'"{CORE_VERSION}"'.encode(), f'"{version}"'.encode())
        for path in ("comfyui_version.py", "pyproject.toml")
    }
    return {**files, **changed}


def _placeholders() -> dict[str, bytes]:
    """The files by which git keeps the directories that are otherwise ignored, and an input to try things with."""
    files = {f"models/{folder}/put_{folder}_here": b"" for folder in MODEL_FOLDERS}
    return {**files, "output/_output_images_will_be_put_here": b"", "input/example.png": _example_picture()}


def _node(forge: Forge, tree: str, name: str) -> Repository:
    repository = forge.repository(name)
    repository.commit({**source_tree(f"nodes/{tree}"), "notes.txt": f"{name}, first release\n"}, "Release 1.0")
    repository.tag("v1.0")
    return repository


def _upscale(forge: Forge, kernels: Repository) -> Repository:
    repository = forge.repository("comfy-demo/comfyui-upscale-lite")
    repository.commit(source_tree("nodes/upscale_lite"), "Upscale")
    repository.submodule("kernels", kernels.public_url, kernels.head())
    repository.tag("v1.0")
    return repository


def _example_picture() -> bytes:
    """A grey picture in PNG, 8 by 8 points. It is not compressed: not every zlib compresses alike."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = (8).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    lines = (b"\0" + b"\x80" * 8) * 8
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stored_zlib(lines)) + chunk(b"IEND", b"")


def workflow() -> dict[str, t.Any]:
    """A workflow in API format that needs all three nodes and no model; its pictures begin with ``demo``."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 12, "batch_size": 1, "color": 0x336699}},
        "2": {"class_type": "PaletteTint", "inputs": {"images": ["1", 0], "colour": "corn"}},
        "3": {"class_type": "UpscaleLite", "inputs": {"images": ["2", 0], "factor": 4}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "demo"}},
        "5": {"class_type": "NotebookNote", "inputs": {"text": "a picture was made"}},
    }


def model_workflow(demo: Demo) -> dict[str, t.Any]:
    """A workflow in API format that reads the checkpoint, the LoRA and the VAE; its pictures begin with ``models``."""

    def text(words: str) -> dict[str, t.Any]:
        return {"class_type": "CLIPTextEncode", "inputs": {"text": words, "clip": ["2", 1]}}

    checkpoint = {"ckpt_name": demo.checkpoint.path.rpartition("/")[2]}
    lora = {"lora_name": demo.lora.path.rpartition("/")[2], "strength_model": 0.8, "strength_clip": 0.8}
    sampler = {"model": ["2", 0], "positive": ["4", 0], "negative": ["5", 0], "latent_image": ["6", 0]}
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": checkpoint},
        "2": {"class_type": "LoraLoader", "inputs": {**lora, "model": ["1", 0], "clip": ["1", 1]}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": demo.vae.name}},
        "4": text("a harbour in the morning"),
        "5": text("fog"),
        "6": {"class_type": "EmptyLatentImage", "inputs": {"width": 32, "height": 32, "batch_size": 1}},
        "7": {"class_type": "KSampler", "inputs": {**sampler, "seed": 7, "steps": 4}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["7", 0], "vae": ["3", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "models"}},
    }


def written(specification: dict[str, t.Any]) -> str:
    """A specification as it stands in a file."""
    return json.dumps(specification, indent=2) + "\n"
