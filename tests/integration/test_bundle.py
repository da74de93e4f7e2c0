# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles, as a user calls for them: written once, then hosts are realized from them with every server gone."""

from __future__ import annotations

import pathlib

import pytest

from tests.integration.conftest import World


@pytest.fixture
def bundle(world: World) -> pathlib.Path:
    """Where the bundle is written."""
    return world.directory / "media" / "bundle"


def write(world: World, bundle: pathlib.Path, form: str = "directory") -> None:
    """Make the lock and the bundle."""
    world.lock()
    world.playbooks.succeed("bundle", comfy_bundle_path=str(bundle), comfy_bundle_format=form)


def test_a_machine_is_realized_from_a_bundle_alone(world: World, bundle: pathlib.Path) -> None:
    write(world, bundle)
    again = world.playbooks.succeed("bundle", comfy_bundle_path=str(bundle))
    assert again.changed == 0
