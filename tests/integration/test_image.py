# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment of a well-known image's size: locked, installed without a network, and again a day later."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import typing as t

import pytest

from tests.integration.conftest import VERSION
from tests.support.forge import Forge
from tests.support.forge.image import CUDA_INDEX, Image, newer_releases, publish
from tests.support.playbook import Playbooks
from tests.support.trees import tree

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, t.Any]


@dataclasses.dataclass
class World:
    """A forge with the image's packages, and two machines that are directories."""

    directory: pathlib.Path
    forge: Forge
    image: Image

    def __post_init__(self) -> None:
        self.versions = self.directory / "versions"
        self.versions.mkdir()
        inventory = {
            "all": {
                "hosts": {name: {"comfy_root": str(self.directory / name)} for name in ("first", "second")},
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            }
        }
        (self.directory / "hosts.json").write_text(json.dumps(inventory))
        (self.versions / f"{VERSION}.json").write_text(json.dumps(self.image.spec))

    @property
    def playbooks(self) -> Playbooks:
        """Runs against these machines and this forge."""
        variables = {
            "version": VERSION,
            "comfy_versions_dir": str(self.versions),
            "comfy_target": "gpu",
            "comfy_python_indexes": {"pypi": self.forge.index().url},
        }
        return Playbooks(variables, self.directory / "hosts.json", environment=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every run."""
        return {"XDG_CACHE_HOME": str(self.directory / "cache")}

    @property
    def packages(self) -> dict[str, Document]:
        """The lock's packages by name."""
        lock = json.loads((self.versions / f"{VERSION}.lock.json").read_text())
        return {package["name"]: package for package in lock["targets"]["gpu"]["packages"]}

    def python(self, machine: str) -> str:
        """The environment's interpreter on a machine."""
        return str(self.directory / machine / "current/.venv/bin/python")

    def wheels(self) -> pathlib.Path:
        """A directory with the lock's files, made of an export by pip alone."""
        self.playbooks.succeed("export", format="requirements", comfy_export_dir=str(self.directory / "export"))
        (requirements,) = (self.directory / "export").glob("*.txt")
        command = [sys.executable, "-m", "pip", "--isolated", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += [
            "--index-url",
            f"{self.forge.index().url}/",
            "--extra-index-url",
            f"{self.forge.index(CUDA_INDEX).url}/",
        ]
        target = self.directory / "wheels"
        subprocess.run([*command, "--dest", str(target), "-r", str(requirements)], check=True, cwd=requirements.parent)
        return target


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The image, locked."""
    directory = tmp_path_factory.mktemp("image")
    with Forge(directory / "forge") as forge:
        world = World(directory, forge, publish(forge, VERSION))
        world.playbooks.succeed("lock")
        yield world


def check_report(world: World) -> None:
    """It counts all that is installed, and so does the bill of materials."""
    world.playbooks.succeed(
        "sources", comfy_sources_dir=str(world.directory / "sources"), comfy_hosts="first", comfy_sources_look=True
    )
    report = json.loads((world.directory / "sources/sources.json").read_text())
    target = report["targets"]["gpu"]
    assert sum(part["count"] for part in target["by_source"]) == len(world.packages)
    assert round(sum(part["count_share"] for part in target["by_source"]), 1) == 100.0
    assert target["coverage"]["failures"] == [] and target["coverage"]["imports"]
    assert (world.directory / "sources/sources.html").is_file()
    bill = json.loads((world.directory / "sources/sbom-gpu.cdx.json").read_text())
    named = {component["name"] for component in bill["components"]}
    assert set(world.packages) <= named


def test_every_package_has_a_source(world: World) -> None:
    packages = world.packages
    assert len(packages) >= 110
    sources = [package["source"] for package in packages.values()]
    assert {source: sources.count(source) for source in ("git", "wheel")} == {"git": 6, "wheel": 3}
    assert {name for name, package in packages.items() if package["source"] == "git"} == set(world.image.built)
    assert packages["torchaudio"]["index"] == CUDA_INDEX
    providers = {name: package["provider"] for name, package in packages.items() if package["source"] == "shim"}
    assert providers == dict.fromkeys(("opencv-contrib-python", "opencv-python"), "opencv-contrib-python-headless")
    assert all(package["sha256"] for package in packages.values())


def test_it_is_installed_without_a_network_and_imports(world: World) -> None:
    wheels = world.wheels()
    faults = [world.forge.fault("drop", path) for path in ("/files/*", "/simple/*", "/index/*")]
    first = world.playbooks.succeed("realize", "--limit", "first", comfy_wheels_dir=str(wheels))
    for number in faults:
        world.forge.faults.remove(number)
    assert first.changed > 0
    checked = subprocess.run([world.python("first"), "-m", "pip", "check"], capture_output=True, text=True, check=True)
    assert "No broken requirements found" in checked.stdout
    subprocess.run([world.python("first"), "-c", f"import {', '.join(world.image.imports)}"], check=True)
    assert world.playbooks.succeed("realize", "--limit", "first").changed == 0
    check_report(world)


def test_another_day_gives_the_same_bytes(world: World) -> None:
    before = (world.versions / f"{VERSION}.lock.json").read_bytes()
    newer_releases(world.forge)
    world.playbooks.succeed("realize")
    assert (world.versions / f"{VERSION}.lock.json").read_bytes() == before
    trees = [tree(world.directory / name / "envs", without=("__pycache__",)) for name in ("first", "second")]
    assert trees[0] == trees[1]
