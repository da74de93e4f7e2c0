# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locking again: what still fits stays to the byte, and what is named moves, with what it needs and nothing else."""

from __future__ import annotations

import json

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from tests.unit.resolve.conftest import CPU, Document, Resolver

CORE = Demand("core", "requirements.txt", ("torch", "numpy", "box"))


def versions(target: Document) -> dict[str, str]:
    return {package["name"]: package["version"] for package in target["packages"] if package["name"] != "pip"}


@pytest.fixture
def locked(resolver: Resolver) -> Document:
    """A first lock of torch, numpy and box."""
    resolver.default.wheel("torch", "2.9", requires=["triton==3.5"])
    resolver.default.wheel("triton", "3.5")
    resolver.default.wheel("numpy", "1.26")
    resolver.default.wheel("box", "1.0")
    return resolver(CORE, place="first")


def release(resolver: Resolver) -> None:
    """The next day: everything has a newer version."""
    resolver.default.wheel("torch", "2.10", requires=["triton==3.6"])
    resolver.default.wheel("triton", "3.6")
    resolver.default.wheel("numpy", "2.0")
    resolver.default.wheel("box", "2.0")
    resolver.default.wheel("pip", "26.0")


def test_newer_releases_move_nothing_by_themselves(resolver: Resolver, locked: Document) -> None:
    release(resolver)
    assert resolver(CORE, kept=locked["packages"], place="second") == locked
    moved = resolver(CORE, place="third")
    assert versions(moved) == {"torch": "2.10", "triton": "3.6", "numpy": "2.0", "box": "2.0"}


def test_an_upgrade_moves_one_and_what_it_needs(resolver: Resolver, locked: Document) -> None:
    release(resolver)
    target = resolver(CORE, kept=locked["packages"], upgrade={"torch", "a node", "model.safetensors"})
    assert versions(target) == {"torch": "2.10", "triton": "3.6", "numpy": "1.26", "box": "1.0"}
    unmoved = [package for package in target["packages"] if package["name"] not in {"torch", "triton"}]
    assert all(package in locked["packages"] for package in unmoved)


def test_an_upgrade_of_all_moves_all(resolver: Resolver, locked: Document) -> None:
    release(resolver)
    target = resolver(CORE, kept=locked["packages"], upgrade={"all"})
    assert versions(target) == {"torch": "2.10", "triton": "3.6", "numpy": "2.0", "box": "2.0"}
    assert {package["version"] for package in target["packages"] if package["name"] == "pip"} == {"26.0"}


def test_what_no_longer_fits_moves_alone(resolver: Resolver, locked: Document) -> None:
    release(resolver)
    target = resolver(CORE, spec=["numpy>=2"], kept=locked["packages"])
    assert versions(target) == {"torch": "2.9", "triton": "3.5", "numpy": "2.0", "box": "1.0"}


def test_who_asks_is_said_anew(resolver: Resolver, locked: Document) -> None:
    demand = Demand("node:a", "requirements.txt", ("box",))
    target = resolver(Demand("core", None, ("torch",)), demand, kept=locked["packages"])
    assert {package["name"]: package["required_by"] for package in target["packages"]} == {
        "box": ["node:a"],
        "pip": ["comfyops.fleet"],
        "torch": ["core"],
        "triton": ["package:torch"],
    }


def test_a_release_that_gains_a_file_changes_nothing(resolver: Resolver, locked: Document) -> None:
    gained = resolver.default.wheel("box", "1.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    assert resolver(CORE, kept=locked["packages"], place="second") == locked
    moved = resolver(CORE, kept=locked["packages"], upgrade={"box"}, place="second")
    assert gained.filename in {package["file"] for package in moved["packages"]}


def test_a_file_that_is_gone_is_replaced_by_another_of_its_release(resolver: Resolver, locked: Document) -> None:
    gained = resolver.default.wheel("box", "1.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    box = resolver.default.find("box-1.0-py3-none-any.whl")
    assert box is not None
    resolver.default.remove(box)
    target = resolver(CORE, kept=locked["packages"], place="second")
    assert gained.filename in {package["file"] for package in target["packages"]}


def test_a_file_whose_bytes_are_others_now_is_an_error(resolver: Resolver, locked: Document) -> None:
    before = resolver.default.find("box-1.0-py3-none-any.whl")
    after = resolver.default.wheel("box", "1.0", modules={"box.py": "other = True\n"})
    assert before is not None
    with pytest.raises(FleetError) as caught:
        resolver(CORE, kept=locked["packages"], place="second")
    assert f"now says sha256 {after.sha256} for box-1.0-py3-none-any.whl, and the lock has {before.sha256}" in str(
        caught.value
    )
    assert str(caught.value).endswith("lock again with comfy_lock_upgrade=box")
    target = resolver(CORE, kept=locked["packages"], upgrade={"box"}, place="second")
    assert after.sha256 in {package["sha256"] for package in target["packages"]}


def test_a_yanked_version_stays_where_it_was_locked(resolver: Resolver, locked: Document) -> None:
    box = resolver.default.find("box-1.0-py3-none-any.whl")
    assert box is not None
    resolver.default.yank(box, "broken")
    resolver.default.wheel("box", "2.0")
    assert resolver(CORE, kept=locked["packages"], place="second") == locked
    assert resolver.notes[-1].endswith('`box==1.0` is yanked (reason: "broken")')


def test_a_package_that_is_bound_to_another_index_is_not_kept(resolver: Resolver, locked: Document) -> None:
    resolver.forge.index(CPU).wheel("torch", "2.9+cpu")
    resolver.forge.index(CPU).wheel("torch", "2.8+cpu")
    target = resolver(CORE, indexes=[resolver.bound("torch")], kept=locked["packages"])
    assert versions(target) == {"torch": "2.9+cpu", "numpy": "1.26", "box": "1.0"}
    resolver.forge.index(CPU).wheel("torch", "3.0+cpu")
    again = resolver(CORE, indexes=[resolver.bound("torch")], kept=target["packages"], place="second")
    assert again == target


def test_a_wheel_of_the_spec_follows_the_spec(resolver: Resolver) -> None:
    files = resolver.forge.index("files")
    first, second = files.wheel("sage", "2.1"), files.wheel("sage", "2.2")

    def entry(url: str, sha256: str) -> Document:
        return {"name": "sage", "url": url, "sha256": sha256}

    locked = resolver(spec=[entry(first.url, first.sha256)])
    assert resolver(spec=[entry(first.url, first.sha256)], kept=locked["packages"]) == locked
    target = resolver(spec=[entry(second.url, second.sha256)], kept=locked["packages"])
    assert versions(target) == {"sage": "2.2"}
    with pytest.raises(FleetError) as caught:
        resolver(spec=[entry(first.url, "0" * 64)], kept=locked["packages"])
    assert f"sage 2.1: {first.url} has the sha256 {first.sha256}, and spec: sage @ {first.url}" in str(caught.value)


def test_other_days_of_a_bound_index(resolver: Resolver) -> None:
    index = resolver.forge.index(CPU)
    for version, triton in (("2.9", "3.5"), ("2.10", "3.6")):
        index.wheel("torch", f"{version}+cpu", requires=[f"triton=={triton}"])
        index.wheel("triton", triton)
        index.wheel("vision", f"0.{version}", requires=[f"torch=={version}"])
        if version == "2.9":
            given: Document = {"indexes": [resolver.bound("torch", "triton", "vision")]}
            lines = Demand("core", None, ("torch", "vision", "box"))
            resolver.default.wheel("box", "1.0")
            first = resolver(lines, **given)
            resolver.default.wheel("box", "2.0")
    assert versions(first) == {"torch": "2.9+cpu", "triton": "3.5", "vision": "0.2.9", "box": "1.0"}
    again = resolver(lines, kept=first["packages"], place="second", **given)
    assert json.dumps(again, sort_keys=True) == json.dumps(first, sort_keys=True)
    for name in ("torch", "vision"):
        moved = resolver(lines, kept=first["packages"], upgrade={name}, **given)
        assert versions(moved) == {"torch": "2.10+cpu", "triton": "3.6", "vision": "0.2.10", "box": "1.0"}
