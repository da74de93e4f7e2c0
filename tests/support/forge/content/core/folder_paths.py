# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where models, pictures and the user's files are."""

from __future__ import annotations

import logging
import os
import typing as t

from comfy.cli_args import args

if t.TYPE_CHECKING:
    from collections.abc import Collection

supported_pt_extensions: set[str] = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}

# Of each type of model: its directories, the first of which is the preferred one, and its file name extensions; none at
# all means every file.
folder_names_and_paths: dict[str, tuple[list[str], Collection[str]]] = {}

base_path = os.path.abspath(args.base_directory or os.path.dirname(os.path.realpath(__file__)))
models_dir = os.path.join(base_path, "models")

folder_names_and_paths["checkpoints"] = ([os.path.join(models_dir, "checkpoints")], supported_pt_extensions)
folder_names_and_paths["configs"] = ([os.path.join(models_dir, "configs")], [".yaml"])
folder_names_and_paths["loras"] = ([os.path.join(models_dir, "loras")], supported_pt_extensions)
folder_names_and_paths["vae"] = ([os.path.join(models_dir, "vae")], supported_pt_extensions)
folder_names_and_paths["text_encoders"] = (
    [os.path.join(models_dir, "text_encoders"), os.path.join(models_dir, "clip")],
    supported_pt_extensions,
)
folder_names_and_paths["diffusion_models"] = (
    [os.path.join(models_dir, "unet"), os.path.join(models_dir, "diffusion_models")],
    supported_pt_extensions,
)
folder_names_and_paths["clip_vision"] = ([os.path.join(models_dir, "clip_vision")], supported_pt_extensions)
folder_names_and_paths["style_models"] = ([os.path.join(models_dir, "style_models")], supported_pt_extensions)
folder_names_and_paths["embeddings"] = ([os.path.join(models_dir, "embeddings")], supported_pt_extensions)
folder_names_and_paths["diffusers"] = ([os.path.join(models_dir, "diffusers")], ["folder"])
folder_names_and_paths["vae_approx"] = ([os.path.join(models_dir, "vae_approx")], supported_pt_extensions)
folder_names_and_paths["controlnet"] = (
    [os.path.join(models_dir, "controlnet"), os.path.join(models_dir, "t2i_adapter")],
    supported_pt_extensions,
)
folder_names_and_paths["gligen"] = ([os.path.join(models_dir, "gligen")], supported_pt_extensions)
folder_names_and_paths["upscale_models"] = ([os.path.join(models_dir, "upscale_models")], supported_pt_extensions)
folder_names_and_paths["custom_nodes"] = ([os.path.join(base_path, "custom_nodes")], set())
folder_names_and_paths["hypernetworks"] = ([os.path.join(models_dir, "hypernetworks")], supported_pt_extensions)
folder_names_and_paths["photomaker"] = ([os.path.join(models_dir, "photomaker")], supported_pt_extensions)
folder_names_and_paths["classifiers"] = ([os.path.join(models_dir, "classifiers")], {""})
folder_names_and_paths["model_patches"] = ([os.path.join(models_dir, "model_patches")], supported_pt_extensions)
folder_names_and_paths["audio_encoders"] = ([os.path.join(models_dir, "audio_encoders")], supported_pt_extensions)

legacy_names = {"unet": "diffusion_models", "clip": "text_encoders"}

_directories = {
    "output": os.path.abspath(args.output_directory or os.path.join(base_path, "output")),
    "input": os.path.abspath(args.input_directory or os.path.join(base_path, "input")),
    "temp": os.path.abspath(os.path.join(args.temp_directory, "temp") if args.temp_directory else f"{base_path}/temp"),
    "user": args.user_directory or os.path.join(base_path, "user"),
}


def get_directory(kind: str) -> str:
    """The directory for ``output``, ``input``, ``temp`` or ``user`` files.

    Raises:
        KeyError: there is no such kind.
    """
    return _directories[kind]


def map_legacy(folder_name: str) -> str:
    """Today's name of a type of model."""
    return legacy_names.get(folder_name, folder_name)


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """Adds a directory to a type of model, in front of the others or behind them. A new type takes every file."""
    paths, _extensions = folder_names_and_paths.setdefault(map_legacy(folder_name), ([], set()))
    if full_folder_path in paths:
        if not is_default or paths[0] == full_folder_path:
            return
        paths.remove(full_folder_path)
    paths.insert(0 if is_default else len(paths), full_folder_path)


def get_folder_paths(folder_name: str) -> list[str]:
    """The directories of a type of model."""
    return list(folder_names_and_paths[map_legacy(folder_name)][0])


def get_filename_list(folder_name: str) -> list[str]:
    """The files of a type of model, relative to its directories. Links are followed; a dangling one is left out."""
    paths, extensions = folder_names_and_paths[map_legacy(folder_name)]
    found: set[str] = set()
    for directory in paths:
        for parent, _folders, names in os.walk(directory, followlinks=True):
            for name in names:
                full = os.path.join(parent, name)
                if extensions and os.path.splitext(name)[1].lower() not in extensions:
                    continue
                if not os.path.exists(full):
                    logging.warning("path %s exists but does not link anywhere, skipping", full)
                    continue
                found.add(os.path.relpath(full, directory))
    return sorted(found)


def get_full_path(folder_name: str, filename: str) -> str | None:
    """The file of that name in the first directory that has it."""
    relative = os.path.relpath(os.path.join("/", filename), "/")
    for directory in get_folder_paths(folder_name):
        full = os.path.join(directory, relative)
        if os.path.isfile(full):
            return full
    return None


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """The file of that name.

    Raises:
        FileNotFoundError: no directory has it.
    """
    full = get_full_path(folder_name, filename)
    if full is None:
        raise FileNotFoundError(f"Model in folder '{folder_name}' with filename '{filename}' not found.")
    return full


def next_output(prefix: str) -> tuple[str, str, str]:
    """Where the next picture goes: its directory, its file name, and its subfolder below the output directory.

    Raises:
        ValueError: the prefix leads out of the output directory.
    """
    output = get_directory("output")
    subfolder, name = os.path.split(os.path.normpath(prefix))
    directory = os.path.join(output, subfolder)
    if os.path.commonpath([output, os.path.abspath(directory)]) != output:
        raise ValueError(f"{prefix} leads out of the output directory {output}")
    os.makedirs(directory, exist_ok=True)
    taken = [it[len(name) + 1 :].partition("_")[0] for it in os.listdir(directory) if it.startswith(f"{name}_")]
    number = max((int(digits) for digits in taken if digits.isdigit()), default=0) + 1
    return directory, f"{name}_{number:05}_.png", subfolder
