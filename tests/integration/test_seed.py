# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site fetches once: one host asks the sources, the others take from it and from each other; then the doors close."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import signal
import sys
import threading
import time
import typing as t

import pytest

from tests.integration.conftest import World
from tests.support.playbook import Run

NAMES = ("gpu1", "gpu2", "gpu3", "gpu4", "gpu5")
MODELS = 6
SIZE = 400_000


class Site:
    """Five machines that are directories here, and a version with models that the forge serves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.models = [
            world.forge.model(f"model{number}.safetensors", size=SIZE, seed=str(number)) for number in range(MODELS)
        ]
        world.spec["models"] = [
            {
                "source": model.url,
                "target_path": f"$MODELS_DIR/loras/{number}.safetensors",
                "checksum": f"sha256:{model.sha256}",
            }
            for number, model in enumerate(self.models)
        ]
        world.spec["custom_nodes"] = []
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


def kill_when_it_fetches(root: pathlib.Path) -> None:
    """Kill the module that fetches models on a machine."""
    progress, deadline = root / "state" / "progress" / "models.json", time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            document = json.loads(progress.read_text())
            if any(file["state"] == "fetching" for file in document["files"]):
                os.kill(document["pid"], signal.SIGKILL)
                return
        time.sleep(0.05)


@pytest.fixture
def site(world: World) -> Site:
    """Five bare machines."""
    return Site(world)


def test_five_hosts_and_the_origin_sends_each_byte_once(site: Site) -> None:
    # Fewer at a time than there are: those that wait for the seed leave it a place.
    run = site.realize("--forks", "2")
    assert run.returncode == 0, run.output
    assert all(site.has_all(name) for name in NAMES)
    # Before anything changes, the seed alone asks whether it may: one byte of each.
    assert site.fetched() == {model.path: SIZE + 1 for model in site.models}
    assert site.doors() == []
    assert site.realize().changed == 0


def test_whoever_has_the_models_gives_them(site: Site) -> None:
    site.hosts(["gpu3"])
    site.realize()
    site.hosts(NAMES[:3])
    site.world.forge.forget_requests()
    run = site.realize()
    assert run.returncode == 0, run.output
    assert site.has_all("gpu1")
    assert site.has_all("gpu2")
    assert run.recap["gpu3"]["changed"] == 0
    assert site.fetched() == {model.path: 1 for model in site.models}
    assert site.doors() == []


def test_each_site_has_a_seed_of_its_own(site: Site) -> None:
    # 7 and "7" are one site: INI inventories give numbers, YAML ones what somebody wrote.
    sites: list[t.Any] = ["east", "east", 7, "7"]
    site.hosts(NAMES[:4], **{name: {"comfy_site": where} for name, where in zip(NAMES, sites, strict=False)})
    run = site.realize()
    assert run.returncode == 0, run.output
    assert all(site.has_all(name) for name in NAMES[:4])
    assert site.fetched() == {model.path: 2 * (SIZE + 1) for model in site.models}


def test_what_the_seed_can_not_fetch_nobody_asks_for(site: Site) -> None:
    site.hosts(NAMES[:3])
    site.world.forge.fault("wrong-content", f"/models/{site.models[2].path}")
    run = site.realize()
    assert run.recap["gpu1"]["failed"] == run.recap["gpu2"]["failed"] == run.recap["gpu3"]["failed"] == 1
    assert "the seed gpu1 could not fetch it: " in run.output
    assert "the lock says" in run.output
    assert site.fetched()[site.models[0].path] == SIZE + 1
    assert site.doors() == []


def test_what_the_seed_may_not_have_fails_all_before_anything_changes(site: Site) -> None:
    site.hosts(NAMES[:3])
    site.world.forge.fault("status", f"/models/{site.models[2].path}", status=403)
    run = site.realize()
    assert all((run.recap[name]["failed"], run.recap[name]["changed"]) == (1, 0) for name in NAMES[:3]), run.output
    assert "The seed gpu1 may not fetch what this host lacks: " in " ".join(run.output.split())
    assert len([request for request in site.world.forge.requests if request.status == 403]) == 1
    assert site.doors() == []


def test_a_seed_that_is_killed_does_not_keep_the_others_waiting(site: Site) -> None:
    site.hosts(NAMES[:2])
    site.world.forge.fault("stall", f"/models/{site.models[0].path}", after=1000)
    killer = threading.Thread(target=kill_when_it_fetches, args=(site.root("gpu1"),))
    killer.start()
    run = site.realize()
    killer.join()
    assert "the run on the seed gpu1 has failed, or was killed" in run.output
    assert run.recap["gpu2"]["failed"] == 1
    assert site.doors() == []


def test_hosts_that_do_not_wait_for_each_other_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.hosts(NAMES[:2])
    monkeypatch.setenv("ANSIBLE_STRATEGY", "free")
    run = site.realize()
    assert run.recap["gpu1"]["failed"] == run.recap["gpu2"]["failed"] == 1
    assert "comfy_seed needs the strategy linear, this play has free" in " ".join(run.output.split())
    assert set(site.fetched().values()) == {0}


def test_check_mode_opens_no_doors(site: Site) -> None:
    site.hosts(NAMES[:2])
    run = site.realize("--check")
    assert run.returncode == 0, run.output
    assert not site.root("gpu1").exists()
