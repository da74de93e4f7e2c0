# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's version on three bare systemd hosts, over real SSH: nothing there but Python, git and sshd."""

from __future__ import annotations

import hashlib
import json
import pathlib
import subprocess
import typing as t

import pytest

from tests.support import pythons
from tests.support.forge import Forge
from tests.support.forge.demo import populate
from tests.support.lab import Lab
from tests.support.lab.testing import demand_lab
from tests.support.playbook import Playbooks, Run

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "/opt/comfy"
HOSTS = 3


class Fleet:
    """The lab with a forge at its control node."""

    def __init__(self, lab: Lab, forge: Forge, directory: pathlib.Path) -> None:
        self.lab = lab
        self.forge = forge
        self.demo = demo = populate(forge)
        self.versions = directory / "versions"
        self.versions.mkdir()
        # The forge is another machine than the hosts, and speaks plain HTTP.
        spec = {**demo.specification(), "policy": {"allow_http": True}}
        (self.versions / "demo.json").write_text(json.dumps(spec))
        variables = {
            **forge.variables(),
            "version": "demo",
            "comfy_versions_dir": str(self.versions),
            "comfy_root": ROOT,
        }
        environment = {**demo.environment(), "XDG_CACHE_HOME": str(directory / "cache")}
        self.playbooks = Playbooks(variables, lab.inventory(), environment=environment)

    def run(self, name: str, *options: str, **variables: t.Any) -> Run:
        """A playbook's run from the control node of the lab."""
        with self.lab.entered():
            return self.playbooks.run(name, *options, **variables)

    def succeed(self, name: str, *options: str, **variables: t.Any) -> Run:
        """The same, and it must succeed."""
        run = self.run(name, *options, **variables)
        assert run.returncode == 0, run.output
        return run

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """A run in the background."""
        options = self.playbooks.process_options()
        return self.lab.popen(self.playbooks.command(name), **options)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three hosts that have been realized once."""
    demand_lab()
    directory = tmp_path_factory.mktemp("fleet")
    with Lab() as lab:
        lab.start(HOSTS)
        with lab.entered():
            forge = Forge(directory / "forge", bind=lab.address)
        with forge:
            yield Fleet(lab, forge, directory)


def test_bare_hosts_are_realized_and_a_second_run_connects_to_nobody(fleet: Fleet) -> None:
    first = fleet.succeed("realize", comfy_seed=True)
    assert all(counts["changed"] > 0 for counts in first.recap.values())
    assert len(first.recap) == HOSTS
    demo = fleet.demo
    for model in (demo.checkpoint, demo.lora, demo.vae, demo.gated):
        # Wherever the first bytes came from, and however many requests they took.
        sent = sum(each.sent for each in fleet.forge.requests if model.content.sha256 in each.path)
        # One host has fetched it for all; the byte more is asked for before anything changes.
        assert model.size <= sent <= model.size + 1
    assert [host.shell("pgrep -x comfy_seed || true").stdout for host in fleet.lab.hosts] == [""] * HOSTS
    fleet.forge.forget_requests()
    fleet.lab.reset_egress()
    second = fleet.succeed("realize")
    assert second.changed == 0
    assert fleet.lab.egress_counts() == {host.name: 0 for host in fleet.lab.hosts}
    assert fleet.forge.requests == []
    assert fleet.run("drift").returncode == 0


def test_the_hosts_have_what_the_lock_says(fleet: Fleet) -> None:
    lock = json.loads((fleet.versions / "demo.lock.json").read_text())
    package = next(each for each in lock["targets"]["cpu"]["packages"] if each["name"] == "torch")
    for host in fleet.lab.hosts:
        shown = host.shell(f"cd {ROOT}/current && git rev-parse HEAD && .venv/bin/python -m pip check").stdout
        assert lock["core"]["commit"] in shown
        assert "No broken requirements found" in shown
        found = host.shell(f"{ROOT}/current/.venv/bin/python -m pip show torch").stdout
        assert f"Version: {package['version']}" in found


def test_drift_of_one_host_is_shown_repaired_and_exits_as_promised(fleet: Fleet) -> None:
    damaged, down = fleet.lab.hosts[1], fleet.lab.hosts[2]
    damaged.shell(f"echo edited >> $(readlink -f {ROOT}/current)/main.py")
    drift = fleet.run("drift")
    assert drift.returncode == 2
    assert f"{damaged.name}: 1 change(s)" in drift.output
    down.link_down()
    try:
        assert fleet.run("drift").returncode == 4
    finally:
        down.link_up()
    repaired = fleet.succeed("realize")
    assert {name for name, counts in repaired.recap.items() if counts["changed"]} == {damaged.name}
    assert fleet.run("drift").returncode == 0


def test_a_host_whose_module_was_killed_is_finished_by_the_next_run(fleet: Fleet) -> None:
    host = fleet.lab.hosts[0]
    wanted = {path: entry for path, entry in host.tree(ROOT).items() if _compared(path)}
    for seconds in (0.5, 1.5, 2.5):
        host.shell(f"rm -rf {ROOT}/builds {ROOT}/envs {ROOT}/store {ROOT}/models {ROOT}/state {ROOT}/current")
        process = fleet.start("realize")
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=seconds + 2)
        host.kill_processes("python3")
        process.communicate(timeout=300)
        fleet.succeed("realize")
        assert fleet.succeed("realize").changed == 0
        assert {path: entry for path, entry in host.tree(ROOT).items() if _compared(path)} == wanted


def test_an_unprivileged_user_without_a_writable_root_is_told_the_two_ways_out(fleet: Fleet) -> None:
    with fleet.lab.entered():
        playbooks = Playbooks({**fleet.playbooks.variables, "comfy_root": "/srv/nobody"}, fleet.lab.inventory("comfy"))
        refused = playbooks.run("realize")
    assert refused.returncode == 2
    assert "may not write here" in refused.output
    assert "set comfy_root to" in refused.output


def _compared(path: str) -> bool:
    """Less git's own files, receipts, bytecode's times and what was put aside."""
    parts = set(pathlib.PurePosixPath(path).parts)
    return not parts & {".git", ".making", "__pycache__", "state", "cache", "agent", "data"}


def test_a_host_is_realized_from_a_bundle_over_the_connection_alone(fleet: Fleet, tmp_path: pathlib.Path) -> None:
    fleet.succeed("lock")
    bundle = tmp_path / "bundle.tar"
    fleet.succeed("bundle", comfy_bundle_path=str(bundle), comfy_bundle_format="tar")
    host = fleet.lab.hosts[0]
    host.shell(f"rm -rf {ROOT}")
    fleet.forge.forget_requests()
    fleet.lab.reset_egress()
    first = fleet.succeed("realize", "--limit", host.name, comfy_bundle=str(bundle))
    assert first.recap[host.name]["changed"] > 0
    assert fleet.lab.egress_counts()[host.name] == 0
    assert fleet.forge.requests == []
    assert "No broken requirements" in host.shell(f"{ROOT}/current/.venv/bin/python -m pip check").stdout
    second = fleet.succeed("realize", "--limit", host.name, comfy_bundle=str(bundle))
    assert second.changed == 0


def test_a_bundle_brings_a_python_too_to_a_user_who_becomes_root(fleet: Fleet, tmp_path: pathlib.Path) -> None:
    """The hosts' Python is Debian's, the version's is the one that runs the tests."""
    mirror = tmp_path / "pythons"
    mirror.mkdir()
    (mirror / pythons.file_name()).write_bytes(pythons.archive())
    digest = hashlib.sha256(pythons.archive()).hexdigest()
    (mirror / "SHA256SUMS").write_text(f"{digest}  {pythons.file_name()}\n")
    spec = json.loads((fleet.versions / "demo.json").read_text())
    spec["python"]["version"] = pythons.MINOR
    (fleet.versions / "managed.json").write_text(json.dumps({**spec, "version_id": "managed"}))
    bundle = tmp_path / "bundle"
    fleet.succeed("lock", version="managed", comfy_python_mirror=str(mirror))
    fleet.succeed("bundle", version="managed", comfy_bundle_path=str(bundle))
    host = fleet.lab.hosts[1]
    host.shell(f"rm -rf {ROOT}; echo 'comfy ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/comfy")
    inventory = json.loads(fleet.lab.inventory("comfy").read_text())
    inventory["comfy"]["vars"] |= {"ansible_become": True, "ansible_become_method": "sudo"}
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    fleet.forge.forget_requests()
    fleet.lab.reset_egress()
    variables = {"version": "managed", "comfy_bundle": str(bundle), "comfy_root": ROOT}
    playbooks = Playbooks(variables, tmp_path / "hosts.json", environment=fleet.playbooks.environment)
    with fleet.lab.entered():
        playbooks.succeed("realize", "--limit", host.name)
        assert playbooks.succeed("realize", "--limit", host.name).changed == 0
    assert fleet.lab.egress_counts()[host.name] == 0
    assert fleet.forge.requests == []
    code = "import sys; print(sys.version.split()[0], sys.base_prefix)"
    version, prefix = host.shell(f"{ROOT}/current/.venv/bin/python -c '{code}'").stdout.split()
    assert version.startswith(f"{pythons.MINOR}.")
    # A host that has the version keeps its own.
    has_it = host.shell(f"command -v python{pythons.MINOR} || true").stdout != ""
    assert prefix.startswith("/usr" if has_it else f"{ROOT}/agent/python/{pythons.VERSION}-")
    assert host.shell(f"stat -c %U {ROOT}/agent {ROOT}/store {ROOT}/current/main.py").stdout.split() == ["root"] * 3
