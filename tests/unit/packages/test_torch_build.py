# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The torch of an environment is the build that the lock says, by what torch says of itself."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from tests.unit.packages.conftest import Host, converge, locked, look, site

if t.TYPE_CHECKING:
    from tests.support.forge import Release


def torch(host: Host, version: str, says: str, cuda: str | None) -> Release:
    """A torch called ``version`` whose build says something about itself, as the real one does."""
    text = (
        "from typing import Optional\n\n"
        "__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip', 'rocm', 'xpu']\n"
        f"__version__ = {says!r}\ndebug = False\ncuda: Optional[str] = {cuda!r}\n"
        "git_version = '0fabc3ba44823f257e70ce397d989c8de5e362c1'\nhip: Optional[str] = None\n"
    )
    return host.index.wheel("torch", version, modules={"torch/version.py": text, "torch/__init__.py": ""})


@pytest.mark.parametrize(
    ("version", "says", "cuda", "build"),
    [
        ("2.9.0+cu130", "2.9.0+cpu", None, "2.9.0+cpu for no CUDA"),
        ("2.9.0+cu130", "2.9.0+cu128", "12.8", "2.9.0+cu128 for CUDA 12.8"),
        ("2.9.0+cu130", "2.8.0+cu130", "13.0", "2.8.0+cu130 for CUDA 13.0"),
        ("2.9.0+cu130", "2.9.0+cu130", "12.8", "2.9.0+cu130 for CUDA 12.8"),
        ("2.9.0+cpu", "2.9.0+cpu", "13.0", "2.9.0+cpu for CUDA 13.0"),
        ("2.9.0", "2.9.1+cu128", "12.8", "2.9.1+cu128 for CUDA 12.8"),
    ],
)
def test_another_build_than_it_is_called_never_serves(
    host: Host, version: str, says: str, cuda: str | None, build: str
) -> None:
    context = host.context([locked(torch(host, version, says, cuda))])
    with pytest.raises(FleetError) as raised:
        converge(context)
    assert f"torch calls itself {build}, the lock has torch {version}" in str(raised.value)
    assert not context.environment.exists()


@pytest.mark.parametrize(
    ("version", "says", "cuda"),
    [
        ("2.9.0+cu130", "2.9.0+cu130", "13.0"),
        ("2.9.0", "2.9.0+cu128", "12.8"),
        ("2.9", "2.9.0", None),
        ("2.8.0a0+5228986c39.nv25.5", "2.8.0a0+5228986c39.nv25.05", "12.9"),
    ],
)
def test_the_build_that_it_is_called_serves(host: Host, version: str, says: str, cuda: str | None) -> None:
    converge(host.context([locked(torch(host, version, says, cuda))]))


def test_the_cuda_of_the_runtime_counts_where_the_name_has_none(host: Host) -> None:
    runtime = locked(host.index.wheel("nvidia-cuda-runtime-cu12", "12.8.90"))
    with pytest.raises(FleetError, match=r"calls itself 2\.9\.0\+cu126 for CUDA 12\.6, the lock has torch 2\.9\.0 \("):
        converge(host.context([locked(torch(host, "2.9.0", "2.9.0+cu126", "12.6")), runtime]))


def test_a_deep_look_sees_it_as_well(host: Host) -> None:
    context = host.context([locked(torch(host, "2.9.0+cu130", "2.9.0+cu130", "13.0"))], deep=True)
    converge(context)
    file = site(context) / "torch" / "version.py"
    text = file.read_text()
    file.unlink()
    file.write_text(text.replace("+cu130", "+cpu").replace("'13.0'", "None"))
    assert [(each.action, each.before) for each in look(context).changes if each.name == "torch"] == [
        ("change", "damaged")
    ]
