# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles, as a user calls for them: written once, then hosts are realized from them with every server gone."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import shutil

import pytest

from tests.integration.conftest import VERSION, World
from tests.support.playbook import Playbooks, Run
from tests.unit.resolve.test_builds import backend


@pytest.fixture
def bundle(world: World) -> pathlib.Path:
    """Where the bundle is written."""
    return world.directory / "media" / "bundle"


def write(world: World, bundle: pathlib.Path, form: str = "directory") -> None:
    """Make the lock and the bundle."""
    world.lock()
    world.playbooks.succeed("bundle", comfy_bundle_path=str(bundle), comfy_bundle_format=form)


def realize(world: World, bundle: pathlib.Path, *options: str) -> Run:
    """Realize from the bundle, with nothing but it: no directory of versions, no index, no server."""
    return offline(world, bundle).succeed("realize", *options)


def offline(world: World, bundle: pathlib.Path) -> Playbooks:
    """Runs that know the bundle alone."""
    variables = {"version": VERSION, "comfy_bundle": str(bundle)}
    return dataclasses.replace(world.playbooks, variables=variables)


def test_a_machine_is_realized_from_a_bundle_alone(world: World, bundle: pathlib.Path) -> None:
    write(world, bundle)
    world.forge.close()
    foretold = realize(world, bundle, "--check")
    assert foretold.changed > 0
    assert not world.root.exists()
    realize(world, bundle)
    assert (world.home / "custom_nodes" / "palette" / "__init__.py").is_file()
    model = world.root / "models" / "checkpoints" / "one.safetensors"
    assert model.read_bytes() == world.checkpoint.content.data
    assert realize(world, bundle).changed == 0
    assert offline(world, bundle).succeed("drift").recap["machine"]["failed"] == 0


def flip_byte(path: pathlib.Path) -> None:
    """Alter the file; twice, it is as it was."""
    with path.open("r+b") as stream:
        stream.seek(1000)
        (byte,) = stream.read(1)
        stream.seek(1000)
        stream.write(bytes([byte ^ 1]))


def test_a_tar_with_what_only_the_control_node_had(world: World, bundle: pathlib.Path) -> None:
    """Wheels that were built and local ones; altered, it is refused before the machine is touched."""
    repository = world.forge.repository("people/own")
    commit = repository.commit(backend("return make(wheel_directory, 'own', {'own.py': 'A = 1'})"))
    file = world.directory / "inhouse-2.0-py3-none-any.whl"
    file.write_bytes(world.forge.index("releases").wheel("inhouse", "2.0").content.data)
    world.spec["schema_version"] = 3
    world.spec["python_packages"] = [
        {"name": "own", "git": repository.url, "commit": commit},
        {"name": "inhouse", "url": file.as_uri(), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
    ]
    tar = bundle.with_suffix(".tar")
    write(world, tar, "tar")
    world.forge.close()
    file.unlink()
    shutil.rmtree(world.directory / "versions")
    flip_byte(tar)
    refused = offline(world, tar).run("realize")
    assert refused.returncode == 2
    assert "was altered" in refused.output
    assert not world.root.exists()
    flip_byte(tar)
    realize(world, tar)
    site = next(world.home.glob(".venv/lib/python*/site-packages"))
    assert {"own.py", "inhouse-2.0.dist-info"} <= {path.name for path in site.iterdir()}
    assert realize(world, tar).changed == 0
