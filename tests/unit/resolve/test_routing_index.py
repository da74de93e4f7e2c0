# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index on loopback by itself: who may ask, and wheels that no index has."""

from __future__ import annotations

import json
import typing as t
import urllib.error
import urllib.request

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Demand, lines_for
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import LOCAL, Indexes, read_indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.package_entries import Checks, make_entries
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.routing_index import LocalWheel, RoutingIndex
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import target_environment
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question, resolve
from tests.support.forge.distributions import Project

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.resolve.conftest import Document, Resolver

# A package that the host's image brings has no file: its wheel is there for the resolution alone.
PROVIDED: Document = {"source": "provided", "file": None, "sha256": None, "size": None}


def provided(name: str, version: str, *requires: str) -> LocalWheel:
    """A stand-in for a package of the host's image."""
    project = Project(name, version, requires)
    file = f"{project.escaped}-{version}-py3-none-any.whl"
    return LocalWheel(file, "0" * 64, 0, project.metadata(), PROVIDED)


def question(resolver: Resolver, lines: t.Sequence[str], local: dict[str, list[LocalWheel]]) -> Question:
    environment = target_environment("gpu", None, "3.12")
    indexes, _faults = read_indexes({}, (), {"pypi": resolver.default.url}, Access())
    found, _faults = lines_for(environment, [Demand("core", None, tuple(lines))], frozenset())
    return Question(environment, found, indexes, (), frozenset(), None, {}, (), local)


def solved(resolver: Resolver, asked: Question) -> tuple[list[Found], list[Document]]:
    """What is found, and the entries of it."""
    directory = resolver.directory / "question"
    directory.mkdir()
    found = resolve(asked, directory=directory, cache=resolver.directory / "cache" / "uv", report=resolver.notes.append)
    return found, make_entries(asked, found, (), Checks(resolver.directory / "cache", resolver.notes.append))


def test_a_package_of_the_hosts_image_takes_part_and_nothing_else_does_for_it(resolver: Resolver) -> None:
    resolver.default.wheel("torch", "9.0")
    resolver.default.wheel("vision", "2.0", requires=["torch>=9"])
    resolver.default.wheel("vision", "1.0", requires=["torch<9"])
    resolver.default.wheel("numpy", "1.0")
    torch = provided("torch", "2.9.0a0+145a3a7bda.nv25.10", "numpy")
    found, entries = solved(resolver, question(resolver, ["vision"], {"torch": [torch]}))
    assert {package.name: (package.version, package.index) for package in found} == {
        "numpy": ("1.0", "pypi"),
        "pip": ("25.2", "pypi"),
        "torch": ("2.9.0a0+145a3a7bda.nv25.10", LOCAL),
        "vision": ("1.0", "pypi"),
    }
    entry = next(each for each in entries if each["name"] == "torch")
    assert {key: entry[key] for key in PROVIDED} == PROVIDED
    assert (entry["index"], entry["url"], entry["required_by"]) == (None, None, ["package:vision"])


def test_a_bound_that_it_does_not_meet_says_whose_it_is(resolver: Resolver) -> None:
    asked = question(resolver, ["torch>=3"], {"torch": [provided("torch", "2.9")]})
    with pytest.raises(FleetError) as caught:
        solved(resolver, asked)
    assert "there is no version torch>=3: the index of the wheels of this control node has torch" in str(caught.value)


def test_only_who_knows_its_address_is_answered(tmp_path: Path) -> None:
    indexes = Indexes({"pypi": None}, {"pypi": None}, {})
    with RoutingIndex(indexes, {"torch": [provided("torch", "2.9")]}, tmp_path) as routing:
        with urllib.request.urlopen(f"{routing.url}/torch/") as answer:
            (file,) = json.load(answer)["files"]
        with urllib.request.urlopen(
            f"{routing.url.partition('/simple')[0].rpartition('/')[0]}{file['url']}.metadata"
        ) as answer:
            assert b"Name: torch" in answer.read()
        server = routing.url.split("/")[2]
        for address in (f"{routing.url}/numpy/", f"http://{server}/simple/torch/", f"http://{server}{file['url']}"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(address)
            assert caught.value.code == 404
            caught.value.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{routing.url}/torch/")
