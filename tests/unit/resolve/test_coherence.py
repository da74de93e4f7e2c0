# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What metadata does not keep apart: the torch family, numpy beside an old torch, pins that are years old."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from tests.unit.resolve.conftest import Document, Resolver

if t.TYPE_CHECKING:
    from tests.support.forge import Index

CU130 = "pytorch-cu130"


def core(*lines: str) -> Demand:
    return Demand("core", "requirements.txt", lines)


def node(name: str, *lines: str) -> Demand:
    return Demand(f"node:{name}", "requirements.txt", lines)


def versions(target: Document) -> dict[str, str]:
    """The versions by name, less pip's."""
    return {package["name"]: package["version"] for package in target["packages"] if package["name"] != "pip"}


def family(index: Index, local: str = "") -> None:
    """Releases of the torch family as they are: torchvision pins torch, torchaudio from 2.9 on does not."""
    for minor in (1, 8, 9, 13):
        index.wheel("torch", f"2.{minor}.0{local}")
        index.wheel("torchvision", f"0.{minor + 15}.0{local}", requires=[f"torch==2.{minor}.0"])
    index.wheel("torchaudio", f"2.1.0{local}", requires=["torch==2.1.0"])
    for version in ("2.8.0", "2.9.0", "2.11.0"):
        index.wheel("torchaudio", f"{version}{local}")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["torch<2.10", "torchaudio"], {"torch": "2.9.0", "torchaudio": "2.9.0"}),
        (["torch==2.1.0", "torchaudio>2"], {"torch": "2.1.0", "torchaudio": "2.1.0"}),
        # From 2.11 on torchaudio fits later releases of torch.
        (["torch", "torchaudio"], {"torch": "2.13.0", "torchaudio": "2.11.0"}),
        (
            ["torch<2.9", "torchvision", "torchaudio"],
            {"torch": "2.8.0", "torchvision": "0.23.0", "torchaudio": "2.8.0"},
        ),
    ],
)
def test_the_torch_family_is_chosen_together(resolver: Resolver, lines: list[str], expected: dict[str, str]) -> None:
    family(resolver.default)
    target = resolver(core(*lines))
    assert versions(target) == expected
    bound = [note for note in resolver.notes if "torchaudio" in note]
    assert len(bound) == (expected["torchaudio"] != "2.11.0")


def test_a_member_that_is_said_without_metadata_is_chosen_by_its_number(resolver: Resolver) -> None:
    """As on indexes whose wheels were built without pins."""
    for minor in (8, 9):
        resolver.default.wheel("torch", f"2.{minor}.0")
        resolver.default.wheel("torchvision", f"0.{minor + 15}.0")
    assert versions(resolver(core("torch==2.8.0", "torchvision"))) == {"torch": "2.8.0", "torchvision": "0.23.0"}


def test_a_line_that_pins_the_wrong_member_is_named(resolver: Resolver) -> None:
    family(resolver.default)
    with pytest.raises(FleetError) as raised:
        resolver(core("torch==2.8.0", "torchaudio"), node("voice", "torchaudio==2.11.0"))
    assert str(raised.value) == (
        "target gpu (Python 3.12, x86_64-manylinux_2_28): torchaudio 2.11.0 does not go with torch 2.8.0, of whose"
        " family it is: that is torchaudio==2.8.*\n  node voice (requirements.txt): torchaudio==2.11.0\n"
        '  core (requirements.txt): torch==2.8.0. Take another torch, or put "torchaudio==2.8.*" into python_packages,'
        " or other lines for node voice into custom_nodes[].requirements"
    )
    with pytest.raises(FleetError, match=r'or write "torchaudio==2\.8\.\*" in python_packages$'):
        resolver(core("torch==2.8.0"), spec=["torchaudio>=2.9"])


@pytest.mark.parametrize(
    ("accelerator", "local"), [("cpu", "+cpu"), ("cu128", "+cu128"), ("cu130", "+cu130"), ("rocm", "+rocm6.4")]
)
def test_one_index_with_several_builds_serves_targets_of_several_kinds(
    resolver: Resolver, accelerator: str, local: str
) -> None:
    index = resolver.forge.index("pytorch")
    for build in ("+cpu", "+cu128", "+cu130", "+rocm6.4", "+xpu"):
        family(index, build)
    bound = [resolver.bound("torch", "torchvision", "torchaudio", index="pytorch")]
    target = resolver(core("torch<2.10", "torchvision", "torchaudio"), accelerator=accelerator, indexes=bound)
    assert versions(target) == {
        "torch": f"2.9.0{local}",
        "torchvision": f"0.24.0{local}",
        "torchaudio": f"2.9.0{local}",
    }


def test_a_build_that_is_newer_than_exclude_newer_is_none(resolver: Resolver) -> None:
    index = resolver.forge.index("pytorch")
    index.wheel("torch", "2.9.0+cu130", upload_time="2025-10-15T10:00:00Z")
    index.wheel("torch", "2.9.0+xpu", upload_time="2025-10-10T10:00:00Z")
    bound = [resolver.bound("torch", index="pytorch")]
    found = [
        versions(resolver(core("torch"), accelerator="cu130", indexes=bound, exclude_newer=day, place=day))["torch"]
        for day in ("2025-10-15", "2025-10-16")
    ]
    assert found == ["2.9.0+xpu", "2.9.0+cu130"]


def test_nightlies_are_taken_as_they_are(resolver: Resolver) -> None:
    for name, version in (("torch", "2.16.0.dev20261101"), ("torchaudio", "2.11.0.dev20261101")):
        resolver.forge.index("nightly").wheel(name, f"{version}+cu132")
    indexes = [resolver.bound("torch", "torchaudio", index="nightly")]
    target = resolver(core("torch>=2.16.0.dev0", "torchaudio>=2.11.0.dev0"), indexes=indexes)
    assert versions(target) == {"torch": "2.16.0.dev20261101+cu132", "torchaudio": "2.11.0.dev20261101+cu132"}


def test_layered_lines_of_nodes_give_way_to_the_family_and_to_numpy(resolver: Resolver) -> None:
    family(resolver.default)
    resolver.default.wheel("numpy", "1.26.4")
    resolver.default.wheel("numpy", "2.4.0")
    demands = [core("torch==2.1.0", "torchaudio"), node("voice", "torchaudio==2.11.0"), node("new", "numpy>=2")]
    target = resolver(*demands, resolution="layered")
    assert versions(target) == {"torch": "2.1.0", "torchaudio": "2.1.0", "numpy": "1.26.4"}
    assert sorted((each["owner"], each["line"], each["by"]) for each in target["replaced"]) == [
        ("node:new", "numpy>=2", "comfyops.fleet: numpy<2"),
        ("node:voice", "torchaudio==2.11.0", "comfyops.fleet: torchaudio==2.1.*"),
    ]
    with pytest.raises(FleetError, match="cannot work with numpy 2"):
        resolver(*demands, spec=["numpy>=2"], resolution="layered")


def test_a_member_of_another_build_is_refused_with_the_index_to_write(resolver: Resolver) -> None:
    family(resolver.default)
    family(resolver.forge.index(CU130), "+cu130")
    with pytest.raises(FleetError) as raised:
        resolver(core("torch", "torchvision"), indexes=[resolver.bound("torch", index=CU130)])
    text = str(raised.value)
    assert "torchvision 0.28.0 of the index pypi (" in text
    assert "was built for what the default index has its torch for, and torch 2.13.0+cu130 (CUDA 13.0) of" in text
    url = resolver.forge.index(CU130).url
    entry = f'{{"name": "{CU130}", "url": "{url}", "packages": ["torch", "torchvision"]}}'
    assert text.endswith(f"Let both come from one index; in python.indexes: {entry}")
    both = resolver(core("torch", "torchvision"), indexes=[resolver.bound("torch", "torchvision", index=CU130)])
    assert versions(both) == {"torch": "2.13.0+cu130", "torchvision": "0.28.0+cu130"}


def test_two_indexes_of_two_builds_are_no_family(resolver: Resolver) -> None:
    family(resolver.forge.index("pytorch-cpu"), "+cpu")
    family(resolver.forge.index(CU130), "+cu130")
    indexes = [resolver.bound("torch"), resolver.bound("torchvision", index=CU130)]
    with pytest.raises(FleetError, match=r"torchvision 0\.28\.0\+cu130 .* was built for CUDA 13\.0, and torch 2\.13"):
        resolver(core("torch", "torchvision"), indexes=indexes)


def test_numpy_stays_below_2_beside_a_torch_that_predates_it(resolver: Resolver) -> None:
    family(resolver.default)
    for version in ("1.26.4", "2.4.0"):
        resolver.default.wheel("numpy", version)
    resolver.default.wheel("scipy", "1.11.0", requires=["numpy<2"])
    resolver.default.wheel("scipy", "1.16.0", requires=["numpy>=2"])
    target = resolver(core("torch==2.1.0", "numpy>=1.25", "scipy"))
    assert versions(target) == {"torch": "2.1.0", "numpy": "1.26.4", "scipy": "1.11.0"}
    assert [note.partition(": ")[2] for note in resolver.notes if "numpy" in note] == [
        "held to numpy<2: torch 2.1.0 was built against numpy 1"
    ]
    assert versions(resolver(core("torch==2.8.0", "numpy")))["numpy"] == "2.4.0"
    assert "numpy" not in versions(resolver(core("torch==2.1.0")))


def test_who_wants_numpy_2_beside_such_a_torch_is_told(resolver: Resolver) -> None:
    family(resolver.default)
    resolver.default.wheel("numpy", "1.26.4")
    resolver.default.wheel("numpy", "2.4.0")
    with pytest.raises(FleetError) as raised:
        resolver(node("old", "torch==2.1.0"), spec=["numpy>=2.1"])
    assert str(raised.value) == (
        "target gpu (Python 3.12, x86_64-manylinux_2_28): torch 2.1.0 was built against numpy 1 and cannot work with"
        ' numpy 2.4.0 ("RuntimeError: Numpy is not available")\n  spec: numpy>=2.1\n'
        '  node old (requirements.txt): torch==2.1.0. Take torch 2.3 or newer, or write "numpy<2" in python_packages'
    )


def aged(index: Index) -> None:
    """A package of 2023 and what it needs, which has gone on since."""
    index.wheel("diffusers", "0.24.0", requires=["hub>=0.13"], upload_time="2023-11-27T10:00:00Z")
    index.wheel("diffusers", "0.40.0", requires=["hub>=1"], upload_time="2026-10-01T10:00:00Z")
    index.wheel("hub", "0.19.4", upload_time="2023-11-01T10:00:00Z")
    index.wheel("hub", "2.1.0", upload_time="2026-10-20T10:00:00Z")
    index.wheel("leaf", "1.0", upload_time="2019-01-01T10:00:00Z")
    index.wheel("pip", "23.3", upload_time="2023-10-15T10:00:00Z")
    index.wheel("frontend", "1.53.6", upload_time="2026-10-25T10:00:00Z")


def old_pins(resolver: Resolver) -> list[str]:
    """What is said of ages."""
    return [note.partition("): ")[2] for note in resolver.notes if "years behind" in note]


def test_a_pin_years_older_than_what_it_works_with_is_said_with_the_line_to_add(resolver: Resolver) -> None:
    aged(resolver.default)
    resolver(core("hub", "leaf==1.0"), spec=["diffusers==0.24.0"])
    assert old_pins(resolver) == [
        "diffusers 0.24.0 of 2023-11 is held years behind what it works with (hub 2.1.0 of 2026-10), which may not fit"
        ' any more: add to python "exclude_newer": "2023-11-28", or raise it'
    ]
    resolver.notes.clear()
    then = resolver(core("hub", "leaf==1.0"), spec=["diffusers==0.24.0"], exclude_newer="2023-11-28", place="two")
    assert versions(then) == {"diffusers": "0.24.0", "hub": "0.19.4", "leaf": "1.0"}
    assert old_pins(resolver) == []


def test_exclude_newer_is_not_advised_where_it_would_rule_out_another_pin(resolver: Resolver) -> None:
    aged(resolver.default)
    resolver(core("frontend==1.53.6"), spec=["diffusers==0.24.0"])
    assert [note.rpartition(": ")[2] for note in old_pins(resolver)] == [
        "raise it, or ask for what there was in 2023-11 as well"
    ]


def test_a_pin_of_the_last_release_that_there_was_is_no_news(resolver: Resolver) -> None:
    aged(resolver.default)
    resolver.default.wheel("matrix", "0.4", requires=["hub"], upload_time="2021-07-01T10:00:00Z")
    resolver.default.wheel("matrix", "0.5rc1", requires=["hub"], upload_time="2026-07-01T10:00:00Z")
    resolver.default.wheel("matrix", "0.5", tag="cp38-cp38-win_amd64", upload_time="2026-07-01T10:00:00Z")
    resolver(core("matrix==0.4"))
    assert old_pins(resolver) == []


def test_old_packages_that_nobody_holds_back_are_no_news(resolver: Resolver) -> None:
    """Neither are those of an index without dates."""
    aged(resolver.default)
    resolver.default.wheel("user", "1.0", requires=["leaf"], upload_time="2026-10-20T10:00:00Z")
    resolver(core("diffusers", "user", "leaf"))
    assert old_pins(resolver) == []
    index = resolver.forge.index("undated")
    index.habits.json = False
    aged(index)
    resolver(core("diffusers==0.24.0"), indexes=[resolver.bound("diffusers", "hub", index="undated")], place="two")
    assert old_pins(resolver) == []
