# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports for Nix, which Nix itself reads, evaluates, fetches and builds."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import nix as nix_export
from tests.support.nix import STAND_IN, Nix

if t.TYPE_CHECKING:
    from tests.unit.formats.conftest import Exporter

SYSTEM = "x86_64-linux"


@pytest.fixture
def nix(tmp_path: Path) -> Nix:
    """Nix with an empty store."""
    return Nix(tmp_path / "nix")


def set_of(exporter: Exporter) -> Path:
    """Export; the file with the packages."""
    return exporter("nix") / "python-packages.nix"


def test_both_files_parse(exporter: Exporter, nix: Nix) -> None:
    directory = exporter("nix")
    for file in ("flake.nix", "python-packages.nix"):
        assert nix.run("nix-instantiate", "--parse", str(directory / file))


def test_nix_fetches_every_file_by_the_hash_that_is_written(exporter: Exporter, nix: Nix) -> None:
    file = set_of(exporter)
    exporter.resolver.forge.forget_requests()
    for package in exporter.lock.targets["gpu"].packages:
        evaluated = nix.build if package.source != "file" else nix.evaluated
        assert evaluated(file, f"packages.{package.name}.src")
    asked = {request.path for request in exporter.resolver.forge.requests if request.path.startswith("/files/")}
    assert len(asked) == 9
    assert any("%2B" in path for path in asked)


def test_nix_builds_the_environment_with_what_is_built_from_source(exporter: Exporter, nix: Nix) -> None:
    place = Path(nix.build(set_of(exporter), "environment"))
    (site,) = place.glob("lib/*/site-packages")
    found = {path.name for path in site.glob("*.dist-info")}
    assert {"app-1.0.dist-info", "gitty-1.5.dist-info", "torch-2.9.0+cu130.dist-info"} < found
    assert len(found) == len(exporter.lock.targets["gpu"].packages)
    assert (site / "gitty.py").read_text() == "WHERE = 'git'\n"


def test_other_bytes_are_refused_by_nix(exporter: Exporter, nix: Nix) -> None:
    file = set_of(exporter)
    number = exporter.resolver.forge.fault("wrong-content", "/files/pypi/leaf*", after=10)
    assert "hash mismatch" in nix.build(file, "packages.leaf.src", succeeds=False)
    exporter.resolver.forge.faults.remove(number)
    text = file.read_text()
    file.write_text(text.replace(str((exporter.package("gitty").built_from or {})["commit"]), "f" * 40))
    assert nix.build(file, "packages.gitty.src", succeeds=False)


def test_the_flake_has_the_packages_as_outputs(exporter: Exporter, nix: Nix) -> None:
    directory = exporter("nix")
    override = ("--override-input", "nixpkgs", f"path:{STAND_IN}", "--no-write-lock-file")
    options = ("--impure", "--json", *override)
    shown = json.loads(nix.run("nix", "flake", "show", "--json", *override, "--impure", f"path:{directory}"))
    assert set(shown["packages"][SYSTEM]) == {"default", *(p.name for p in exporter.lock.targets["gpu"].packages)}
    name = nix.run("nix", "eval", *options, f"path:{directory}#packages.{SYSTEM}.default.name")
    assert json.loads(name).endswith("-env")
    assert nix.run("nix", "eval", *options, f"path:{directory}#devShells.{SYSTEM}.default.drvPath")


def test_the_only_input_is_public_and_named(exporter: Exporter) -> None:
    flake = (exporter("nix") / "flake.nix").read_text()
    assert flake.count("inputs.") == 1
    assert 'inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";' in flake
    assert "0000" not in flake + (exporter.directory / "python-packages.nix").read_text()


def test_dependencies_are_those_of_the_lock_less_one_edge_of_a_circle(exporter: Exporter, nix: Nix) -> None:
    file = set_of(exporter)

    def requires(name: str) -> set[str]:
        return set(nix.evaluated(file, f"packages.{name}.propagatedBuildInputs", "map (each: each.pname)"))

    assert requires("app") == {"egg", "leaf", "torch"}
    assert requires("kernels") == {"torch"}
    assert requires("gitty") == {"leaf", "native"}
    assert (requires("egg"), requires("hen")) == ({"hen"}, {"native"})
    assert "# It also requires egg, which requires it in turn: the environment has both." in file.read_text()


def test_the_hash_of_a_repository_is_that_of_what_nix_fetches(exporter: Exporter, nix: Nix, tmp_path: Path) -> None:
    identity = exporter.package("gitty").built_from or {}
    tree = tmp_path / "tree"

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "protocol.file.allow=always", *arguments], check=True, capture_output=True)

    git("clone", "--quiet", "--no-checkout", identity["git"], str(tree))
    git("-C", str(tree), "checkout", "--quiet", identity["commit"])
    without = nix_export.tree_sha256({**identity, "submodules": False}, exporter.site.repositories)
    (tree / ".git").rename(tmp_path / "aside")
    assert nix.run("nix-hash", "--type", "sha256", str(tree)) == without
    assert (tree / "lines.crlf").read_bytes() == b"one\r\ntwo\r\n"
    assert (tree / "version.txt").read_text() == "$Format:%H$\n"
    (tmp_path / "aside").rename(tree / ".git")
    git("-C", str(tree), "submodule", "--quiet", "update", "--init", "--recursive")
    (tree / ".git").rename(tmp_path / "aside")
    (tree / "sub" / "part" / ".git").unlink()
    whole = nix_export.tree_sha256(identity, exporter.site.repositories)
    assert nix.run("nix-hash", "--type", "sha256", str(tree)) == whole
    assert whole != without


def test_what_the_image_provides_has_to_be_said(exporter: Exporter, nix: Nix) -> None:
    nothing = {"source": "provided", "file": None, "sha256": None, "size": None, "index": None}
    provided = exporter.edited("torch", version="2.9.0a0+nv25.10", **nothing)
    file = set_of(provided)
    assert "torch 2.9.0a0+nv25.10 comes with the hosts' image" in nix.build(file, "environment", succeeds=False)
    own = f"{{ torch = (import {STAND_IN} {{ }}).unzip; }}"
    assert Path(nix.build(file, "packages.kernels", "--arg", "provided", own)).is_dir()
    assert "# torch = ...; # 2.9.0a0+nv25.10" in (provided.directory / "flake.nix").read_text()


def test_a_shim_is_a_name_with_what_is_in_its_place(exporter: Exporter, nix: Nix) -> None:
    file = set_of(exporter.with_shim())
    assert "# no content of its own: own-tools is in its place" in file.read_text()
    place = Path(nix.build(file, "packages.hen"))
    (metadata,) = place.glob("lib/*/site-packages/hen-1.0.dist-info/METADATA")
    assert "Name: hen\nVersion: 1.0\n" in metadata.read_text()
    assert "own-tools" in nix.evaluated(file, "packages.hen.propagatedBuildInputs", "map (each: each.pname)")


def test_a_source_that_is_built_with_another_one_has_it_built(exporter: Exporter, nix: Nix) -> None:
    archived = exporter.package("archived")
    built = {**(exporter.package("gitty").built_from or {})}
    held = {"name": "archived", "version": "3.0", "file": archived.file, "sha256": archived.sha256}
    file = set_of(exporter.edited("gitty", built_from={**built, "requires": [*built["requires"], held]}))
    assert "packages.archived ]" in file.read_text()
    assert nix.build(file, "packages.gitty")


def test_a_source_archive_of_an_index_is_fetched_from_there(exporter: Exporter, nix: Nix) -> None:
    archive = exporter.resolver.forge.index("releases").find("archived-3.0.tar.gz")
    assert archive is not None
    exporter.resolver.default.publish(archive.filename, archive.content.data, archive.metadata.data)
    built = {key: value for key, value in (exporter.package("archived").built_from or {}).items() if key != "url"}
    of_index = exporter.edited("archived", built_from={**built, "index": "pypi", "file": archive.filename})
    file = set_of(of_index)
    assert "built from archived-3.0.tar.gz of the index pypi" in file.read_text()
    assert "/files/pypi/archived-3.0.tar.gz" in file.read_text()
    assert nix.build(file, "packages.archived.src")
    assert "built from archived-3.0.tar.gz of the index" in (of_index("requirements") / "requirements.txt").read_text()


def test_a_source_archive_of_an_index_that_only_the_lock_names(exporter: Exporter) -> None:
    archive = exporter.resolver.forge.index("releases").find("archived-3.0.tar.gz")
    assert archive is not None
    bound = exporter.resolver.forge.index("pytorch-cu130")
    bound.publish(archive.filename, archive.content.data, archive.metadata.data)
    built = {key: value for key, value in (exporter.package("archived").built_from or {}).items() if key != "url"}
    of_index = exporter.edited("archived", built_from={**built, "index": bound.name, "file": archive.filename})
    assert "/files/pytorch-cu130/archived-3.0.tar.gz" in set_of(of_index).read_text()


def test_a_file_name_that_the_store_cannot_hold_is_told(exporter: Exporter) -> None:
    odd = exporter.edited("kernels", file="kernels-1!1.0.2-py3-none-any.whl")
    with pytest.raises(FleetError, match=r"kernels-1!1.0.2-py3-none-any.whl is no name that the store of Nix can hold"):
        odd("nix")
