# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several wheels of one package in python_packages: each target takes what fits it."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import SpecInvalid, load
from tests.unit.resolve.conftest import Document, Resolver

if t.TYPE_CHECKING:
    import pathlib

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.spec import Spec

X86 = "cp312-cp312-linux_x86_64"
CORE = Demand("core", "requirements.txt", ("torch",))


def given(resolver: Resolver, version: str, tag: str = X86) -> Document:
    """An entry of python_packages for a wheel of flash-attn."""
    release = resolver.forge.index("kernels").wheel("flash-attn", version, tag=tag, requires=["torch"])
    return {"name": "flash-attn", "url": release.url, "sha256": release.sha256}


def taken(
    resolver: Resolver, spec: list[Document], *, torch: str, python: str = "3.12", platform: str | None = None
) -> str:
    """The file of flash-attn beside a torch."""
    resolver.default.wheel("torch", torch)
    place = f"{torch}-{python}-{platform}"
    target = resolver(CORE, spec=[*spec, f"torch=={torch}"], python=python, platform=platform, place=place)
    (entry,) = [package for package in target["packages"] if package["name"] == "flash-attn"]
    assert entry["source"] == "wheel"
    assert entry["url"] in {each["url"] for each in spec}
    return str(entry["file"])


def test_each_target_takes_the_wheel_that_fits_it(resolver: Resolver) -> None:
    spec = [
        given(resolver, "2.8.3+cu12torch2.8"),
        given(resolver, "2.8.3+cu130torch2.9"),
        given(resolver, "2.8.3+cu130torch2.9", "cp313-cp313-linux_x86_64"),
        given(resolver, "2.8.3+cu130torch2.9", "cp312-cp312-linux_aarch64"),
    ]
    assert taken(resolver, spec, torch="2.8.0+cu128") == f"flash_attn-2.8.3+cu12torch2.8-{X86}.whl"
    assert taken(resolver, spec, torch="2.9.0+cu130") == f"flash_attn-2.8.3+cu130torch2.9-{X86}.whl"
    newer = taken(resolver, spec, torch="2.9.0+cu130", python="3.13")
    assert newer == "flash_attn-2.8.3+cu130torch2.9-cp313-cp313-linux_x86_64.whl"
    arm = taken(resolver, spec, torch="2.9.0+cu130", platform="aarch64-manylinux_2_28")
    assert arm == "flash_attn-2.8.3+cu130torch2.9-cp312-cp312-linux_aarch64.whl"


def test_where_none_fits_each_is_named_with_what_it_is_for(resolver: Resolver) -> None:
    spec = [given(resolver, "2.8.3+cu12torch2.8"), given(resolver, "2.8.3+cu130torch2.9")]
    with pytest.raises(FleetError) as raised:
        taken(resolver, spec, torch="2.10.0+cu130")
    assert str(raised.value) == (
        "target gpu (Python 3.12, x86_64-manylinux_2_28): none of the wheels of flash-attn in python_packages fits"
        f" torch 2.10.0+cu130 (CUDA 13.0): flash_attn-2.8.3+cu12torch2.8-{X86}.whl was built for torch 2.8, CUDA 12;"
        f" flash_attn-2.8.3+cu130torch2.9-{X86}.whl was built for torch 2.9, CUDA 13.0. Add one that was built for"
        " torch 2.10.0+cu130 (CUDA 13.0) there"
    )
    with pytest.raises(FleetError) as raised:
        taken(resolver, spec, torch="2.9.0+cu130", python="3.13")
    assert str(raised.value).count("is for CPython 3.12, and the target has CPython 3.13") == 2


def test_a_spec_may_name_several_wheels_and_no_file_twice(tmp_path: pathlib.Path) -> None:
    def load_with(*urls: str) -> Spec:
        entries = [{"name": "flash-attn", "url": url, "sha256": "0" * 64} for url in urls]
        document = {"schema_version": 3, "version_id": "v", "comfy": {"repo": "https://example.com/c.git", "ref": "v1"}}
        (tmp_path / "v.json").write_text(json.dumps({**document, "python_packages": entries}))
        return load(tmp_path, "v")

    first, second = (f"https://example.com/flash_attn-2.8.3%2Bcu130torch{torch}-{X86}.whl" for torch in ("2.9", "2.8"))
    assert [entry["url"] for entry in load_with(first, second).normalized["python_packages"]] == [first, second]
    with pytest.raises(SpecInvalid, match="contradicts"):
        load_with(first, first.replace("example.com", "mirror.example"))
    with pytest.raises(SpecInvalid, match="contradicts"):
        load_with(first, "https://example.com/flash_attn-2.8.3.tar.gz")
