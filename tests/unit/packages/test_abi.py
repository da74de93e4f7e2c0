# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What file names of real wheels say that they were built for, and which torch that fits."""

from __future__ import annotations

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.packages.abi import (
    CPU,
    CUDA,
    ROCM,
    XPU,
    Built,
    built_for,
    misfits,
    torch_of,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.gpu_needs import (
    driver_for,
    is_older,
    kernels_of,
    torch_capabilities,
)


@pytest.mark.parametrize(
    ("file", "built"),
    [
        (
            "flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
            Built(((2, 8),), cuda=(12,), kind=CUDA, cxx11=True),
        ),
        (
            "flash_attn-2.5.6+cu118torch2.1cxx11abiFALSE-cp310-cp310-linux_x86_64.whl",
            Built(((2, 1),), cuda=(11, 8), kind=CUDA, cxx11=False),
        ),
        (
            "flash_attn-2.8.3+cu130torch2.10-cp314-cp314-linux_x86_64.whl",
            Built(((2, 10),), cuda=(13, 0), kind=CUDA),
        ),
        (
            "flash_attn_3-3.0.0b1+20250907.cu129torch280cxx11abitrue.6d8bd9-cp39-abi3-linux_x86_64.whl",
            Built(((2, 8, 0),), cuda=(12, 9), kind=CUDA, cxx11=True),
        ),
        (
            "sageattention-2.2.0+cu130torch2.10.0-cp314-cp314-linux_x86_64.whl",
            Built(((2, 10, 0),), cuda=(13, 0), kind=CUDA),
        ),
        (
            "sageattention-2.2.0+cu128torch2.8.0.post3-cp39-abi3-win_amd64.whl",
            Built(((2, 8, 0),), cuda=(12, 8), kind=CUDA),
        ),
        (
            "sageattention-2.2.0+cu130torch2.9.0andhigher.post4-cp39-abi3-win_amd64.whl",
            Built(((2, 9, 0),), newer=True, cuda=(13, 0), kind=CUDA),
        ),
        ("sageattn3-1.0.0+cu128torch271-cp312-cp312-linux_x86_64.whl", Built(((2, 7, 1),), cuda=(12, 8), kind=CUDA)),
        ("nunchaku-1.0.2+torch2.10-cp314-cp314-linux_x86_64.whl", Built(((2, 10),))),
        ("nunchaku-1.2.1+cu12.8torch2.9-cp312-cp312-linux_x86_64.whl", Built(((2, 9),), cuda=(12, 8), kind=CUDA)),
        ("torch_scatter-2.1.2+pt28cu128-cp312-cp312-linux_x86_64.whl", Built(((2, 8),), cuda=(12, 8), kind=CUDA)),
        ("torch_scatter-2.1.2+pt210cu130-cp312-cp312-linux_x86_64.whl", Built(((2, 10),), cuda=(13, 0), kind=CUDA)),
        ("torch_scatter-2.1.1+pt20cpu-cp310-cp310-linux_x86_64.whl", Built(((2, 0),), kind=CPU)),
        ("torch_cluster-1.6.1+pt113cu117-cp310-cp310-linux_x86_64.whl", Built(((1, 13),), cuda=(11, 7), kind=CUDA)),
        (
            "mamba_ssm-2.2.6.post3+cu12torch2.7cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
            Built(((2, 7),), cuda=(12,), kind=CUDA, cxx11=True),
        ),
        (
            "causal_conv1d-1.5.2+cu12torch2.7cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
            Built(((2, 7),), cuda=(12,), kind=CUDA, cxx11=True),
        ),
        (
            "exllamav2-0.3.2+cu128.torch2.8.0-cp312-cp312-linux_x86_64.whl",
            Built(((2, 8, 0),), cuda=(12, 8), kind=CUDA),
        ),
        ("natten-0.21.0+torch280cu128-cp312-cp312-linux_x86_64.whl", Built(((2, 8, 0),), cuda=(12, 8), kind=CUDA)),
        ("natten-0.21.5+torch2100cu130-cp312-cp312-linux_x86_64.whl", Built(((2, 10, 0),), cuda=(13, 0), kind=CUDA)),
        (
            "natten-0.15.1+torch210cu121-cp310-cp310-linux_x86_64.whl",
            Built(((2, 1, 0), (2, 10)), cuda=(12, 1), kind=CUDA),
        ),
        (
            "detectron2-0.6+18f6958pt2.8.0cu128-cp312-cp312-linux_x86_64.whl",
            Built(((2, 8, 0),), cuda=(12, 8), kind=CUDA),
        ),
        (
            "k2-1.24.4.dev20250715+cuda12.8.torch2.7.1-cp312-cp312-manylinux_2_28_x86_64.whl",
            Built(((2, 7, 1),), cuda=(12, 8), kind=CUDA),
        ),
        ("xformers-0.0.33+5d4b92a5.d20251029-cp39-abi3-linux_x86_64.whl", Built()),
        ("xformers-0.0.28.post3+cu118-cp312-cp312-manylinux_2_28_x86_64.whl", Built(cuda=(11, 8), kind=CUDA)),
        ("torch-2.9.1+rocm7.1.1.lw.git351ff442-cp312-cp312-linux_x86_64.whl", Built(rocm=(7, 1), kind=ROCM)),
        ("torch-2.9.0+rocm6.4-cp312-cp312-manylinux_2_28_x86_64.whl", Built(rocm=(6, 4), kind=ROCM)),
        ("torch-2.9.0+xpu-cp312-cp312-linux_x86_64.whl", Built(kind=XPU)),
        ("torch-2.9.0+cpu.cxx11.abi-cp312-cp312-linux_x86_64.whl", Built(kind=CPU)),
        ("torch-2.8.0a0+5228986c39.nv25.5-cp312-cp312-linux_x86_64.whl", Built()),
        ("opencv_python-4.12.0.88-cp37-abi3-manylinux_2_17_x86_64.whl", Built()),
    ],
)
def test_local_versions_of_real_projects_are_understood(file: str, built: Built) -> None:
    """One case for each way of writing it that there is."""
    assert built_for(file.split("-")[1]) == built


@pytest.mark.parametrize(
    ("version", "torch", "wrong"),
    [
        ("2.8.3+cu12torch2.8cxx11abiTRUE", "2.8.0+cu128", []),
        ("2.8.3+cu12torch2.8cxx11abiTRUE", "2.8.1+cu126", []),
        ("2.8.3+cu12torch2.8cxx11abiTRUE", "2.9.0+cu128", ["torch 2.8"]),
        ("2.8.3+cu12torch2.8cxx11abiTRUE", "2.9.0+cu130", ["torch 2.8", "CUDA 12"]),
        ("2.7.4+cu12torch2.6cxx11abiFALSE", "2.6.0+cu124", []),
        ("2.7.4+cu12torch2.6cxx11abiFALSE", "2.6.0+cu126", ["the old C++ ABI (cxx11abiFALSE)"]),
        ("2.7.4+cu12torch2.5cxx11abiTRUE", "2.5.1+cu124", ["the C++11 ABI (cxx11abiTRUE)"]),
        ("2.2.0+cu130torch2.9.0andhigher", "2.11.0+cu130", []),
        ("2.2.0+cu130torch2.9.0andhigher", "2.8.0+cu130", ["torch 2.9.0 or newer"]),
        ("1.0.2+torch2.10", "2.1.0+cu121", ["torch 2.10"]),
        ("0.15.1+torch210cu121", "2.1.2+cu121", []),
        ("2.1.2+pt28cu128", "2.8.0+cpu", ["CUDA 12.8"]),
        ("2.1.2+pt28cpu", "2.8.0+cu128", ["CPU"]),
        ("2.1.2+pt28cu128", "2.8.0+rocm6.4", ["CUDA 12.8"]),
        ("0.0.33+5d4b92a5.d20251029", "2.9.0+cu130", []),
        # Nothing is known of where such a torch is from.
        ("2.8.3+cu12torch2.8cxx11abiTRUE", "2.8.0a0+5228986c39.nv25.5", []),
    ],
)
def test_what_does_not_fit_is_named(version: str, torch: str, wrong: list[str]) -> None:
    """torch by its first two numbers, CUDA by its first one."""
    assert misfits(built_for(version), torch_of({"torch": torch})) == wrong


def test_a_torch_without_local_version_is_known_by_its_runtime() -> None:
    """As the default index has it."""
    torch = torch_of({"torch": "2.9.0", "nvidia-cuda-runtime-cu12": "12.8.90"})
    assert torch is not None
    assert str(torch) == "torch 2.9.0 (CUDA 12.8)"
    assert misfits(built_for("2.2.0+cu130torch2.9"), torch) == ["CUDA 13.0"]
    assert torch_of({"numpy": "2.0"}) is None
    assert misfits(built_for("2.2.0+cu130torch2.9"), None) == []


def test_drivers_of_cuda() -> None:
    """Minor releases of CUDA run on the first driver of their major one."""
    assert driver_for((13, 2)) == "580.65.06"
    assert driver_for((12, 8)) == "525.60.13"
    assert driver_for((14, 0)) is None
    assert is_older("550.54.14", "580.65.06")
    assert is_older("580.9", "580.65.06")
    assert not is_older("580.65.06", "580.65.06")
    assert not is_older("590.44.01", "580.65.06")


@pytest.mark.parametrize(
    ("torch", "runs_on", "runs_not_on"),
    [
        ("2.9.0+cu130", [(7, 5), (8, 9), (9, 0), (12, 0), (12, 1)], [(7, 0), (6, 1)]),
        ("2.9.0+cu128", [(7, 0), (12, 0)], [(6, 1)]),
        ("2.7.1+cu128", [(7, 5)], [(7, 0)]),
        ("2.11.0+cu128", [(7, 5)], [(7, 0)]),
        ("2.9.0+cu126", [(5, 0), (9, 0)], [(10, 0), (12, 0)]),
        ("2.1.0+cu118", [(6, 1), (8, 9)], [(12, 0)]),
    ],
)
def test_gpus_of_torch(torch: str, runs_on: list[tuple[int, int]], runs_not_on: list[tuple[int, int]]) -> None:
    """Both ends count: a new GPU has no code in an old torch."""
    found = torch_of({"torch": torch})
    assert found is not None
    capabilities = torch_capabilities(found, "x86_64")
    assert capabilities is not None
    assert [capability for capability in runs_on if not capabilities.has(capability)] == []
    assert [capability for capability in runs_not_on if capabilities.has(capability)] == []


def test_gpus_of_kernels() -> None:
    """What is not known has no needs."""
    nunchaku = kernels_of("nunchaku", "1.0.2+torch2.10")
    assert nunchaku is not None
    assert str(nunchaku) == "7.5 or newer, not 9.x, not 10.x"
    assert [each for each in ((7, 0), (7, 5), (8, 9), (9, 0), (10, 0), (12, 0)) if nunchaku.has(each)] == [
        (7, 5),
        (8, 9),
        (12, 0),
    ]
    assert kernels_of("sageattention", "1.0.6") is None
    assert kernels_of("numpy", "2.0") is None
    assert str(kernels_of("flash-attn-3", "3.0.0b1")) == "8.0 or newer, below 10.0"
