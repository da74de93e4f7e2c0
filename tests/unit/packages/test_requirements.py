# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements of core, nodes, spec and packages against what is installed, asked by the environment's own Python."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.requirements import unmet_requirements, verify
from tests.support.trees import tree
from tests.unit.packages.conftest import Host, converge, locked

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
    from tests.support.locks import Document

NODE = "node:comfyui-x"


@pytest.fixture
def packages(host_with_pip: Host) -> list[Document]:
    """numpy, and torch that wants it, with an extra."""
    index = host_with_pip.index
    return [
        locked(index.wheel("numpy", "1.26.4")),
        locked(index.wheel("torch", "2.9.0+cpu", requires=["numpy>=1.20"], extras={"fast": ["triton>=3", "numpy"]})),
        locked(index.wheel("Zope.Interface", "7.0")),
    ]


def converged(host: Host, packages: list[Document], *owners: tuple[str, list[str]], **spec: t.Any) -> Context:
    """A host with these packages, of a lock with these requirement lines."""
    files = {NODE: "requirements.txt", "core": "requirements.txt"}
    requirements = [{"owner": owner, "file": files.get(owner), "lines": lines} for owner, lines in owners]
    document = host.document(packages, requirements=requirements)
    document["spec"] = {**document["spec"], **spec}
    context = host.context([], document=document)
    converge(context)
    return context


def faults(context: Context) -> list[str]:
    """What is unmet, as the user reads it."""
    return [str(fault) for fault in unmet_requirements(context)]


def test_met_requirements(host_with_pip: Host, packages: list[Document]) -> None:
    lines = [
        *("numpy>=1.20,<2", "torch==2.9.0", "zope-interface", "ZOPE_interface>=6", "absent; python_version < '3'"),
        *("torch @ https://forge.example/torch.whl", "zope.interface @ git+https://forge.example/zope@abc", "numpy"),
    ]
    context = converged(host_with_pip, packages, ("core", lines), (NODE, ["numpy<2"]), ("spec", ["torch>=2.9"]))
    before = tree(host_with_pip.root)
    verify(context)
    assert tree(host_with_pip.root) == before


def test_a_requirement_of_a_node_that_is_not_met(host_with_pip: Host, packages: list[Document]) -> None:
    context = converged(host_with_pip, packages, (NODE, ["numpy>=2"]))
    with pytest.raises(FleetError) as caught:
        verify(context)
    assert str(caught.value) == (
        "node comfyui-x: wants numpy>=2 (requirements.txt), installed is 1.26.4. "
        'Add "numpy>=2" to python_packages in the spec, or give the node other lines in custom_nodes[].requirements, '
        "and lock again"
    )


def test_all_that_is_unmet_is_told_at_once(host_with_pip: Host, packages: list[Document]) -> None:
    owners = [("core", ["absent>=1"]), (NODE, ["numpy>=2", "other"]), ("spec", ["torch>=3"])]
    context = converged(host_with_pip, packages, *owners)
    with pytest.raises(Failures) as caught:
        verify(context)
    assert [str(each).partition(". ")[0] for each in caught.value.faults] == [
        "ComfyUI: wants absent>=1 (requirements.txt), it is not installed",
        "node comfyui-x: wants numpy>=2 (requirements.txt), installed is 1.26.4",
        "node comfyui-x: wants other (requirements.txt), it is not installed",
        "the spec: wants torch>=3, installed is 2.9.0+cpu",
    ]


def test_an_extra_wants_more(host_with_pip: Host, packages: list[Document]) -> None:
    context = converged(host_with_pip, packages, (NODE, ["torch[fast]>=2"]))
    (fault,) = faults(context)
    assert fault.startswith(
        'node comfyui-x: wants torch[fast]>=2 (requirements.txt), that is triton>=3 ; extra == "fast" for torch, '
        'it is not installed. Add "triton>=3" to python_packages'
    )


def test_packages_that_do_not_fit_each_other(host_with_pip: Host, packages: list[Document]) -> None:
    wishful = host_with_pip.index.wheel("scipy", "1.15.0", requires=["numpy>=2", "absent; python_version < '3'"])
    (fault,) = faults(converged(host_with_pip, [*packages, locked(wishful)]))
    assert fault == (
        "package scipy: wants numpy>=2, installed is 1.26.4. "
        "Let python_packages in the spec ask for a numpy that fits, and lock again"
    )


@pytest.mark.parametrize("key", ["overrides", "exclude", "provided"])
def test_what_the_spec_has_decided_is_not_asked(host_with_pip: Host, packages: list[Document], key: str) -> None:
    wishful = host_with_pip.index.wheel("scipy", "1.15.0", requires=["numpy>=2"])
    decided = {"overrides": ["NumPy==1.26.4"], "exclude": ["numpy"], "provided": ["numpy>=1"]}
    owners = (NODE, ["numpy>=2"])
    context = converged(host_with_pip, [*packages, locked(wishful)], owners, python={key: decided[key]})
    assert faults(context) == []


def test_lines_that_gave_way_are_not_asked_and_all_else_is(host_with_pip: Host, packages: list[Document]) -> None:
    vision = host_with_pip.index.wheel("torchvision", "0.25.0", requires=["torch==2.10.0"])
    gave_way = [
        {"owner": owner, "line": line, "by": "spec: torch==2.9.0", "why": "python_packages overrides"}
        for owner, line in (("core", "torch>=2.10"), (NODE, "absent"))
    ]
    owners = [
        {"owner": "core", "file": None, "lines": ["torch>=2.10", "numpy"]},
        {"owner": NODE, "file": None, "lines": ["torch>=2.10", "absent"]},
    ]
    document = host_with_pip.document([*packages, locked(vision)], requirements=owners, replaced=gave_way)
    context = host_with_pip.context([], document=document)
    converge(context)
    assert [each.partition(". ")[0] for each in faults(context)] == [
        "node comfyui-x: wants torch>=2.10, installed is 2.9.0+cpu",
        "package torchvision: wants torch==2.10.0, installed is 2.9.0+cpu",
    ]


def test_a_pre_release_that_was_locked_meets_what_it_is(host_with_pip: Host) -> None:
    release = host_with_pip.index.wheel("torch", "2.10.0.dev20260101+cpu")
    assert faults(converged(host_with_pip, [locked(release)], (NODE, ["torch>=2.9"]))) == []


def test_no_path_file_of_a_package_is_run(host_with_pip: Host) -> None:
    marker = host_with_pip.root / "marker"
    line = f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n"
    release = host_with_pip.index.wheel("pathy", "1.0", modules={"pathy.pth": line, "pathy.py": ""})
    context = converged(host_with_pip, [locked(release)], (NODE, ["pathy"]))
    assert faults(context) == []
    assert not marker.exists()


def test_an_environment_that_is_not_there_is_no_success(host_with_pip: Host, packages: list[Document]) -> None:
    with pytest.raises(FleetError, match="the environment is not there"):
        verify(host_with_pip.context(packages))
