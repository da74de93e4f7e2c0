# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that fill the same module, of which only one may be installed: the known ones, and which of them is best."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

# What a member needs that is made for CUDA in all its releases, or in those of one.
_CUDA: t.Final = "cu"
_ROCM: t.Final = "rocm"
_CONTRIB: t.Final = "contrib"


@dataclasses.dataclass(frozen=True)
class Group:
    """The packages that fill ``module``, by canonical name, the best first.

    made_for: members that are of use on one kind of accelerator alone, as targets name it (``cu``, ``cu12``, ``rocm``).
    in_step: the members have the same code in the same version. limits: the versions of a member that have the module,
    where not all have. plain: what serves without an accelerator, and makes no use of one.
    """

    module: str
    members: tuple[str, ...]
    made_for: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    in_step: bool = True
    limits: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    plain: str | None = None

    def holds(self, name: str, version: str) -> bool:
        """Whether this release fills the module."""
        from packaging.specifiers import SpecifierSet

        limit = self.limits.get(name)
        return name in self.members and (limit is None or SpecifierSet(limit).contains(version, prereleases=True))

    def choice(self, asked: c.Collection[str], accelerator: str | None) -> str:
        """The member to install where ``asked`` (members, at least one) are asked for on such a target."""
        if self.module == _CV2.module:
            # Hosts are servers: the others want libraries of a desktop. What contrib adds nobody else has.
            return f"opencv-{'contrib-' if any(_CONTRIB in name for name in asked) else ''}python-headless"
        there = [name for name in self.members if name in asked]
        special = [name for name in there if name in self.made_for]
        general = [name for name in there if name not in self.made_for]
        if accelerator is None:
            # Works on hosts of all kinds, and makes use of those that have one.
            return (special or general)[0]
        fitting = [name for name in special if accelerator.startswith(self.made_for[name])]
        return (fitting or general or [self.plain or special[0]])[0]


_CV2: t.Final = Group(
    "cv2",
    (
        "opencv-contrib-python-headless",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-python",
    ),
)

GROUPS: t.Final[tuple[Group, ...]] = (
    _CV2,
    Group(
        "onnxruntime",
        (
            "onnxruntime-gpu",
            "onnxruntime-rocm",
            "onnxruntime-migraphx",
            "onnxruntime-openvino",
            "onnxruntime",
            "onnxruntime-directml",
            "onnxruntime-training",
        ),
        made_for={"onnxruntime-gpu": _CUDA, "onnxruntime-rocm": _ROCM, "onnxruntime-migraphx": _ROCM},
        plain="onnxruntime",
    ),
    Group(
        "onnxruntime_genai",
        ("onnxruntime-genai-cuda", "onnxruntime-genai", "onnxruntime-genai-directml"),
        made_for={"onnxruntime-genai-cuda": _CUDA},
        plain="onnxruntime-genai",
    ),
    # Since its version 12, pynvml is no module of that name any more and requires the other one.
    Group("pynvml", ("nvidia-ml-py", "pynvml"), in_step=False, limits={"pynvml": "<12"}),
    Group(
        "cupy",
        (
            "cupy-cuda13x",
            "cupy-cuda12x",
            "cupy-cuda11x",
            "cupy-rocm-7-0",
            "cupy-rocm-5-0",
            "cupy-rocm-4-3",
            "cupy",
        ),
        made_for={
            "cupy-cuda13x": "cu13",
            "cupy-cuda12x": "cu12",
            "cupy-cuda11x": "cu11",
            "cupy-rocm-7-0": _ROCM,
            "cupy-rocm-5-0": _ROCM,
            "cupy-rocm-4-3": _ROCM,
        },
    ),
    Group(
        "faiss",
        ("faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cu11", "faiss-cpu"),
        made_for={"faiss-gpu": _CUDA, "faiss-gpu-cu12": "cu12", "faiss-gpu-cu11": "cu11"},
        plain="faiss-cpu",
    ),
    Group(
        "tensorflow",
        ("tensorflow", "tensorflow-gpu", "tensorflow-rocm", "tensorflow-cpu", "tf-nightly"),
        made_for={"tensorflow-gpu": _CUDA, "tensorflow-rocm": _ROCM},
    ),
    Group("PIL", ("pillow", "pillow-simd"), in_step=False),
    Group("dlib", ("dlib-bin", "dlib")),
    Group("decord", ("decord", "eva-decord"), in_step=False),
    Group("psycopg2", ("psycopg2-binary", "psycopg2")),
    Group("Crypto", ("pycryptodome", "pycrypto"), in_step=False),
)


def group_of(module: str) -> Group | None:
    """The known group of a module."""
    return next((group for group in GROUPS if group.module == module), None)
