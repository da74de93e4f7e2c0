# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""smoke.yml: a node of the demo fetches by itself; once what is listed is pasted into the spec, nothing is fetched."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
import typing as t

import pytest

from tests.support.forge import Forge, demo
from tests.support.playbook import Playbooks, Run

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.forge.demo import Demo

# What torch.hub, huggingface_hub (its cache's layout) and many a node do, with what the demo's environment has.
FETCHER = '''
"""A node that fetches its models at its first import."""
import json, os, shutil, urllib.request

TORCH, OWN, HUB = {torch!r}, {own!r}, {hub!r}


def fetch(url, path):
    if os.path.exists(path):
        return None
    if os.environ.get("HF_HUB_OFFLINE"):
        raise RuntimeError(f"offline, and {{path}} is not there")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with urllib.request.urlopen(url) as answer, open(f"{{path}}.partial", "wb") as stream:
        shutil.copyfileobj(answer, stream)
    os.rename(f"{{path}}.partial", path)


def from_hub(path):
    folder = os.path.join(os.environ["HF_HOME"], "hub", "models--org--clip")
    reference = os.path.join(folder, "refs", "main")
    if not os.path.exists(reference):
        question = urllib.request.Request(f"{{HUB}}/api/models/org/clip/revision/main")
        with urllib.request.urlopen(question) as answer:
            commit = json.load(answer)["sha"]
        os.makedirs(os.path.dirname(reference))
        with open(reference, "w") as stream:
            stream.write(commit)
    commit = open(reference).read()
    fetch(f"{{HUB}}/org/clip/resolve/{{commit}}/{{path}}", os.path.join(folder, "snapshots", commit, path))


fetch(TORCH, os.path.join(os.environ["TORCH_HOME"], "hub", "checkpoints", "alexnet.pth"))
fetch(OWN, os.path.join(os.path.dirname(__file__), "ckpts", "own.safetensors"))
from_hub("model.safetensors")
NODE_CLASS_MAPPINGS = {{}}
'''


class Site:
    """A machine that is a directory here, and the demo's forge."""

    def __init__(self, made: Demo, directory: pathlib.Path) -> None:
        self.forge = made.forge
        self.root = directory / "machine"
        self.versions = directory / "versions"
        (self.versions / "workflows").mkdir(parents=True)
        (self.versions / "workflows" / "smoke.json").write_text(json.dumps(demo.model_workflow(made)))
        self.spec = {**made.specification(), "smoke": {"workflow": "workflows/smoke.json"}}
        self.spec["custom_nodes"].append({"repo": self._fetcher()})
        hosts = {"machine": {"comfy_root": str(self.root)}}
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": local}}))
        variables = {**self.forge.variables(), "version": "demo", "comfy_versions_dir": str(self.versions)}
        environment = {**made.environment(), "XDG_CACHE_HOME": str(directory / "cache")}
        self.playbooks = Playbooks(variables, directory / "hosts.json", environment=environment)

    def _fetcher(self) -> str:
        repository = self.forge.hub("org/clip")
        repository.file("model.safetensors", seed="clip")
        repository.commit()
        torch, own = self.forge.model("alexnet.pth", kind="bytes"), self.forge.model("own.safetensors")
        node = self.forge.repository("people/comfyui-fetcher")
        text = FETCHER.format(torch=torch.url, own=own.url, hub=self.forge.hub_url)
        node.commit({"__init__.py": text, ".gitignore": "ckpts/\n"})
        return node.url

    def offline(self, wanted: bool) -> None:
        """Lock the spec as it is now, with launch.offline."""
        self.spec["launch"]["offline"] = wanted
        (self.versions / "demo.json").write_text(json.dumps(self.spec))
        self.play("lock")

    def play(self, name: str, *options: str) -> Run:
        """Run a playbook."""
        return self.playbooks.succeed(name, *options)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Iterator[Site]:
    with Forge(tmp_path / "forge") as forge:
        yield Site(demo.populate(forge), tmp_path)


def test_what_a_node_fetched_is_pasted_and_then_nothing_is(site: Site) -> None:
    site.offline(True)
    site.play("realize")
    assert site.play("smoke", "--check").changed == 0
    failed = site.playbooks.run("smoke")
    assert failed.returncode == 2
    assert "node comfyui-fetcher: can not be imported:" in failed.output
    assert "RuntimeError: offline, and" in failed.output
    site.offline(False)
    first = site.play("smoke")
    assert first.changed == 1
    assert "workflows/smoke.json ran in" in first.output
    assert "left models_00001_.png" in first.output
    lines = [line.strip().removesuffix(",") for line in first.output.splitlines() if line.startswith("  {")]
    entries = [json.loads(line) for line in lines]
    assert {entry.get("target_path", entry["source"]) for entry in entries} == {
        "$XDG_CACHE_HOME/torch/hub/checkpoints/alexnet.pth",
        "$COMFY_HOME/custom_nodes/comfyui-fetcher/ckpts/own.safetensors",
        "hf://org/clip@main/model.safetensors",
    }
    site.spec["models"] += entries
    site.offline(True)
    shutil.rmtree(site.root / "data/cache")
    shutil.rmtree(site.root / "current/custom_nodes/comfyui-fetcher/ckpts")
    site.play("realize")
    site.forge.forget_requests()
    second = site.play("smoke")
    assert second.changed == 0
    assert "fetched by the nodes themselves" not in second.output
    assert site.forge.requests == []
