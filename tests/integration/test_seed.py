# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site fetches once: one host asks the sources, the others take from it and from each other; then the doors close."""

from __future__ import annotations

import collections
import json
import pathlib
import sys
import typing as t

import pytest

from tests.integration.conftest import World
from tests.support.playbook import Run

NAMES = ("gpu1", "gpu2", "gpu3", "gpu4", "gpu5")
MODELS = 6


class Site:
    """Five machines that are directories here, and a version with models that the forge serves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.models = [
            world.forge.model(f"model{number}.safetensors", size=400_000, seed=str(number)) for number in range(MODELS)
        ]
        world.spec["models"] = [
            {
                "source": model.url,
                "target_path": f"$MODELS_DIR/loras/{number}.safetensors",
                "checksum": f"sha256:{model.sha256}",
            }
            for number, model in enumerate(self.models)
        ]
        world.lock()
        self.hosts(NAMES)

    def hosts(self, names: t.Iterable[str], **variables: t.Any) -> None:
        """The machines that a run is for."""
        inventory = {
            "all": {
                "hosts": {name: {"comfy_root": str(self.root(name)), **variables.get(name, {})} for name in names},
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            }
        }
        (self.world.directory / "hosts.json").write_text(json.dumps(inventory))

    def root(self, name: str) -> pathlib.Path:
        """A machine's comfy_root."""
        return self.world.directory / name

    def realize(self, *options: str, **variables: t.Any) -> Run:
        """Realize the version on all of them."""
        return self.world.playbooks.run("realize", *options, comfy_seed=True, **variables)

    def has_all(self, name: str) -> bool:
        """Whether a machine has every model at its path."""
        paths = [self.root(name) / "models" / "loras" / f"{number}.safetensors" for number in range(MODELS)]
        return [path.read_bytes() for path in paths] == [model.content.data for model in self.models]

    def fetched(self) -> dict[str, int]:
        """Bytes that the forge has sent of each model."""
        sent: collections.Counter[str] = collections.Counter()
        for request in self.world.forge.requests:
            if request.path.startswith("/models/"):
                sent[request.path.rpartition("/")[2]] += request.sent
        return dict(sent)

    def doors(self) -> list[pathlib.Path]:
        """What tells of a process that serves."""
        return list(self.world.directory.glob("*/state/seed.json"))


@pytest.fixture
def site(world: World) -> Site:
    """Five bare machines."""
    return Site(world)


def test_five_hosts_and_the_origin_sends_each_byte_once(site: Site) -> None:
    site.world.forge.forget_requests()
    run = site.realize()
    assert run.returncode == 0, run.output
    assert all(site.has_all(name) for name in NAMES)
    # Before anything changes, the seed alone asks whether it may: one byte of each.
    assert site.fetched() == {model.path: 400_001 for model in site.models}
    assert site.doors() == []
    again = site.realize()
    assert again.changed == 0
