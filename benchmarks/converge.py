# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a converge takes, each time against a peer in the same run.

- Nothing to do (8 nodes, 16 models, 110 packages, one host) against a playbook with one ``ping``.
- The first converge and the one with nothing to do against the same state kept by ansible.builtin git, pip and get_url.

``make benchmark`` runs it with the others. Alone, after ``make setup-test``::

    PYTHONPATH=collections .venv/bin/python -m benchmarks.converge
"""

from __future__ import annotations

import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

from tests.support.forge import Forge
from tests.support.forge.demo_packages import pip_wheel
from tests.support.playbook import Playbooks

NODES, MODELS, PACKAGES = 8, 16, 110
MODEL_BYTES = 2_000_000
ROUNDS = 7


class Bench:
    """A forge with the content, one machine for us and one for the peer."""

    def __init__(self, directory: pathlib.Path, forge: Forge) -> None:
        self.directory = directory
        self.forge = forge
        self.core = forge.repository("comfy/core")
        self.core.commit(
            {f"comfy/part{number}.py": f"PART = {number}\n" for number in range(600)}
            | {"folder_paths.py": _FOLDER_PATHS, "requirements.txt": "pack0\n"}
        )
        self.nodes = [forge.repository(f"people/node{number}") for number in range(NODES)]
        share = PACKAGES // NODES
        for number, node in enumerate(self.nodes):
            lines = "".join(
                f"pack{each}\n" for each in range(number * share, (number + 1) * share + 6) if each < PACKAGES
            )
            files = {f"part{each}.py": "X = 1\n" for each in range(40)}
            node.commit({**files, "__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "requirements.txt": lines})
        index = forge.index("pypi")
        index.wheel_file(pip_wheel())
        for number in range(PACKAGES):
            modules = {f"pack{number}/m{each}.py": "Y = 1\n" for each in range(20)}
            index.wheel(f"pack{number}", "1.0", modules={f"pack{number}/__init__.py": "", **modules})
        self.models = [
            forge.model(f"m{number}.safetensors", size=MODEL_BYTES, seed=str(number)) for number in range(MODELS)
        ]

    def spec(self) -> dict[str, t.Any]:
        """Our spec of it."""
        models = [
            {"source": model.url, "target_subdir": "loras", "checksum": f"sha256:{model.sha256}"}
            for model in self.models
        ]
        return {
            "schema_version": 2,
            "version_id": "bench",
            "comfy": {"repo": self.core.url, "commit": self.core.head()},
            "custom_nodes": [{"repo": node.url, "commit": node.head()} for node in self.nodes],
            "models": models,
            "env": {"COMFY_PYTHON": f"python3.{sys.version_info.minor}"},
        }

    def peer(self, root: pathlib.Path) -> list[dict[str, t.Any]]:
        """The same state as tasks of ansible.builtin."""
        checkouts = [(self.core, root / "ComfyUI")]
        checkouts += [(node, root / f"ComfyUI/custom_nodes/node{number}") for number, node in enumerate(self.nodes)]
        tasks: list[dict[str, t.Any]] = [
            {"ansible.builtin.git": {"repo": repo.url, "dest": str(place), "version": repo.head()}}
            for repo, place in checkouts
        ]
        for _repo, place in checkouts:
            options = {
                "requirements": str(place / "requirements.txt"),
                "virtualenv": str(root / "venv"),
                "virtualenv_command": f"{sys.executable} -m venv",
                "extra_args": f"--index-url {self.forge.index('pypi').url}",
            }
            tasks.append({"ansible.builtin.pip": options})
        tasks.append({"ansible.builtin.file": {"path": str(root / "models"), "state": "directory"}})
        for number, model in enumerate(self.models):
            destination = str(root / f"models/m{number}.safetensors")
            options = {"url": model.url, "dest": destination, "checksum": f"sha256:{model.sha256}"}
            tasks.append({"ansible.builtin.get_url": options})
        return tasks


_FOLDER_PATHS = """import os
models_dir = "models"
folder_names_and_paths = {}
folder_names_and_paths["loras"] = ([os.path.join(models_dir, "loras")], {".safetensors"})
"""


def timed(command: list[str], options: dict[str, t.Any]) -> float:
    """Seconds of a run that must succeed."""
    begin = time.monotonic()
    done = subprocess.run(command, **options, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}")
    return time.monotonic() - begin


def play(directory: pathlib.Path, name: str, tasks: list[dict[str, t.Any]]) -> pathlib.Path:
    """A playbook of ``tasks``, as JSON, which is YAML."""
    path = directory / f"{name}.yml"
    path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    return path


def main() -> None:
    """Measure and print."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="comfy-bench."))
    try:
        with Forge(directory / "forge") as forge:
            measure(Bench(directory, forge))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measure(bench: Bench) -> None:
    """All of it, in one run: a slow machine is slow for both sides."""
    directory = bench.directory
    versions = directory / "versions"
    versions.mkdir()
    (versions / "bench.json").write_text(json.dumps(bench.spec()))
    hosts = directory / "hosts.json"
    host = {"comfy_root": str(directory / "ours"), "ansible_connection": "local"}
    hosts.write_text(json.dumps({"all": {"hosts": {"one": {**host, "ansible_python_interpreter": sys.executable}}}}))
    indexes = {"pypi": bench.forge.index("pypi").url}
    variables = {"version": "bench", "comfy_versions_dir": str(versions), "comfy_python_indexes": indexes}
    ours = Playbooks(variables, hosts, environment={"XDG_CACHE_HOME": str(directory / "cache")})
    options = ours.process_options()
    program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
    ping = [program, "-i", str(hosts), str(play(directory, "ping", [{"ansible.builtin.ping": {}}]))]
    peer_tasks = bench.peer(directory / "peer")
    peer = [program, "-i", str(hosts), str(play(directory, "peer", peer_tasks))]

    print(f"{NODES} nodes, {MODELS} models of {MODEL_BYTES} bytes, {PACKAGES} packages, one host")
    timed(ours.command("lock"), options)
    report("first converge against ansible.builtin", [timed(ours.command("realize"), options)], [timed(peer, options)])
    noop, pings, peers = [], [], []
    for _round in range(ROUNDS):
        noop.append(timed(ours.command("realize"), options))
        pings.append(timed(ping, options))
    peers.append(timed(peer, options))
    report("nothing to do against one ping (to reach: 1.6 or less)", noop, pings)
    report("nothing to do against ansible.builtin", noop, peers)


def report(what: str, ours: list[float], theirs: list[float]) -> None:
    """A line: medians and their ratio."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{what}: {mine:.2f} s against {other:.2f} s, ratio {mine / other:.2f}")


if __name__ == "__main__":
    main()
