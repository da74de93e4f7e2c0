# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nodes fetch by themselves is listed: real downloads by real libraries, in a process of the small ComfyUI."""

from __future__ import annotations

import http.server
import json
import pathlib
import tempfile
import threading
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import load
from tests.unit.smoke.conftest import Host, result

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# As torch.hub's download_url_to_file does it.
TORCH_HUB = """
import os, shutil, urllib.request
directory = os.path.join(os.environ["TORCH_HOME"], "hub", "checkpoints")
os.makedirs(directory, exist_ok=True)
with urllib.request.urlopen({url!r}) as answer, open(os.path.join(directory, "x.partial"), "w+b") as file:
    file.write(answer.read())
shutil.move(file.name, os.path.join(directory, "alexnet.pth"))
"""
HUB = """
import huggingface_hub
for name in ("config.json", "model.safetensors"):
    huggingface_hub.hf_hub_download("org/clip", name)
"""
# The name says nothing: only the order does. And a secret.
OWN_FOLDER = """
import os, requests
directory = os.path.join(os.path.dirname(__file__), "ckpts")
os.makedirs(directory, exist_ok=True)
answer = requests.get({url!r}, params={{"id": "5", "token": "s3cret"}})
with open(os.path.join(directory, "own.onnx"), "wb") as file:
    file.write(answer.content)
"""
PROGRAM = """
import os, subprocess, folder_paths
target = os.path.join(os.environ["MODELS_DIR"], "upscale_models", "big.pth")
os.makedirs(os.path.dirname(target), exist_ok=True)
subprocess.run(["curl", "--silent", "--fail", "--output", target, {url!r}], check=True)
"""
# The file is open before anything is asked.
AT_ONCE = """
import os, requests
path = os.path.join(os.path.dirname(__file__), "once.bin")
open(path, "wb").write(requests.get({url!r}).content)
"""
MADE = """
import os
with open(os.path.join(os.environ["XDG_CACHE_HOME"], "made.bin"), "wb") as file:
    file.write(bytes(2_000_000))
os.makedirs(os.environ["TRITON_CACHE_DIR"], exist_ok=True)
open(os.path.join(os.environ["TRITON_CACHE_DIR"], "kernel.bin"), "wb").write(bytes(2_000_000))
home = os.path.expanduser("~/.weights")
os.makedirs(home)
open(os.path.join(home, "w.pt"), "wb").write(b"weights")
"""
CLASSES = "NODE_CLASS_MAPPINGS = {}\n"


class Anything(http.server.BaseHTTPRequestHandler):
    """Answers everything with a file; its URLs do not tell a name."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"onnx" * 10)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it so
        """Requests are not worth a line."""


@pytest.fixture
def anything() -> Iterator[str]:
    """The URL of a server that answers everything."""
    with http.server.HTTPServer(("127.0.0.1", 0), Anything) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/download"
        server.shutdown()
        thread.join()


def valid(entries: list[t.Any], path: pathlib.Path) -> list[t.Any]:
    """The entries, pasted into a spec that is read as every spec is."""
    nodes = [{"repo": "https://git.example/own"}]
    spec = {"schema_version": 3, "version_id": "x", "comfy": {"repo": "https://git.example/core", "ref": "main"}}
    path.write_text(json.dumps({**spec, "custom_nodes": nodes, "models": entries}))
    assert load(path.parent, path.stem).warnings == []
    return entries


@pytest.fixture
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A home of one's own, and temporary files that are not around it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def found_by_name(host: Host) -> dict[str, t.Any]:
    """What a trial lists, by the files' names."""
    report = host.run()
    assert [str(fault) for fault in report.faults] == []
    return {pathlib.Path(item["path"]).name: item for item in result(report)["appeared"]}


def test_files_that_say_where_they_are_from(host: Host, tmp_path: pathlib.Path, home: pathlib.Path) -> None:
    torch, program = host.forge.model("weights/alexnet.pth"), host.forge.model("big.pth", size=1_200_000)
    repository = host.forge.hub("org/clip")
    files = [repository.file("config.json", "{}", lfs=False), repository.file("model.safetensors", seed="clip")]
    commit = repository.commit()
    host.spec["env"] = {"HF_ENDPOINT": host.forge.hub_url, "HF_HUB_DISABLE_XET": "1"}
    host.nodes = {
        "torch": TORCH_HUB.format(url=torch.url) + CLASSES,
        "hub": HUB + CLASSES,
        "program": PROGRAM.format(url=program.url) + CLASSES,
    }
    found = found_by_name(host)
    assert set(found) == {"alexnet.pth", "config.json", "model.safetensors", "big.pth"}
    assert (found["alexnet.pth"]["url"], found["alexnet.pth"]["url_known_by"]) == (torch.url, "name")
    targets = {
        "big.pth": (program, "$MODELS_DIR/upscale_models/big.pth"),
        "alexnet.pth": (torch, "$XDG_CACHE_HOME/torch/hub/checkpoints/alexnet.pth"),
    }
    for name, (model, target) in targets.items():
        wanted = {"source": model.url, "target_path": target, "checksum": f"sha256:{model.sha256}", "size": model.size}
        assert found[name]["model"] == wanted
    for file in files:
        wanted = {"source": f"hf://org/clip@main/{file.path}", "hf_cache": True}
        facts = {"checksum": f"sha256:{file.sha256}", "size": file.size}
        assert found[file.path]["model"] == {**wanted, **facts}
        assert commit in found[file.path]["path"]
    valid([item["model"] for item in found.values()], tmp_path / "x.json")


def test_files_that_do_not(host: Host, tmp_path: pathlib.Path, home: pathlib.Path, anything: str) -> None:
    host.nodes = {
        "made": MADE + CLASSES,
        "own": OWN_FOLDER.format(url=anything) + CLASSES,
        "once": AT_ONCE.format(url=f"{anything}/6") + CLASSES,
    }
    found = found_by_name(host)
    assert set(found) == {"own.onnx", "once.bin", "made.bin", "w.pt"}
    assert (found["once.bin"]["url"], found["once.bin"]["url_known_by"]) == (f"{anything}/6", "order")
    own = found["own.onnx"]
    assert (own["url"], own["url_known_by"]) == (f"{anything}?id=5", "order")
    assert own["model"]["target_path"] == "$COMFY_HOME/custom_nodes/own/ckpts/own.onnx"
    assert "secret was left out" in own["hint"]
    assert "s3cret" not in json.dumps(found)
    valid([own["model"]], tmp_path / "x.json")
    assert sorted(found["made.bin"]["model"]) == ["checksum", "size", "target_path"]
    assert "is not known: add its URL" in found["made.bin"]["hint"]
    assert (found["w.pt"]["model"], found["w.pt"]["path"]) == (None, str(home / ".weights/w.pt"))
    kept = host.layout.data / "smoke"
    assert [path.name for path in kept.rglob("*") if path.is_file()] == ["comfyui.log"]


def test_what_was_there_is_not_listed(host: Host) -> None:
    place = host.layout.models / "loras" / "old.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x")
    assert host.run().findings == []


def test_a_repository_in_a_place_of_its_own(host: Host, tmp_path: pathlib.Path) -> None:
    repository = host.forge.hub("org/clip")
    file = repository.file("sub/model.safetensors", seed="clip")
    commit = repository.commit()
    host.spec["env"] = {"HF_ENDPOINT": host.forge.hub_url, "HF_HUB_DISABLE_XET": "1"}
    call = f"hf_hub_download('org/clip', {file.path!r}, revision={commit!r}, cache_dir=os.environ['MODELS_DIR'])"
    host.nodes = {"own": f"import os, huggingface_hub\nhuggingface_hub.{call}\n{CLASSES}"}
    [entry] = result(host.run())["models"]
    assert entry["source"] == f"hf://org/clip@{commit}/{file.path}"
    assert entry["target_path"] == f"$MODELS_DIR/models--org--clip/snapshots/{commit}/{file.path}"
    valid([entry], tmp_path / "x.json")


def test_a_file_of_the_hub_in_a_plain_directory(host: Host, tmp_path: pathlib.Path) -> None:
    repository = host.forge.hub("org/clip")
    file = repository.file("sub/model.safetensors", seed="clip")
    repository.commit()
    host.spec["env"] = {"HF_ENDPOINT": host.forge.hub_url, "HF_HUB_DISABLE_XET": "1"}
    call = f"hf_hub_download('org/clip', {file.path!r}, local_dir=os.environ['MODELS_DIR'] + '/clip')"
    host.nodes = {"own": f"import os, huggingface_hub\nhuggingface_hub.{call}\n{CLASSES}"}
    [entry] = result(host.run())["models"]
    assert entry["source"] == f"{host.forge.hub_url}/org/clip/resolve/main/{file.path}"
    assert entry["target_path"] == f"$MODELS_DIR/clip/{file.path}"
    valid([entry], tmp_path / "x.json")


def test_the_next_sitecustomize_runs_as_if_there_were_no_other(host: Host) -> None:
    context = host.context()
    site = next((context.environment / "lib").glob("*/site-packages"))
    (site / "sitecustomize.py").write_text("import sys\nsys.found = __file__\n")
    node = "import sys\nprint('FOUND', sys.found, any('recorder' in path for path in sys.path))\n"
    host.nodes = {"quiet": node + CLASSES}
    assert host.run().faults == []
    assert f"FOUND {site}/sitecustomize.py False" in host.log()
