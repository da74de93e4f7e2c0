# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports, as a user calls for them: what is written, what installs from it, and what is told where nothing can be."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from tests.integration.conftest import VERSION, World
from tests.support.nix import Nix
from tests.unit.resolve.test_builds import backend

TARGET = "default"
PYLOCK = f"pylock.{VERSION}-{TARGET}.toml"


@pytest.fixture
def locked(world: World) -> World:
    """A version with a package of each kind that no index has: built of a repository, of a URL, of a file."""
    repository = world.forge.repository("people/own")
    commit = repository.commit(backend("return make(wheel_directory, 'own', {'own.py': 'A = 1'})"))
    release = world.forge.index("releases").wheel("kernels", "1.0+cu130", modules={"kernels.py": ""})
    local = world.forge.index("releases").wheel("inhouse", "2.0", modules={"inhouse.py": ""})
    file = world.directory / "inhouse-2.0-py3-none-any.whl"
    file.write_bytes(local.content.data)
    world.spec["schema_version"] = 3
    world.spec["python_packages"] = [
        {"name": "own", "git": repository.url, "commit": commit},
        {"name": "kernels", "url": release.url, "sha256": release.sha256},
        {"name": "inhouse", "url": file.as_uri(), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
    ]
    world.lock()
    return world


def wanted(world: World) -> dict[str, str]:
    """What the lock has."""
    lock = json.loads((world.directory / "versions" / f"{VERSION}.lock.json").read_text())
    return {each["name"]: each["version"] for each in lock["targets"][TARGET]["packages"]}


def run(world: World, *command: str, directory: pathlib.Path | None = None) -> str:
    """Run a program that knows nothing of this machine's settings but the mirror of the default index."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(world.directory),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": world.forge.index("pypi").url,
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    done = subprocess.run(command, cwd=directory, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(site: pathlib.Path) -> dict[str, str]:
    """The distributions of a directory."""
    return {each.name: each.version for each in importlib.metadata.distributions(path=[str(site)])}


def test_what_is_exported_installs_and_a_second_export_changes_nothing(locked: World) -> None:
    place = locked.directory / "exports"
    where = {"comfy_export_dir": str(place)}
    foretold = locked.playbooks.succeed("export", "--check", "--diff", **where)
    assert "+./wheels/own-1.0-py3-none-any.whl" in foretold.output
    assert not place.exists()
    done = locked.playbooks.succeed("export", format="requirements", **where)
    assert f"{place}/requirements.txt: 8 packages, the wheels of 2 of them beside it" in done.output
    target = locked.directory / "by-pip"
    options = ("--quiet", "--require-hashes", "--no-deps", "--no-cache-dir", "--target", str(target))
    run(locked, sys.executable, "-m", "pip", "install", *options, "-r", "requirements.txt", directory=place)
    assert installed(target) == wanted(locked)
    locked.playbooks.succeed("export", format="pylock", **where)
    environment = locked.directory / "by-uv"
    run(locked, find_uv(), "venv", "--quiet", "--python", sys.executable, str(environment))
    python = ("--python", str(environment / "bin/python"))
    run(locked, find_uv(), "pip", "install", "--preview", *python, "-r", str(place / PYLOCK))
    (site,) = environment.glob("lib/*/site-packages")
    assert installed(site) == wanted(locked)
    assert sorted(path.name for path in place.iterdir()) == [PYLOCK, "requirements.txt", "wheels"]
    assert locked.playbooks.succeed("export", format="pylock", **where).changed == 0


def test_an_export_for_nix_builds_and_what_cannot_be_exported_is_told(locked: World) -> None:
    place = locked.directory / "nix"
    locked.playbooks.succeed("export", format="nix", comfy_export_dir=str(place))
    nix = Nix(locked.directory / "store")
    output = pathlib.Path(nix.build(place / "python-packages.nix", "environment"))
    (site,) = output.glob("lib/*/site-packages")
    assert installed(site) == wanted(locked)
    for variables, fault in REFUSED:
        refused = locked.playbooks.run("export", **variables)
        assert refused.returncode == 2
        assert fault in refused.output


REFUSED: t.Final[list[tuple[dict[str, str], str]]] = [
    ({"format": "conda"}, "value of format must be one of: requirements, pylock, nix, got: conda"),
    ({"format": "nix", "target": "rocm"}, "the lock has no target 'rocm'. Take one of default"),
]
