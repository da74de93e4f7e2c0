# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git repositories and source archives that are built, with real backends, in the real sandbox."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import typing as t
import zipfile

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from tests.support.forge.installed import publish_installed

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.resolve.conftest import Document, Resolver

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


def project(name: str, version: str | None = "1.0", more: str = "") -> str:
    """The project table of a pyproject.toml."""
    said = f'version = "{version}"' if version else 'dynamic = ["version"]'
    return f'[project]\nname = "{name}"\n{said}\n{more}'


def git(resolver: Resolver, name: str, files: dict[str, t.Any], **more: t.Any) -> Document:
    """An entry of python_packages for a new repository of the forge with these files."""
    repository = resolver.forge.repository(f"owner/{name}")
    commit = repository.commit(files)
    return {"name": name, "git": repository.url, "commit": commit, "subdirectory": None, "submodules": True, **more}


def entry(target: Document, name: str) -> Document:
    """A package of a target."""
    return next(package for package in target["packages"] if package["name"] == name)


def stored(resolver: Resolver, package: Document) -> Path:
    """The wheel that the control node keeps of a locked package."""
    path: Path = resolver.wheels / package["sha256"][:12] / package["file"]
    return path


def members(path: Path) -> dict[str, bytes]:
    """The files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def builds(resolver: Resolver) -> list[str]:
    """What was said of builds."""
    return [note for note in resolver.notes if note.startswith("building ")]


@pytest.fixture
def backends(resolver: Resolver) -> Resolver:
    """The resolver, with setuptools on the forge's index."""
    publish_installed(resolver.default, "setuptools")
    return resolver


def test_a_repository_becomes_a_wheel_of_the_lock(backends: Resolver) -> None:
    backends.default.wheel("box", "1.0")
    spec = git(
        backends,
        "plain",
        {"pyproject.toml": SETUPTOOLS + project("plain", more='dependencies = ["box"]\n'), "plain.py": "A = 1\n"},
    )
    target = backends(spec=[spec], python=PYTHON)
    locked = entry(target, "plain")
    wheel = stored(backends, locked)
    assert members(wheel)["plain.py"] == b"A = 1\n"
    assert (locked["source"], locked["version"], locked["file"]) == ("git", "1.0", "plain-1.0-py3-none-any.whl")
    assert (locked["index"], locked["url"], locked["size"]) == (None, None, wheel.stat().st_size)
    built_from = locked["built_from"]
    assert {key: built_from[key] for key in spec if key != "name"} == {key: spec[key] for key in spec if key != "name"}
    (requirement,) = built_from["requires"]
    assert requirement["name"] == "setuptools" and len(requirement["sha256"]) == 64
    assert built_from["python"].startswith(f"{PYTHON}.")
    assert locked["required_by"] == ["spec"] and entry(target, "box")["required_by"] == ["package:plain"]
    assert json.loads(wheel.with_name(f"{wheel.name}.json").read_text())["inputs"]["python"] == PYTHON
