# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's content: the small ComfyUI with its nodes, packages and models, put together by hand and started."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import pytest

from tests.support.forge import Forge, demo, variants
from tests.support.forge.git import PUBLIC_URL, environment

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.forge.demo import Demo

REPOSITORY = Path(__file__).parents[3]


def run(*command: str, directory: Path, **variables: str) -> str:
    """Runs a command that must succeed and gives what it printed."""
    kept = {name: value for name, value in environment().items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    done = subprocess.run(command, cwd=directory, env=kept | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Machine:
    """The demo's version, put together with git and uv alone."""

    def __init__(self, made: Demo, directory: Path) -> None:
        self.demo = made
        self.home = directory / "ComfyUI"
        self.python = directory / "venv/bin/python"
        self._directory = directory
        self._clone(made.core.public_url, self.home)
        for repository in (made.palette, made.notebook, made.upscale):
            self._clone(repository.public_url, self.home / "custom_nodes" / repository.name.rpartition("/")[2])
        self._install()
        self._place_models()

    def _clone(self, url: str, target: Path) -> None:
        mirror = f"url.{self.demo.forge.base_url}/git/.insteadOf={PUBLIC_URL}"
        clone = ["git", "-c", mirror, "clone", "--quiet", "--recurse-submodules"]
        run(*clone, url, str(target), directory=self._directory)

    def _install(self) -> None:
        beside = Path(sys.executable).with_name("uv")
        uv = str(beside) if beside.exists() else str(shutil.which("uv"))
        settings = {"UV_CACHE_DIR": str(self._directory / "uv-cache"), "UV_NO_CONFIG": "1"}
        files = [self.home, *sorted((self.home / "custom_nodes").glob("comfyui-*"))]
        names = [str(path / "requirements.txt") for path in files]
        indexes = self.demo.forge.variables()["comfy_python_indexes"]
        sources = ["--default-index", indexes["pypi"], "--index", indexes["pytorch-cpu"]]
        compiled = run(
            *[uv, "pip", "compile", "--quiet", "--generate-hashes", "--only-binary", ":all:", *sources, *names],
            directory=self._directory,
            **settings,
        )
        self.locked = dict(re.findall(r"^([a-z]+)==(\S+)", compiled, re.MULTILINE))
        lock = self._directory / "lock.txt"
        lock.write_text(compiled)
        run(uv, "venv", "--quiet", "--python", sys.executable, str(self.python.parents[1]), directory=self._directory)
        install = [uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--python", str(self.python)]
        run(*install, *sources, "-r", str(lock), directory=self._directory, **settings)

    def _place_models(self) -> None:
        models = [("checkpoints", self.demo.checkpoint.path, self.demo.checkpoint.content.data)]
        models += [("loras", self.demo.lora.path, self.demo.lora.content.data)]
        models += [("vae", self.demo.vae.name, self.demo.vae.content.data)]
        for folder, path, body in models:
            (self.home / "models" / folder / path.rpartition("/")[2]).write_bytes(body)

    @contextlib.contextmanager
    def serving(self, *arguments: str) -> Iterator[str]:
        """Starts it on a free port; gives its URL."""
        # Where the tests run in the background, a shell has them ignore SIGINT, and what they start inherits that.
        program = ["env", "--default-signal=INT", str(self.python), str(self.home / "main.py")]
        command = [*program, "--cpu", "--port", "0", *arguments]
        process = subprocess.Popen(
            command, cwd=self._directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        )
        with process:
            try:
                yield self._url(process)
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=10)

    @staticmethod
    def _url(process: subprocess.Popen[str]) -> str:
        said = []
        for line in process.stdout or ():
            said.append(line)
            found = re.search(r"To see the GUI go to: (\S+)", line)
            if found is not None:
                return found[1]
        raise AssertionError("".join(said))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the demo's version, for tests that do not damage it."""
    directory = tmp_path_factory.mktemp("machine")
    with Forge(directory / "forge") as forge:
        yield Machine(demo.populate(forge), directory)


def ask(url: str, value: object = None) -> t.Any:
    """What a URL answers in JSON; with a value it is posted."""
    body = None if value is None else json.dumps(value).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})) as answer:
        return json.load(answer)


def finished(url: str, workflow: object) -> dict[str, t.Any]:
    """Runs a workflow and gives its history."""
    prompt_id = ask(f"{url}/prompt", {"prompt": workflow, "client_id": "test"})["prompt_id"]
    for _attempt in range(200):
        found: dict[str, t.Any] = ask(f"{url}/history/{prompt_id}")
        if found:
            entry: dict[str, t.Any] = found[prompt_id]
            return entry
        time.sleep(0.02)
    raise AssertionError("the workflow did not end")


def refused(url: str, workflow: object) -> dict[str, t.Any]:
    """Why a workflow is refused."""
    with pytest.raises(urllib.error.HTTPError, match="400") as raised:
        ask(f"{url}/prompt", {"prompt": workflow})
    with raised.value:
        answer: dict[str, t.Any] = json.load(raised.value)
        return answer


def png_size_and_texts(path: Path) -> tuple[int, int, list[bytes]]:
    """Width, height and texts of a picture whose every part is sound."""
    body = path.read_bytes()
    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        kind, content = body[at + 4 : at + 8], body[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + content) == int.from_bytes(body[at + 8 + size : at + 12 + size], "big")
        chunks.append((kind, content))
        at += 12 + size
    width, height = (int.from_bytes(chunks[0][1][start : start + 4], "big") for start in (0, 4))
    lines = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    assert len(lines) == height * (1 + width * (3 if chunks[0][1][9] == 2 else 1))
    return width, height, [content for kind, content in chunks if kind == b"tEXt"]


def test_the_version_is_written_down_and_the_same_on_every_machine(forge: Forge) -> None:
    expected = demo.written(demo.populate(forge).specification())
    assert (REPOSITORY / "versions/demo.json").read_text() == expected


def test_the_packages_have_one_joint_solution(machine: Machine) -> None:
    assert machine.locked["torch"] == "2.9.0+cpu"
    assert machine.locked["arraything"] == "2.1.0"
    assert machine.locked["hueshelf"] == "0.9.1"
    assert not {"windowpane", "paintdriver", "acceleratorlib"} & set(machine.locked)
    assert len(machine.locked) == 16


def test_pip_is_in_the_index_and_finds_the_packages_consistent(machine: Machine) -> None:
    pip = next(release for release in machine.demo.forge.index().releases if release.name == "pip")
    wheel = Path(pip.content.path)
    named = wheel.with_name(pip.filename)
    shutil.copy(wheel, named)
    out = run(str(machine.python), f"{named}/pip", "check", directory=machine.home)
    named.unlink()
    assert out == "No broken requirements found.\n"


def test_it_serves_what_the_real_one_serves(machine: Machine) -> None:
    with machine.serving("--disable-auto-launch") as url:
        system = ask(f"{url}/system_stats")["system"]
        assert (system["comfyui_version"], system["pytorch_version"]) == ("0.9.0", "2.9.0+cpu")
        assert system["argv"][1:] == ["--cpu", "--port", "0", "--disable-auto-launch"]
        classes = ask(f"{url}/api/object_info")
        modules = {name: it["python_module"] for name, it in classes.items()}
        assert modules["SaveImage"] == "nodes"
        assert modules["PaletteTint"] == "custom_nodes.comfyui-palette"
        assert modules["NotebookNote"] == "custom_nodes.comfyui-notebook"
        assert modules["UpscaleLite"] == "custom_nodes.comfyui-upscale-lite"
        assert modules["SaveImageWebsocket"] == "custom_nodes.websocket_image_save"
        assert list(ask(f"{url}/object_info/EmptyImage")) == ["EmptyImage"]
        assert ask(f"{url}/models/checkpoints") == ["small-v1.safetensors"]
        assert ask(f"{url}/extensions") == ["/extensions/comfyui-notebook/notebook.js"]
        assert ask(f"{url}/prompt") == {"exec_info": {"queue_remaining": 0}}
        for path in ("", "/extensions/comfyui-notebook/notebook.js", "/view?filename=example.png&type=input"):
            with urllib.request.urlopen(url + path) as answer:
                assert answer.read()
        outside = "/extensions/comfyui-notebook/../__init__.py", "/view?filename=../main.py"
        for path in (*outside, "/nothing", "/models/no"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(url + path)


def test_workflows_leave_pictures_and_a_history(machine: Machine) -> None:
    with machine.serving() as url:
        entry = finished(url, demo.workflow())
        assert entry["status"]["status_str"] == "success"
        (image,) = entry["outputs"]["4"]["images"]
        assert re.fullmatch(r"demo_\d{5}_\.png", image["filename"])
        width, height, texts = png_size_and_texts(machine.home / "output" / image["filename"])
        assert (width, height) == (64, 48)
        assert json.loads(texts[0].partition(b"\0")[2]) == demo.workflow()
        with urllib.request.urlopen(f"{url}/view?filename={image['filename']}") as answer:
            assert answer.read() == (machine.home / "output" / image["filename"]).read_bytes()
        assert "a picture was made" in entry["outputs"]["5"]["text"][0]
        first = finished(url, demo.model_workflow(machine.demo))
        assert first["status"]["completed"], first
        weaker = demo.model_workflow(machine.demo)
        weaker["2"]["inputs"]["strength_model"] = 0.1
        second = finished(url, weaker)
        files = [machine.home / "output" / it["outputs"]["9"]["images"][0]["filename"] for it in (first, second)]
        assert files[0].read_bytes() != files[1].read_bytes()
        assert len(ask(f"{url}/history")) == 3
        assert ask(f"{url}/queue") == {"queue_running": [], "queue_pending": []}


def test_workflows_that_cannot_run_are_refused_with_the_reason(machine: Machine) -> None:
    image = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    save = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
    with machine.serving() as url:
        assert refused(url, {"1": image})["error"]["type"] == "prompt_no_outputs"
        assert refused(url, {"1": {"class_type": "No"}, "2": save})["error"]["type"] == "missing_node_type"
        assert refused(url, {"1": {}, "2": save})["error"]["type"] == "invalid_prompt"
        circle = {"class_type": "PaletteTint", "inputs": {"images": ["1", 0], "colour": "corn"}}
        assert refused(url, {"1": circle, "2": save})["error"]["type"] == "dependency_cycle"
        faults = {
            "value_smaller_than_min": {"1": image | {"inputs": image["inputs"] | {"width": 0}}},  # type: ignore[operator]
            "invalid_input_type": {"1": image | {"inputs": image["inputs"] | {"width": "x"}}},  # type: ignore[operator]
            "required_input_missing": {"1": {"class_type": "EmptyImage", "inputs": {}}},
            "value_not_in_list": {"1": {"class_type": "PaletteSwatch", "inputs": {"colour": "no", "size": 8}}},
        }
        for kind, nodes in faults.items():
            answer = refused(url, {**nodes, "2": save})
            assert answer["error"]["type"] == "prompt_outputs_failed_validation"
            assert answer["node_errors"]["1"]["errors"][0]["type"] == kind
        for source in (["9", 0], ["1", 5]):
            wrong = {"class_type": "SaveImage", "inputs": {"images": source, "filename_prefix": "x"}}
            answer = refused(url, {"1": image, "2": wrong})
            assert answer["node_errors"]["2"]["errors"][0]["type"] == "bad_linked_input"
        # One that breaks while it runs is told in the history, and the next one runs.
        outside = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "../../x"}}
        status = finished(url, {"1": image, "2": outside})["status"]
        assert (status["status_str"], status["messages"][-1][1]["node_type"]) == ("error", "SaveImage")
        assert finished(url, {"1": image, "2": save})["status"]["completed"]


def test_run_time_files_are_where_the_real_one_has_them(machine: Machine) -> None:
    with machine.serving() as url:
        ask(f"{url}/system_stats")
        assert (machine.home / "temp").is_dir()
    assert not (machine.home / "temp").exists()
    user = machine.home / "user"
    assert json.loads((user / "default/comfy.settings.json").read_text()) == {"Comfy.TutorialCompleted": True}
    assert "Import times for custom nodes:" in (user / "comfyui.log").read_text()
    with contextlib.closing(sqlite3.connect(user / "comfyui.db")) as database:
        assert database.execute("SELECT count(*) FROM starts").fetchone()[0] >= 1
    notebook = machine.home / "custom_nodes/comfyui-notebook"
    assert (notebook / "config.json").exists()
    assert (notebook / "cache/sheet.txt").exists()
    assert list(notebook.glob("__pycache__/*.pyc")) or os.environ.get("PYTHONDONTWRITEBYTECODE")
    assert run("git", "status", "--porcelain", directory=machine.home) == ""
    untracked = run("git", "status", "--porcelain", directory=notebook).split()
    assert {"cache/", "config.json"} <= set(untracked)


def test_directories_and_extra_paths_are_obeyed(machine: Machine, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("output", "input", "user")}
    for place in (*places.values(), tmp_path / "models/loras/deep", tmp_path / "first"):
        place.mkdir(parents=True)
    (tmp_path / "models/loras/deep/a.safetensors").touch()
    (tmp_path / "models/loras/b.txt").touch()
    (tmp_path / "models/any").mkdir()
    (tmp_path / "models/any/c.txt").touch()
    (tmp_path / "models/loras/dangling.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "first/small-v1.safetensors").write_bytes(b"short")
    extra = tmp_path / "extra.yaml"
    extra.write_text(
        "# places\nmain:\n  base_path: models\n  loras: loras\n  clip: |\n    any\n    loras\n  newtype: any\n"
        f"nothing:\nfront:\n  is_default: true\n  checkpoints: {json.dumps(str(tmp_path / 'first'))}\n"
    )
    options = [it for name, place in places.items() for it in (f"--{name}-directory", str(place))]
    options += ["--temp-directory", str(tmp_path), "--database-url", f"sqlite:///{tmp_path}/x.db"]
    with machine.serving("--extra-model-paths-config", str(extra), *options) as url:
        assert ask(f"{url}/models/loras") == ["deep/a.safetensors", "watercolour.safetensors"]
        assert ask(f"{url}/models/newtype") == ["c.txt"]
        assert ask(f"{url}/models/text_encoders") == ["deep/a.safetensors"]
        assert "newtype" in ask(f"{url}/models")
        status = finished(url, demo.model_workflow(machine.demo))["status"]
        assert "header is larger than the file" in status["messages"][-1][1]["exception_message"]
        finished(url, demo.workflow())
        assert [path.name for path in places["output"].iterdir()] == ["demo_00001_.png"]
    assert (tmp_path / "x.db").exists()
    assert not (tmp_path / "temp").exists()
    assert {path.name for path in places["user"].iterdir()} == {"comfyui.log", "default"}


def test_a_node_that_fails_is_told_and_the_others_live(machine: Machine, tmp_path: Path) -> None:
    base = tmp_path / "base"
    for name, body in {"broken": "import no_such_module\n", "empty": "", "off.disabled": "1 / 0\n"}.items():
        (base / "custom_nodes" / name).mkdir(parents=True)
        (base / "custom_nodes" / name / "__init__.py").write_text(body)
    (base / "custom_nodes/early").mkdir()
    (base / "custom_nodes/early/__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (base / "custom_nodes/early/prestartup_script.py").write_text("print('early words')\n")
    (base / "custom_nodes/single.py").write_text("class A: pass\nNODE_CLASS_MAPPINGS = {'SaveImage': A, 'Own': A}\n")
    (base / "custom_nodes/readme.txt").touch()
    command = [str(machine.python), str(machine.home / "main.py"), "--cpu", "--quick-test-for-ci"]
    said = run(*command, "--base-directory", str(base), directory=tmp_path)
    assert "early words" in said
    assert set(re.findall(r"seconds \(IMPORT FAILED\): .*/(\w+)\n", said)) == {"broken", "empty"}
    assert "Cannot import" in said
    assert "due to the lack of NODE_CLASS_MAPPINGS" in said
    assert re.findall(r"^ +\d+\.\d seconds: .*/(\S+)", said, re.MULTILINE)[0] == "early"
    assert set(re.findall(r"^ +\d+\.\d seconds: .*/(\S+)", said, re.MULTILINE)[1:]) == {"early", "single.py"}
    assert "off.disabled" not in said
    assert (base / "user/comfyui.log").exists()


def test_flags_that_are_unknown_and_a_start_without_gpu_are_refused(machine: Machine, tmp_path: Path) -> None:
    for arguments, words in ((["--no-such-flag"], "unrecognized arguments"), ([], "No CUDA GPUs are available")):
        command = [str(machine.python), str(machine.home / "main.py"), "--base-directory", str(tmp_path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
        assert done.returncode != 0
        assert words in done.stdout + done.stderr


def test_variants_change_what_they_say(forge: Forge) -> None:
    made = demo.populate(forge)
    before = [repository.head() for repository in (made.core, made.palette, made.notebook)]
    after = [variants.new_core(made), variants.changed_node(made), variants.moved_branch(made)]
    assert after == [repository.head() for repository in (made.core, made.palette, made.notebook)]
    assert not set(before) & set(after)
    assert made.core.head("refs/tags/v0.10.0") == after[0]
    assert made.specification()["custom_nodes"][0]["commit"] == before[1]
    assert variants.newer_package(made).filename in {release.filename for release in forge.index().releases}
    for model, entry in (variants.extra_model(made), variants.replaced_model(made)):
        assert entry["checksum"] == f"sha256:{model.sha256}"
        assert entry["source"].startswith("https://models.forge.example/")
        with urllib.request.urlopen(f"{forge.mirror_url}/sha256/{model.sha256[:2]}/{model.sha256}") as answer:
            assert answer.read() == model.content.data
    with urllib.request.urlopen(f"{forge.base_url}/simple/hueshelf/") as answer:
        assert b"0.9.9" in answer.read()
