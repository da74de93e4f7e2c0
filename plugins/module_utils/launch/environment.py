# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment variables of every run of ComfyUI. Pure.

A run inherits what the host has (its GPU, its proxies, its locale), less what would bring code or directories that no
lock names; then the directories of caches, so that what nodes fetch by themselves survives every version in
``data/cache``; then the spec's ``env``; then what is the fleet's alone.
"""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout

# What decides where libraries keep what they fetch, to the directory below data/cache. Those of HF_HOME (hub, xet,
# assets, datasets, modules) follow from it.
_FETCHED = {
    "HF_HOME": "huggingface",
    "TORCH_HOME": "torch",
    "U2NET_HOME": "u2net",
    "KERAS_HOME": "keras",
    "TFHUB_CACHE_DIR": "tfhub",
    "MODELSCOPE_CACHE": "modelscope",
    "EASYOCR_MODULE_PATH": "easyocr",
    "PADDLE_HOME": "paddle",
    "NLTK_DATA": "nltk",
    "TIKTOKEN_CACHE_DIR": "tiktoken",
    "YOLO_CONFIG_DIR": "ultralytics",
    "TTS_HOME": "tts",
    "DOCTR_CACHE_DIR": "doctr",
}
# What they have made themselves.
_COMPILED = {
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "CUDA_CACHE_PATH": "cuda",
    "CUPY_CACHE_DIR": "cupy",
    "MIOPEN_CUSTOM_CACHE_DIR": "miopen",
    "MIOPEN_USER_DB_PATH": "miopen",
    # Without it numba writes beside the code, which is in the environment.
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
}
# Of the host, these would lead the same libraries elsewhere, or bring code; PYTHON... likewise.
_DROPPED = frozenset(
    (
        *("HF_HUB_CACHE", "HF_XET_CACHE", "HF_ASSETS_CACHE", "HF_DATASETS_CACHE", "HF_MODULES_CACHE"),
        *("HUGGINGFACE_HUB_CACHE", "HUGGINGFACE_ASSETS_CACHE", "TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE"),
        *("PYTORCH_PRETRAINED_BERT_CACHE", "SENTENCE_TRANSFORMERS_HOME", "DIFFUSERS_CACHE"),
        *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "COMFY_OFFLINE"),
        *("LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"),
        *("COMFYUI_PATH", "COMFYUI_FOLDERS_BASE_PATH"),
    )
)
_DROPPED_BEGINNINGS = ("PYTHON", "PIP_", "UV_")
# What a node installs when it starts would be in the environment of all builds that share it.
_INSTALL_NOTHING = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
# transformers and datasets have had variables of their own; all are read by what is installed somewhere.
_OFFLINE = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "COMFY_OFFLINE"), "1")
_GPU_VARIABLES = {"rocm": "HIP_VISIBLE_DEVICES"}
_CUDA_GPUS = "CUDA_VISIBLE_DEVICES"
# It tells which Python to lock for, and ComfyUI nothing.
_FOR_THE_LOCK = "COMFY_PYTHON"
_PLACE = re.compile(r"\$(?:\{(COMFY_HOME|MODELS_DIR)\}|(COMFY_HOME|MODELS_DIR)\b)")


def run_environment(context: Context, inherited: c.Mapping[str, str], *, gpu: str | None = None) -> dict[str, str]:
    """All variables of a run of the context's build.

    inherited: those of the process that starts it. gpu: as ``launch.instances[].gpu``: a number, several as ``0,1``, or
    a UUID; None leaves the choice to ComfyUI.
    """
    kept = {name: value for name, value in inherited.items() if not _is_dropped(name)}
    places = {"COMFY_HOME": str(context.home), "MODELS_DIR": str(context.layout.models)}
    return {
        **kept,
        **cache_variables(context.layout),
        **_spec_variables(context, places),
        **(_OFFLINE if is_offline(context) else {}),
        **({_GPU_VARIABLES.get(context.target.accelerator or "", _CUDA_GPUS): gpu} if gpu is not None else {}),
        **places,
        **_INSTALL_NOTHING,
        "COMFY_CACHE_ROOT": str(context.layout.cache),
        "VIRTUAL_ENV": str(context.environment),
        "PATH": os.pathsep.join((str(context.environment / "bin"), kept.get("PATH") or os.defpath)),
        "PYTHONNOUSERSITE": "1",
        # So that the last line before a crash is in the log.
        "PYTHONUNBUFFERED": "1",
    }


def cache_variables(layout: Layout) -> dict[str, str]:
    """The variables that keep caches below ``data/cache``: of libraries by name, and of all that follow XDG."""
    caches = {name: str(layout.data_cache / directory) for name, directory in (_FETCHED | _COMPILED).items()}
    return {"XDG_CACHE_HOME": str(layout.data_cache), **caches, "HF_HOME": str(layout.hf_home)}


def compiled_caches(layout: Layout) -> frozenset[pathlib.Path]:
    """The directories below ``data/cache`` of what libraries make themselves."""
    return frozenset(layout.data_cache / directory for directory in _COMPILED.values())


def is_offline(context: Context) -> bool:
    """Whether ComfyUI itself is to use no network: ``launch.offline`` of the spec."""
    return bool((context.lock.spec.get("launch") or {}).get("offline"))


def _spec_variables(context: Context, places: c.Mapping[str, str]) -> dict[str, str]:
    wanted = context.lock.spec.get("env") or {}
    return {
        name: _PLACE.sub(lambda found: places[found[1] or found[2]], value)
        for name, value in wanted.items()
        if name != _FOR_THE_LOCK
    }


def _is_dropped(name: str) -> bool:
    return name in _DROPPED or name.startswith(_DROPPED_BEGINNINGS)
