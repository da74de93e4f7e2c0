# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock with packages of every source, made on a forge, and its exports."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sys
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock, Package, read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.shim import make_shim
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import written_files
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.export import choose_target, export
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.places import Site
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from tests.support.forge import Forge
from tests.support.forge.demo_packages import pip_wheel
from tests.support.forge.git import Link
from tests.support.forge.installed import publish_installed
from tests.support.locks import checkout, lock
from tests.unit.resolve.conftest import Resolver

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.forge import Release
    from tests.support.forge.git import FileContent

Document = dict[str, t.Any]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
NATIVE = f"cp{PYTHON.replace('.', '')}-cp{PYTHON.replace('.', '')}-manylinux_2_17_x86_64"
NIXPKGS = "github:NixOS/nixpkgs/nixos-25.11"
BACKEND = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


@dataclasses.dataclass
class Exporter:
    """Exports of one lock; ``directory`` is for what they write."""

    resolver: Resolver
    document: Document
    directory: Path

    @property
    def lock(self) -> Lock:
        """The lock as it is read."""
        return read_lock(self.document)

    @property
    def site(self) -> Site:
        """How this machine reaches the forge."""
        cache = self.resolver.directory / "cache"
        return Site({"pypi": self.resolver.default.url}, Access(), git.Access(cache / "git"), cache)

    def package(self, name: str) -> Package:
        """A package of the lock."""
        return next(package for package in self.lock.targets["gpu"].packages if package.name == name)

    def edited(self, name: str, **values: t.Any) -> Exporter:
        """The same, where the lock says otherwise of a package."""
        packages = [
            {**package, **values} if package["name"] == name else package
            for package in self.document["targets"]["gpu"]["packages"]
        ]
        return self.with_packages(packages)

    def with_shim(self) -> Exporter:
        """The same, where own-tools is in the place of hen."""
        shim = make_shim("hen", "1.0", "own-tools", ["own-tools"])
        kind = {"source": "shim", "provider": "own-tools", "index": None, "requires": ["own-tools"]}
        return self.edited("hen", **kind, file=shim.file, sha256=shim.sha256, size=len(shim.content))

    def with_packages(self, packages: list[Document]) -> Exporter:
        """The same, where the lock has these packages."""
        target = {**self.document["targets"]["gpu"], "packages": packages}
        return dataclasses.replace(self, document={**self.document, "targets": {"gpu": target}})

    def __call__(self, form: str) -> Path:
        """Write the export; give its directory."""
        versions = self.resolver.wheels.parent
        found = export(self.lock, choose_target(self.lock, None), form, self.site, versions, NIXPKGS)
        written_files.write(written_files.compare(self.directory, found.texts, found.wheels))
        return self.directory


def python_project(name: str, version: str, requires: str = "") -> str:
    """The pyproject.toml of a package with one module, built by setuptools."""
    project = f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{requires}]\n'
    return f'{BACKEND}{project}[tool.setuptools]\npy-modules = ["{name}"]\n'


def publish(resolver: Resolver) -> dict[str, Release]:
    """Fill the forge's indexes; give what the tests look at."""
    default, cuda = resolver.default, resolver.forge.index("pytorch-cu130")
    default.wheel_file(pip_wheel())
    publish_installed(default, "setuptools")
    default.wheel("leaf", "1.0")
    default.wheel("torch", "99.0")
    default.wheel("app", "1.0", requires=["leaf>=1", "torch", "egg"])
    default.wheel("egg", "1.0", requires=["hen"])
    default.wheel("hen", "1.0", requires=["egg", "native ; python_version > '3'", "native ; sys_platform == 'win32'"])
    default.wheel("native", "1.0.post1", tag=NATIVE, modules={"native.py": "", "native.so": b"\x7fELF"})
    # An index of torch has others' old releases, too.
    cuda.wheel("leaf", "0.5")
    cuda.habits.hashes = False
    return {
        "torch": cuda.wheel("torch", "2.9.0+cu130", requires=["leaf"], tag=NATIVE, modules={"torch.py": ""}),
        "kernels": resolver.forge.index("releases").wheel("kernels", "1.0.2+torch2.9", requires=["torch"]),
        "archive": resolver.forge.index("releases").sdist("archived", "3.0", requires=["leaf"]),
    }


def repositories(resolver: Resolver) -> Document:
    """A repository with all that matters to a hash of its tree; gives the entry of python_packages."""
    part = resolver.forge.repository("people/part")
    part.commit({"part.txt": "a part\n", ".gitattributes": "*.txt export-ignore\n", "deeper/run": "#!/bin/sh\n"})
    whole = resolver.forge.repository("people/whole")
    files: dict[str, FileContent] = {
        "python/pyproject.toml": python_project("gitty", "1.5", '"leaf", "native"'),
        "python/gitty.py": "WHERE = 'git'\n",
        ".gitattributes": "*.crlf text eol=crlf\n*.id ident\nversion.txt export-subst\nhidden export-ignore\n",
        "lines.crlf": "one\ntwo\n",
        "what.id": "$Id$\n",
        "version.txt": "$Format:%H$\n",
        "hidden": "not in archives\n",
        "link": Link("python/gitty.py"),
        "script": "#!/bin/sh\n",
        "name with b\u00fcchern": "",
    }
    whole.commit(files, executable=["script"])
    commit = whole.submodule("sub/part", part.url, part.head())
    return {"name": "gitty", "git": whole.url, "commit": commit, "subdirectory": "python", "submodules": True}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """The lock, and the forge that it was made on."""
    directory = tmp_path_factory.mktemp("made")
    with Forge(directory / "forge") as forge:
        resolver = Resolver(forge, directory)
        released = publish(resolver)
        local = directory / "local" / "own_tools-0.1-py3-none-any.whl"
        local.parent.mkdir()
        shutil.copy(resolver.default.wheel("own-tools", "0.1").content.path, local)
        resolver.default.remove(resolver.default.releases[-1])
        own = {"name": "own-tools", "url": local.as_uri(), "sha256": ""}
        own["sha256"] = written_sha256(local)
        archived, kernels = released["archive"], released["kernels"]
        spec: list[Document | str] = [
            "app",
            own,
            {"name": "kernels", "url": kernels.url, "sha256": kernels.sha256},
            {"name": "archived", "url": archived.url, "sha256": archived.sha256},
            repositories(resolver),
        ]
        bound = resolver.bound("torch", index="pytorch-cu130")
        target = resolver(spec=spec, python=PYTHON, accelerator="cu130", indexes=[bound])
        document = lock(checkout("https://git.forge.example/core", "0" * 40), targets={"gpu": target})
        document["spec"] |= {"version_id": "exports-1.0", "python": {"indexes": [bound], "build": []}}
        yield Exporter(resolver, document, directory)


def written_sha256(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def exporter(made: Exporter, tmp_path: Path) -> Exporter:
    """The exports, into a directory of the test's own."""
    return dataclasses.replace(made, directory=tmp_path / "export")
