# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirement lines of nodes that name repositories and archives: what users are told to add, and what it does."""

from __future__ import annotations

import json
import sys
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.checkouts import Wanted, resolve_checkouts
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.git import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from tests.unit.resolve.test_builds import backend

if t.TYPE_CHECKING:
    from tests.unit.resolve.conftest import Document, Resolver

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def lines_of(resolver: Resolver, content: str | bytes, files: dict[str, t.Any] | None = None) -> tuple[str, ...]:
    """The requirement lines of a node whose requirements.txt has this content."""
    node = resolver.forge.repository("people/node")
    commit = node.commit({"requirements.txt": content, **(files or {})})
    wanted = Wanted("node:node", "/custom_nodes/0", "node", node.url, None, commit, True, True)
    access = Access(resolver.directory / "git")
    return resolve_checkouts(access, [wanted], {}, lambda _each: False, resolver.notes.append)["node:node"].lines


def entry_in(text: str) -> Document:
    """The entry of python_packages that a message says."""
    found: Document = json.JSONDecoder().raw_decode(text.partition("Add to python_packages: ")[2])[0]
    return found


SETUP = "import os\nfrom setuptools import setup\nos.unlink('/nothing')\nsetup(version='1', name='mine')\n"


@pytest.mark.parametrize(
    ("files", "option", "suffix"),
    [
        ({"pyproject.toml": '[project]\nname = "mine"\n'}, "", ""),
        ({"pyproject.toml": '[tool.poetry]\nname = "mine"\n'}, "-e ", "@main"),
        ({"pyproject.toml": "[build-system]\nrequires = []\n", "setup.cfg": "[metadata]\nname = mine\n"}, "", ".git"),
        ({"setup.py": SETUP}, "--editable=", ""),
        ({"python/setup.py": SETUP}, "", "#subdirectory=python"),
        ({"README": ""}, "-e ", "#egg=mine"),
    ],
)
def test_a_repository_without_a_name(resolver: Resolver, files: dict[str, t.Any], option: str, suffix: str) -> None:
    repository = resolver.forge.repository("people/mine")
    commit = repository.commit(files)
    (line,) = lines_of(resolver, f"{option}git+{repository.url}{suffix}\n")
    assert line.startswith(f"mine @ git+{repository.url}")
    with pytest.raises(FleetError) as caught:
        resolver(Demand("node:node", "requirements.txt", (line,)), python=PYTHON)
    entry = entry_in(str(caught.value))
    url = repository.url + (".git" if suffix == ".git" else "")
    expected = {"name": "mine", "git": url, "commit": commit}
    assert entry == ({**expected, "subdirectory": "python"} if "subdirectory" in suffix else expected)
    assert "node node (requirements.txt)" in str(caught.value)


def test_a_name_that_is_nowhere_as_data(resolver: Resolver) -> None:
    repository = resolver.forge.repository("people/mine")
    repository.commit({"setup.py": "from setuptools import setup\nsetup(name=open('name').read())\n"})
    with pytest.raises(FleetError) as caught:
        lines_of(resolver, f"numpy\ngit+{repository.url}\n")
    assert "line 2" in str(caught.value) and "does not say the package's name" in str(caught.value)
    with pytest.raises(FleetError) as caught:
        lines_of(resolver, f"git+{resolver.forge.repository('people/other').url}@absent\n")
    assert "cannot be read" in str(caught.value) and "has no branch or tag 'absent'" in str(caught.value)


def test_an_archive_by_its_url(resolver: Resolver) -> None:
    release = resolver.default.sdist("packed", "2.0")
    with pytest.raises(FleetError) as caught:
        resolver(Demand("core", "requirements.txt", (f"packed @ {release.url}",)), python=PYTHON)
    assert entry_in(str(caught.value)) == {"name": "packed", "url": release.url, "sha256": release.sha256}


def test_the_entry_that_is_told_settles_the_line(resolver: Resolver) -> None:
    repository = resolver.forge.repository("people/own")
    repository.commit(backend("return make(wheel_directory, 'own', {})"))
    wheel = resolver.default.wheel("sage", "1.0")
    other = resolver.forge.index("files").wheel("sage", "2.0")
    lines = (f"own @ git+{repository.url}", f"sage @ {other.url}", "own>=0.5")
    demand = Demand("node:node", "requirements.txt", lines)
    with pytest.raises(FleetError) as caught:
        resolver(demand, python=PYTHON)
    entry = {**entry_in(str(caught.value)), "subdirectory": None, "submodules": True}
    file = {"name": "sage", "url": wheel.url, "sha256": wheel.sha256}
    target = resolver(demand, spec=[entry, file], python=PYTHON)
    packages = {package["name"]: package for package in target["packages"]}
    assert (packages["own"]["source"], packages["own"]["required_by"]) == ("git", ["node:node", "spec"])
    assert packages["sage"]["version"] == "1.0"
    why = "the spec says where the package comes from"
    assert target["replaced"] == [{"owner": "node:node", "line": line, "by": "spec", "why": why} for line in lines[:2]]


def test_files_in_other_encodings(resolver: Resolver) -> None:
    assert lines_of(resolver, "numpy>=1 # gr\xf6\xdfer\n".encode("utf-16")) == ("numpy>=1",)
    assert lines_of(resolver, "numpy>=2 # gr\xf6\xdfer\n".encode("latin-1")) == ("numpy>=2",)
    (note,) = [note for note in resolver.notes if "Latin-1" in note]
    assert note.startswith("node requirements.txt")


def test_files_that_include_and_constrain_others(resolver: Resolver) -> None:
    files = {"more/base.txt": "pillow\n-c ../limits.txt\n", "limits.txt": "pillow<12\n"}
    assert lines_of(resolver, "-r more/base.txt\nnumpy\n", files) == ("pillow", "numpy", "pillow<12")


@pytest.mark.parametrize(
    ("path", "folder"), [("./python", "python"), ("-e .", None), ("python/ ; sys_platform == 'linux'", "python")]
)
def test_a_path_of_the_node_itself(resolver: Resolver, path: str, folder: str | None) -> None:
    place = f"{folder}/" if folder else ""
    with pytest.raises(FleetError) as caught:
        lines_of(resolver, f"{path}\n", {f"{place}pyproject.toml": '[project]\nname = "inner"\n'})
    node = resolver.forge.repository("people/node")
    expected = {"name": "inner", "git": node.url, "commit": node.head()}
    assert entry_in(str(caught.value)) == ({**expected, "subdirectory": folder} if folder else expected)
    assert "lines of its own, without this one" in str(caught.value)
    with pytest.raises(FleetError) as caught:
        lines_of(resolver, "../elsewhere\n")
    assert "is a path on somebody's machine" in str(caught.value)
