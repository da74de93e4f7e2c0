# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles, as a user calls for them: written once, then hosts are realized from them with every server gone."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from tests.integration.conftest import VERSION, World
from tests.support.playbook import Playbooks, Run


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
    again = world.playbooks.succeed("bundle", comfy_bundle_path=str(bundle))
    assert again.changed == 0
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
