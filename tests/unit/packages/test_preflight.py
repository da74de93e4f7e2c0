# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's driver, GPUs and C library against what a lock has compiled code in, before anything changes.

No machine with a GPU is needed: what stands for nvidia-smi prints what the real one does.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import Facts, find_python
from ansible_collections.comfyops.fleet.plugins.module_utils.host.nvidia import Gpu, Nvidia, look_at_nvidia
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Target, read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.preflight import (
    Machine,
    machine_notes,
    machine_obstacles,
)
from tests.support import locks
from tests.unit.packages.conftest import PYTHON, Host, converge, locked, look

GIB = 1 << 30
H100 = Gpu("NVIDIA H100 80GB HBM3", (9, 0), 80 * GIB)
RTX_5090 = Gpu("NVIDIA GeForce RTX 5090", (12, 0), 32 * GIB)
RTX_2080 = Gpu("NVIDIA GeForce RTX 2080 Ti", (7, 5), 11 * GIB)
P40 = Gpu("Tesla P40", (6, 1), 24 * GIB)
DEBIAN = Facts("x86_64", (2, 36), "cuda", (), "gpu-1")
NO_SMI = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."


class Smi(t.NamedTuple):
    """What stands for nvidia-smi: its directory is the whole PATH."""

    directory: pathlib.Path

    def prints(self, text: str, *, status: int = 0, knows_capability: bool = True) -> None:
        """Print these rows of the fields that we ask for, as the program does, or fail."""
        unknown = 'Field "compute_cap" is not a valid field to query.'
        refuses = f"case \"$1\" in *compute_cap*) echo '{unknown}'; exit 2;; esac\n" if not knows_capability else ""
        program = self.directory / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{refuses}/bin/cat <<'END'\n{text}\nEND\nexit {status}\n", encoding="utf-8")
        program.chmod(0o755)


@pytest.fixture
def smi(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Smi:
    """A host whose nvidia-smi is ours."""
    directory = tmp_path / "smi"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return Smi(directory)


def target(**versions: str) -> Target:
    """A target with these packages; __ in a name stands for a hyphen."""
    packages = [
        locks.package(name.replace("__", "-"), version, f"{name}-{version}-py3-none-any.whl", "0" * 64)
        for name, version in versions.items()
    ]
    document = locks.lock(
        locks.checkout("https://forge.example/core", "0" * 40), targets={"gpu": locks.target(packages)}
    )
    return read_lock(document).targets["gpu"]


def told(found: Target, machine: Machine) -> list[str]:
    """The obstacles as a user reads them."""
    return [str(fault) for fault in machine_obstacles(found, machine)]


def test_nvidia_smi_is_read(smi: Smi, tmp_path: pathlib.Path) -> None:
    nowhere = tmp_path / "nowhere"
    smi.prints("NVIDIA H100 80GB HBM3, 81559, 580.65.06, 9.0\nTesla P40, 24576, 580.65.06, 6.1")
    found = look_at_nvidia(nowhere)
    assert found == Nvidia(
        "580.65.06", (Gpu("NVIDIA H100 80GB HBM3", (9, 0), 81559 << 20), Gpu("Tesla P40", (6, 1), 24576 << 20))
    )
    smi.prints("NVIDIA GB10, [N/A], 580.95.05, 12.1")
    assert look_at_nvidia(nowhere) == Nvidia("580.95.05", (Gpu("NVIDIA GB10", (12, 1), None),))
    smi.prints("Tesla T4, 15109, 470.256.02", knows_capability=False)
    assert look_at_nvidia(nowhere) == Nvidia("470.256.02", (Gpu("Tesla T4", None, 15109 << 20),))
    smi.prints(NO_SMI, status=9)
    assert look_at_nvidia(nowhere) == Nvidia(None, (), NO_SMI)
    smi.prints("No devices were found", status=6)
    assert look_at_nvidia(nowhere) == Nvidia(None, (), "No devices were found")


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: 12",
            "550.54.14",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs)", "580.65.06"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.95  Release Build", "580.95"),
        ("no such thing", None),
    ],
)
def test_the_loaded_driver_is_known_without_its_program(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, text: str, driver: str | None
) -> None:
    """As in containers that have no nvidia-smi."""
    monkeypatch.setenv("PATH", str(tmp_path))
    module = tmp_path / "version"
    module.write_text(text)
    found = look_at_nvidia(module)
    assert found == (None if driver is None else Nvidia(driver, (), "nvidia-smi is not there"))


def test_an_old_driver_is_named_with_the_one_that_is_needed() -> None:
    found = target(torch="2.9.0+cu130")
    assert told(found, Machine(DEBIAN, Nvidia("550.54.14", (H100,)))) == [
        "target gpu: torch 2.9.0+cu130 (CUDA 13.0) needs NVIDIA driver 580.65.06 or newer, and this host has 550.54.14."
        " Install a newer driver on it, or lock a torch for CUDA 12 for it (python.indexes)"
    ]
    assert told(found, Machine(DEBIAN, Nvidia("580.65.06", (H100,)))) == []
    # Any driver of CUDA 12 runs all of CUDA 12.
    assert told(target(torch="2.9.0+cu128"), Machine(DEBIAN, Nvidia("550.54.14", (H100,)))) == []
    # A torch of the default index, whose runtime is another package.
    of_default = target(torch="2.15.0", nvidia__cuda__runtime="13.2.86")
    assert "needs NVIDIA driver 580.65.06" in told(of_default, Machine(DEBIAN, Nvidia("570.26", ())))[0]
    # NVIDIA's cuda-compat is there for this.
    assert told(found, Machine(DEBIAN, Nvidia("550.54.14", (H100,), compatibility="580.65.06"))) == []


def test_gpus_that_torch_or_kernels_do_not_run_on_are_named() -> None:
    driver = "580.65.06"
    found = target(torch="2.9.0+cu130", sageattention="2.2.0+cu130torch2.9.0", nunchaku="1.0.2+torch2.9", numpy="2.0")
    assert told(found, Machine(DEBIAN, Nvidia(driver, (RTX_5090,)))) == []
    assert told(found, Machine(DEBIAN, Nvidia(driver, (RTX_2080,)))) == [
        "target gpu: sageattention 2.2.0+cu130torch2.9.0 has kernels for GPUs of compute capability 8.0 or newer, and"
        " this host has NVIDIA GeForce RTX 2080 Ti with 7.5. Give these hosts a version without it, or take it out of"
        " python_packages"
    ]
    assert [fault.split(" has ")[0] for fault in told(found, Machine(DEBIAN, Nvidia(driver, (H100, H100))))] == [
        "target gpu: nunchaku 1.0.2+torch2.9"
    ]
    assert told(found, Machine(DEBIAN, Nvidia(driver, (P40,))))[0] == (
        "target gpu: torch 2.9.0+cu130 (CUDA 13.0) has kernels for GPUs of compute capability 7.5 or newer, and this"
        " host has Tesla P40 with 6.1. Lock a torch for these hosts that supports their GPUs (python.indexes)"
    )
    too_new = told(target(torch="2.9.0+cu126"), Machine(DEBIAN, Nvidia(driver, (RTX_5090,))))
    assert "5.0 or newer, below 10.0, and this host has NVIDIA GeForce RTX 5090 with 12.0" in too_new[0]


def test_one_of_several_gpus_that_does_not_fit_is_a_note() -> None:
    machine = Machine(DEBIAN, Nvidia("580.65.06", (RTX_5090, P40)))
    found = target(torch="2.9.0+cu130")
    assert told(found, machine) == []
    assert machine_notes(found, machine) == [
        "Tesla P40 (compute capability 6.1) cannot run torch 2.9.0+cu130 (CUDA 13.0), which needs 7.5 or newer"
    ]


def test_a_host_without_a_gpu_is_told_and_not_refused() -> None:
    """Images are made where there is none."""
    found = target(torch="2.9.0+cu130")
    assert told(found, Machine(DEBIAN, None)) == []
    assert machine_notes(found, Machine(DEBIAN, None)) == [
        "this host shows no NVIDIA GPU, and torch 2.9.0+cu130 (CUDA 13.0) needs one: without it ComfyUI starts with"
        " --cpu only"
    ]
    assert machine_notes(target(torch="2.9.0+cpu"), Machine(DEBIAN, None)) == []
    broken = Machine(DEBIAN, Nvidia("580.65.06", (), NO_SMI))
    assert machine_notes(found, broken)[0].startswith(f"the GPUs of this host cannot be looked at ({NO_SMI})")


def test_files_for_a_newer_glibc_or_another_machine_are_named() -> None:
    found = target(torch="2.9.0+cpu", box="1.0")
    names = {
        "torch": "torch-2.9.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl",
        "box": "box-1.0-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    }
    packages = tuple(dataclasses.replace(package, file=names[package.name]) for package in found.packages)
    found = dataclasses.replace(found, packages=packages)
    facts = Facts("x86_64", (2, 28), "cpu", (), "pod")
    assert told(found, Machine(facts, None)) == []
    assert told(found, Machine(dataclasses.replace(facts, glibc=(2, 27)), None)) == [
        "target gpu: torch: needs glibc 2.28, and this host has glibc 2.27. Take another target for this host"
        " (comfy_target), or lock one with its platform"
    ]
    assert [fault.split(". ")[0] for fault in told(found, Machine(dataclasses.replace(facts, glibc=None), None))] == [
        "target gpu: torch: needs glibc 2.28, and this host has another C library",
        "target gpu: box: needs glibc 2.17, and this host has another C library",
    ]
    assert [fault[:52] for fault in told(found, Machine(dataclasses.replace(facts, machine="aarch64"), None))] == [
        "target gpu: torch, box: is for x86_64, and this host"
    ]


def test_nothing_changes_on_a_host_that_cannot_run_it_and_a_newer_driver_helps(host: Host, smi: Smi) -> None:
    torch = host.index.wheel("torch", "2.9.0+cu130")
    smi.prints("NVIDIA H100 80GB HBM3, 81559, 550.54.14, 9.0")
    context = host.context([locked(torch)])
    with pytest.raises(FleetError, match=r"needs NVIDIA driver 580\.65\.06 or newer, and this host has 550\.54\.14"):
        converge(context)
    assert not context.layout.envs.exists()
    smi.prints("NVIDIA H100 80GB HBM3, 81559, 580.65.06, 9.0")
    assert converge(context) != ()
    # Another driver is nobody's change; a build that is to get this environment is.
    smi.prints("NVIDIA H100 80GB HBM3, 81559, 550.54.14, 9.0")
    assert look(context).obstacles == ()
    (context.home / ".venv").unlink()
    assert [fault.where for fault in look(context).obstacles] == ["target default"]


@pytest.mark.parametrize(
    ("launch", "accelerator", "looks"),
    [
        ({"args": [], "instances": []}, None, True),
        ({"args": ["--cpu"], "instances": []}, None, False),
        ({"args": [], "instances": [{"args": ["--cpu"]}, {"args": []}]}, None, True),
        ({"args": [], "instances": [{"args": ["--cpu"]}, {"args": ["--cpu"]}]}, None, False),
        ({"args": [], "instances": []}, "cpu", False),
    ],
)
def test_a_driver_does_not_matter_where_comfyui_runs_on_the_cpu(
    host: Host, smi: Smi, launch: locks.Document, accelerator: str | None, looks: bool
) -> None:
    smi.prints("Tesla K80, 11441, 470.256.02, 3.7")
    packages = [locked(host.index.wheel("torch", "2.9.0+cu130"))]
    document = host.document(packages, accelerator=accelerator)
    document["spec"]["launch"] = launch
    planned = look(host.context(packages, document=document))
    assert [fault.what.partition(" needs ")[0] for fault in planned.obstacles][:1] == (
        ["torch 2.9.0+cu130 (CUDA 13.0)"] if looks else []
    )
    assert planned.notes == ()


def test_a_free_threaded_interpreter_is_not_taken(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its wheels are others: cp314t and not cp314."""
    real = find_python(PYTHON)
    assert real is not None
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\nshift 2\nexec {real} -c "import sys; sys.abiflags = \'t\'; exec(sys.argv[1])" "$1"\n'
    )
    program.chmod(0o755)
    assert find_python(PYTHON, str(program)) != program
    usual = tmp_path / "usual"
    usual.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    usual.chmod(0o755)
    assert find_python(PYTHON, str(usual)) == usual
