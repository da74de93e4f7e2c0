# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core's own nodes, and the tables in which all nodes are."""

from __future__ import annotations

import json
import os
import typing as t

import folder_paths
from comfy import model_files, pictures
from comfy.cli_args import args

if t.TYPE_CHECKING:
    import arraything
    from comfy.model_files import LoadedModel

Inputs: t.TypeAlias = "dict[str, dict[str, t.Any]]"
MAX_SIZE = 4096
SIZE = ("INT", {"default": 512, "min": 1, "max": MAX_SIZE})
STRENGTH = ("FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0})


class EmptyImage:
    """Pictures of one colour."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        batch = ("INT", {"default": 1, "min": 1, "max": 16})
        colour = ("INT", {"default": 0, "min": 0, "max": 0xFFFFFF})
        return {"required": {"width": SIZE, "height": SIZE, "batch_size": batch, "color": colour}}

    def generate(self, width: int, height: int, batch_size: int, color: int) -> tuple[list[arraything.Block]]:
        """Makes them."""
        return ([pictures.plain(width, height, color) for _number in range(batch_size)],)


class SaveImage:
    """Writes pictures into the output directory."""

    CATEGORY = "image"
    RETURN_TYPES = ()
    FUNCTION = "save_images"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        return {
            "required": {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "ComfyUI"})},
            "hidden": {"prompt": "PROMPT"},
        }

    def save_images(self, images: list[arraything.Block], filename_prefix: str, prompt: object) -> dict[str, t.Any]:
        """Writes them, each under the next free number."""
        results = []
        for image in images:
            directory, name, subfolder = folder_paths.next_output(filename_prefix)
            texts = {} if args.disable_metadata else {"prompt": json.dumps(prompt)}
            with open(os.path.join(directory, name), "wb") as stream:
                stream.write(pictures.png(image, texts))
            results.append({"filename": name, "subfolder": subfolder, "type": "output"})
        return {"ui": {"images": results}}


class CheckpointLoaderSimple:
    """A checkpoint: a model, what encodes text for it, and what decodes its pictures."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("MODEL", "CLIP", "VAE")
    FUNCTION = "load_checkpoint"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        return {"required": {"ckpt_name": (folder_paths.get_filename_list("checkpoints"),)}}

    def load_checkpoint(self, ckpt_name: str) -> tuple[LoadedModel, LoadedModel, LoadedModel]:
        """Loads it."""
        model = model_files.load(folder_paths.get_full_path_or_raise("checkpoints", ckpt_name))
        return model, model, model


class LoraLoader:
    """Lays a LoRA over a model."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("MODEL", "CLIP")
    FUNCTION = "load_lora"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        names = (folder_paths.get_filename_list("loras"),)
        strengths = {"strength_model": STRENGTH, "strength_clip": STRENGTH}
        return {"required": {"model": ("MODEL",), "clip": ("CLIP",), "lora_name": names, **strengths}}

    def load_lora(
        self, model: LoadedModel, clip: LoadedModel, lora_name: str, strength_model: float, strength_clip: float
    ) -> tuple[LoadedModel, LoadedModel]:
        """Loads it and lays it over both."""
        lora = model_files.load(folder_paths.get_full_path_or_raise("loras", lora_name))
        return model.with_layer(lora, strength_model), clip.with_layer(lora, strength_clip)


class VAELoader:
    """A VAE of its own."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("VAE",)
    FUNCTION = "load_vae"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        return {"required": {"vae_name": (folder_paths.get_filename_list("vae"),)}}

    def load_vae(self, vae_name: str) -> tuple[LoadedModel]:
        """Loads it."""
        return (model_files.load(folder_paths.get_full_path_or_raise("vae", vae_name)),)


class CLIPTextEncode:
    """Words as a model understands them."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        return {"required": {"text": ("STRING", {"multiline": True}), "clip": ("CLIP",)}}

    def encode(self, text: str, clip: LoadedModel) -> tuple[int]:
        """Encodes them."""
        return (clip.number(text),)


class EmptyLatentImage:
    """A picture that is still to be made."""

    CATEGORY = "latent"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        return {"required": {"width": SIZE, "height": SIZE, "batch_size": ("INT", {"default": 1, "min": 1, "max": 16})}}

    def generate(self, width: int, height: int, batch_size: int) -> tuple[dict[str, int]]:
        """Makes it."""
        return ({"width": width, "height": height, "batch_size": batch_size, "content": 0},)


class KSampler:
    """Makes a picture of a kind: one that depends on the model, on what was laid over it, and on all inputs."""

    CATEGORY = "sampling"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        seed = ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF})
        steps = ("INT", {"default": 20, "min": 1, "max": 10000})
        links = {"positive": ("CONDITIONING",), "negative": ("CONDITIONING",), "latent_image": ("LATENT",)}
        return {"required": {"model": ("MODEL",), "seed": seed, "steps": steps, **links}}

    def sample(
        self, model: LoadedModel, seed: int, steps: int, positive: int, negative: int, latent_image: dict[str, int]
    ) -> tuple[dict[str, int]]:
        """Makes it."""
        return ({**latent_image, "content": model.number(seed, steps, positive, negative)},)


class VAEDecode:
    """Turns what the sampler made into pictures."""

    CATEGORY = "latent"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "decode"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What the node takes."""
        return {"required": {"samples": ("LATENT",), "vae": ("VAE",)}}

    def decode(self, samples: dict[str, int], vae: LoadedModel) -> tuple[list[arraything.Block]]:
        """Decodes it."""
        colours = [vae.number(samples["content"], number) & 0xFFFFFF for number in range(samples["batch_size"])]
        return ([pictures.plain(samples["width"], samples["height"], colour) for colour in colours],)


NODE_CLASS_MAPPINGS: dict[str, t.Any] = {
    "EmptyImage": EmptyImage,
    "SaveImage": SaveImage,
    "CheckpointLoaderSimple": CheckpointLoaderSimple,
    "LoraLoader": LoraLoader,
    "VAELoader": VAELoader,
    "CLIPTextEncode": CLIPTextEncode,
    "EmptyLatentImage": EmptyLatentImage,
    "KSampler": KSampler,
    "VAEDecode": VAEDecode,
}
NODE_DISPLAY_NAME_MAPPINGS = {"SaveImage": "Save Image", "CheckpointLoaderSimple": "Load Checkpoint"}
# Of each custom node with files for the browser: the directory that has them.
EXTENSION_WEB_DIRS: dict[str, str] = {}
