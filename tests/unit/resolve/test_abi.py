# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels with compiled code: for which Python, platform, torch and CUDA they are, before anything is locked."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.abi import abi_rows
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from tests.unit.resolve.conftest import Document, Resolver

if t.TYPE_CHECKING:
    from tests.support.forge import Release

X86 = "cp312-cp312-manylinux_2_28_x86_64"
KERNELS = "kernels"


def core(*lines: str) -> Demand:
    return Demand("core", "requirements.txt", lines)


def node(name: str, *lines: str) -> Demand:
    return Demand(f"node:{name}", "requirements.txt", lines)


def versions(target: Document) -> dict[str, str]:
    """The versions by name, less pip's."""
    return {package["name"]: package["version"] for package in target["packages"] if package["name"] != "pip"}


def given(release: Release) -> Document:
    """The entry of python_packages for a file by its URL."""
    return {"name": release.name, "url": release.url, "sha256": release.sha256}


def kernel(resolver: Resolver, name: str, version: str, tag: str = X86) -> Release:
    """A wheel with kernels, which users name by its URL."""
    return resolver.forge.index(KERNELS).wheel(name, version, tag=tag, requires=["torch"])


def torch(resolver: Resolver, *found: str) -> None:
    """Releases of torch in the default index."""
    for version in found:
        resolver.default.wheel("torch", version, tag=X86)


@pytest.mark.parametrize(
    ("tag", "python", "platform", "reason", "remedy"),
    [
        (
            "cp314-cp314-manylinux_2_28_x86_64",
            "3.12",
            None,
            "is for CPython 3.14, and the target has CPython 3.12",
            'Take that Python ("version": "3.14" of the target), or name the file for this Python',
        ),
        (
            "cp314-cp314t-manylinux_2_28_x86_64",
            "3.14",
            None,
            "is for the free-threaded build of CPython 3.14 (cp314t), and the target has CPython 3.14",
            "Name the file for this Python",
        ),
        (
            "cp313-abi3-linux_x86_64",
            "3.12",
            None,
            "is for CPython 3.13 or newer (abi3), and the target has CPython 3.12",
            'Take that Python ("version": "3.13" of the target), or name the file for this Python',
        ),
        (
            "cp312-cp312-manylinux_2_34_x86_64",
            "3.12",
            None,
            "needs glibc 2.34, and the target x86_64-manylinux_2_28 counts on 2.28",
            'Say that all hosts of the target have it ("platform": "x86_64-manylinux_2_34"), or name a file for an'
            " older one",
        ),
        (
            "cp39-abi3-win_amd64",
            "3.12",
            None,
            "is for win_amd64, and the target is x86_64-manylinux_2_28",
            "Name the file for Linux on x86_64",
        ),
        (
            "cp310-cp310-linux_x86_64",
            "3.12",
            "aarch64-manylinux_2_28",
            "is for CPython 3.10, and the target has CPython 3.12; it is for linux_x86_64, and the target is"
            " aarch64-manylinux_2_28",
            'Take that Python ("version": "3.10" of the target), or name the file for this Python, or name the file for'
            " Linux on aarch64",
        ),
    ],
)
def test_a_wheel_for_another_python_or_platform_is_said_before_anything_is_asked(
    resolver: Resolver, tag: str, python: str, platform: str | None, reason: str, remedy: str
) -> None:
    release = kernel(resolver, "sageattention", "2.2.0", tag)
    resolver.forge.forget_requests()
    with pytest.raises(FleetError) as raised:
        resolver(core("torch"), spec=[given(release)], python=python, platform=platform)
    assert f"{release.filename} {reason}\n  spec: sageattention. {remedy}" in str(raised.value)
    assert resolver.forge.requests == []


@pytest.mark.parametrize("tag", ["cp39-abi3-linux_x86_64", "py3-none-any", "cp312-none-manylinux2014_x86_64"])
def test_a_wheel_that_fits_by_its_tags_is_taken(resolver: Resolver, tag: str) -> None:
    torch(resolver, "2.9.0")
    release = kernel(resolver, "sageattention", "2.2.0", tag)
    assert versions(resolver(core("torch"), spec=[given(release)]))["sageattention"] == "2.2.0"


def test_a_wheel_for_another_torch_is_refused_with_what_there_is_and_what_to_do(resolver: Resolver) -> None:
    torch(resolver, "2.9.0+cu130", "2.8.0+cu128")
    release = kernel(resolver, "flash-attn", "2.8.3+cu12torch2.8cxx11abiTRUE")
    with pytest.raises(FleetError) as raised:
        resolver(core("torch"), spec=[given(release)])
    assert str(raised.value) == (
        "target gpu (Python 3.12, x86_64-manylinux_2_28): flash-attn 2.8.3+cu12torch2.8cxx11abitrue was built for torch"
        " 2.8, CUDA 12, and the target has torch 2.9.0+cu130 (CUDA 13.0): torch 2.8 and CUDA 12 do not fit\n"
        f"  core (requirements.txt): torch\n  spec: flash-attn @ {release.url}#sha256={release.sha256}. Name a wheel"
        " for torch 2.9 and CUDA 13.0 and cp312 in python_packages:"
        ' {"name": "flash-attn", "url": "...", "sha256": "..."}; or take the torch that it fits: "torch==2.8.*" in'
        " python_packages, with torch bound to an index for CUDA 12"
    )
    # What it says to write is accepted.
    fitting = resolver(core("torch"), spec=[given(release), "torch==2.8.*"])
    assert versions(fitting) == {"flash-attn": "2.8.3+cu12torch2.8cxx11abitrue", "torch": "2.8.0+cu128"}
    assert (
        "target gpu (Python 3.12, x86_64-manylinux_2_28): flash-attn 2.8.3+cu12torch2.8cxx11abitrue was built for torch"
        " 2.8, CUDA 12 and runs on GPUs of compute capability 8.0 or newer"
    ) in resolver.notes


def test_all_that_do_not_fit_are_named_at_once(resolver: Resolver) -> None:
    torch(resolver, "2.9.0+cu130")
    spec = [
        given(kernel(resolver, "sageattention", "2.2.0+cu128torch2.9.0")),
        given(kernel(resolver, "nunchaku", "1.0.2+torch2.10")),
        given(kernel(resolver, "torch-scatter", "2.1.2+pt29cu130")),
    ]
    with pytest.raises(FleetError) as raised:
        resolver(core("torch"), spec=spec)
    named = re.findall(r"^target gpu [^:]*: (\S+) .*: (.* fit)$", str(raised.value), re.MULTILINE)
    assert named == [("nunchaku", "torch 2.10 does not fit"), ("sageattention", "CUDA 12.8 does not fit")]


def test_of_several_builds_in_an_index_the_fitting_one_is_taken(resolver: Resolver) -> None:
    torch(resolver, "2.9.0+cu130", "2.8.0+cu128")
    index = resolver.forge.index(KERNELS)
    for version in ("2.8.2+cu13torch2.9", "2.8.3+cu12torch2.8", "2.8.3+cu12torch2.9", "2.8.3+cu13torch2.9"):
        index.wheel("flash-attn", version, tag=X86, requires=["torch"])
    index.wheel("flash-attn", "2.8.4+cu13torch2.9", tag="cp314-cp314-linux_x86_64", requires=["torch"])
    for version in ("2.8.2+torch2.10", "2.8.3+torch2.10"):
        index.wheel("flash-attn", version, tag=X86, requires=["torch"])
    resolver.default.wheel("video-kit", "1.0", requires=["flash-attn<2.8.3"])
    indexes = [resolver.bound("flash-attn", index=KERNELS)]
    found = resolver(node("video", "flash-attn"), core("torch"), indexes=indexes)
    assert versions(found) == {"flash-attn": "2.8.3+cu13torch2.9", "torch": "2.9.0+cu130"}
    older = resolver(node("video", "flash-attn<2.8.3"), core("torch"), indexes=indexes)
    assert versions(older)["flash-attn"] == "2.8.2+cu13torch2.9"
    bound = resolver(node("video", "video-kit"), core("torch"), indexes=indexes)
    assert versions(bound)["flash-attn"] == "2.8.2+cu13torch2.9"
    with pytest.raises(FleetError) as raised:
        resolver(node("video", "flash-attn"), core("torch==2.8.0"), spec=["flash-attn==2.8.2"], indexes=indexes)
    assert "the index kernels (" in str(raised.value)
    assert ") has it for torch 2.9, CUDA 13; torch 2.8, CUDA 12; torch 2.9, CUDA 12; torch 2.10" in str(raised.value)


def test_what_does_not_use_torch_may_be_for_another_cuda(resolver: Resolver) -> None:
    torch(resolver, "2.9.0+cu130")
    release = resolver.forge.index(KERNELS).wheel("llama-cpp-python", "0.3.4+cu124", tag=X86)
    assert versions(resolver(core("torch"), spec=[given(release)]))["llama-cpp-python"] == "0.3.4+cu124"


def test_of_the_builds_that_fit_a_final_release_of_this_python_goes_before_a_newer_one(resolver: Resolver) -> None:
    torch(resolver, "2.9.0+cu130")
    kernel(resolver, "flash-attn", "2.8.4+cu130torch2.10")
    kernel(resolver, "flash-attn", "2.8.3+cu130torch2.9")
    kernel(resolver, "flash-attn", "2.9.0rc1+cu130torch2.9")
    indexes = [resolver.bound("flash-attn", index=KERNELS)]
    assert versions(resolver(core("torch", "flash-attn"), indexes=indexes))["flash-attn"] == "2.8.3+cu130torch2.9"


def test_the_index_that_is_proposed_for_a_torch_serves_all_targets(resolver: Resolver) -> None:
    torch(resolver, "2.9.0+cpu")
    for others, url in ((["cu130"], "/whl/cu130"), (["cu130", "cpu"], "/whl")):
        resolver.notes.clear()
        targets = {name: {"accelerator": name} for name in others}
        resolver(core("torch"), accelerator="cu130", targets=targets)
        assert any(f'"url": "https://download.pytorch.org{url}"' in note for note in resolver.notes)


def test_the_table_says_what_fits_and_why_not() -> None:
    found = {
        "torch": "2.9.0+cu130",
        "torchvision": "0.24.0+cu130",
        "flash-attn": "2.8.3+cu130torch2.9",
        "sageattention": "2.2.0+cu128torch2.8.0",
        "nunchaku": "1.0.2+torch2.10",
        "numpy": "2.3.0",
        "dgl": "2.4.0+cu121",
    }
    assert [tuple(row) for row in abi_rows(found, {"dgl"})] == [
        ("dgl", "2.4.0+cu121", "CUDA 12.1", "", "CUDA 12.1"),
        ("flash-attn", "2.8.3+cu130torch2.9", "torch 2.9, CUDA 13.0", "8.0 or newer", ""),
        ("nunchaku", "1.0.2+torch2.10", "torch 2.10", "7.5 or newer, not 9.x, not 10.x", "torch 2.10"),
        (
            "sageattention",
            "2.2.0+cu128torch2.8.0",
            "torch 2.8.0, CUDA 12.8",
            "8.0 or newer",
            "torch 2.8.0, CUDA 12.8",
        ),
    ]


def test_a_torch_of_a_bound_index_for_another_accelerator_is_said(resolver: Resolver) -> None:
    """One index may be bound for targets of several kinds."""
    resolver.forge.index("pytorch-cpu").wheel("torch", "2.9.0+cpu", tag=X86)
    resolver(core("torch"), accelerator="cu130", indexes=[resolver.bound("torch")])
    assert [note.partition("): ")[2] for note in resolver.notes] == [
        "torch 2.9.0+cpu of the index pytorch-cpu is a build for cpu, and the target's accelerator is cu130: bind torch"
        " to an index for that in python.indexes, or give the target that accelerator"
    ]
    resolver.notes.clear()
    resolver(core("torch"), accelerator="cpu", indexes=[resolver.bound("torch")])
    assert resolver.notes == []
