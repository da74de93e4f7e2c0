# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report says of packages, and how they are distributed."""

from __future__ import annotations

import random
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.licenses import read_license
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Part, sources_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.subjects import ORDER, subject_of
from tests.support.locks import checkout, lock, package, target

if t.TYPE_CHECKING:
    from tests.unit.report.conftest import Report


def labels(parts: t.Iterable[Part]) -> dict[str, int]:
    """Label to the number of packages."""
    return {part.label: part.count for part in parts}


def test_every_source_has_its_words(report: Report) -> None:
    assert labels(report.target.by_source) == {
        "PyPI": 6,
        "index pytorch-cu130": 1,
        "wheel by its URL": 1,
        "wheel of the control node": 1,
        "built from a source archive": 2,
        "built from git": 1,
        "stand-in for another package": 1,
        "brought by the host's image": 1,
    }
    assert [name for name, entry in report.target.by_name.items() if entry.is_built] == ["archived", "gitty", "ink"]


def test_where_each_file_is(report: Report) -> None:
    origins = {name: entry.origin for name, entry in report.target.by_name.items()}
    assert origins["leaf"] is None
    assert origins["torch"] == "https://torch.example/whl/cu130"
    assert origins["archived"] == "https://files.example/archived-3.0.tar.gz"
    assert origins["ink"] == "ink-0.9.tar.gz of https://torch.example/whl/cu130"
    assert origins["gitty"] == f"git+https://git.example/people/gitty.git@{'c0ffee' * 6}c0ff#subdirectory=python"
    assert origins["kernels"] == "https://files.example/kernels-1.0.2%2Btorch2.9-py3-none-any.whl"


def test_a_default_index_of_ones_own_is_not_called_pypi(report: Report) -> None:
    report.document["targets"]["gpu"]["indexes"]["pypi"] = "https://own.example/simple"
    entry = report.target.by_name["leaf"]
    assert (entry.source, entry.origin) == ("default index", "https://own.example/simple")


def test_who_needs_it_alone_and_what_several_need(report: Report) -> None:
    found = {name: (entry.direct, entry.owners) for name, entry in report.target.by_name.items()}
    expected = {
        "egg": (("node:palette",), ("node:palette",)),
        "hen": ((), ("node:palette",)),
        "leaf": ((), ("core", "node:palette", "spec")),
        "torch": ((), ("core", "spec")),
        "opencv-contrib-python": (("node:palette",), ("core", "node:palette")),
        "pip": (("comfyops.fleet",), ("comfyops.fleet",)),
    }
    assert {name: found[name] for name in expected} == expected
    assert labels(report.target.by_owner) == {
        "the spec": 6,
        "several of these": 3,
        "core": 2,
        "node palette": 2,
        "the collection itself": 1,
    }


@pytest.mark.parametrize("seed", range(20))
def test_distributions_of_random_locks_add_up(seed: int) -> None:
    chance = random.Random(seed)
    sources = ["index", "wheel", "file", "shim", "provided"]
    packages = [
        package(
            f"p{number}",
            "1",
            f"p{number}-1-py3-none-any.whl",
            "0" * 64,
            source=chance.choice(sources),
            index=chance.choice(["pypi", "a", "b", None]),
            size=chance.choice([None, 0, chance.randrange(10**9)]),
            license=chance.choice([None, "MIT", "BSD"]),
            required_by=chance.sample(["core", "spec", "comfyops.fleet"], chance.randint(1, 3)),
        )
        for number in range(chance.randint(1, 150))
    ]
    document = lock(checkout("https://git.example/core", "0" * 40), targets={"t": target(packages)})
    found = sources_of(read_lock(document)).targets["t"]
    total = sum(each["size"] or 0 for each in packages)
    for parts in (found.by_source, found.by_owner, found.by_license):
        assert sum(part.count for part in parts) == len(packages)
        assert sum(part.size for part in parts) == total
        assert sum(part.count_share for part in parts) == 100
        assert sum(part.size_share for part in parts) == (100 if total else 0)
        assert [part.count for part in parts] == sorted((part.count for part in parts), reverse=True)
    assert found.unsized == sum(each["size"] is None for each in packages)


@pytest.mark.parametrize(
    ("text", "shown", "expression"),
    [
        ("MIT", "MIT", "MIT"),
        ("mit license", "MIT", "MIT"),
        ("apache-2.0", "Apache-2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0", "Apache-2.0"),
        ("MIT or (apache-2.0 with llvm-exception)", None, "MIT OR (Apache-2.0 WITH LLVM-exception)"),
        ("LicenseRef-NVIDIA-Proprietary", None, "LicenseRef-NVIDIA-Proprietary"),
        ("BSD", "BSD, no variant stated", None),
        ("Apache Software License", "Apache, no version stated", None),
        ("Dual License", "Dual License", None),
        ("x" * 80, "x" * 57 + "...", None),
        ("MIT License\n\nPermission is hereby granted ...", "MIT", "MIT"),
        ("====\nCopyright (c) 2005, People.\nAll rights", "a text of its own: Copyright (c) 2005, People.", None),
        ("Do what\nyou want", "a text of its own: Do what", None),
        (None, "not stated", None),
        (" \n", "not stated", None),
        ("UNKNOWN", "not stated", None),
    ],
)
def test_licences(text: str | None, shown: str | None, expression: str | None) -> None:
    found = read_license(text)
    assert (found.shown, found.expression) == (shown or expression, expression)


def test_a_stand_in_has_no_licence_and_holds_nothing_back(report: Report) -> None:
    report.package("opencv-python")["requires"] = ["opencv-contrib-python==4.12"]
    assert report.target.by_name["opencv-python"].license.shown == "no content"
    (own,) = (each for each in report.target.limits("opencv-contrib-python") if each.at_most)
    assert (own.at_most, own.void) == ("4.12 alone", "a stand-in follows what it stands in for")
    assert "`opencv-contrib-python==4.12`" not in report.file("sources.md")


def test_licences_with_texts_of_their_own_are_counted_as_one() -> None:
    assert read_license("Copyright A\nx").group == read_license("Copyright B\ny").group


def test_what_packages_are_for() -> None:
    found = {
        name: subject_of(name) for name in ("torch", "torch-geometric", "nvidia-cudnn-cu12", "cupy-cuda13x", "zzz")
    }
    assert found == {
        "torch": "PyTorch ecosystem",
        "torch-geometric": "PyTorch ecosystem",
        "nvidia-cudnn-cu12": "CUDA libraries",
        "cupy-cuda13x": "Performance libraries",
        "zzz": "Other libraries",
    }
    assert set(found.values()) <= set(ORDER)
