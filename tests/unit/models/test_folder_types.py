# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""extra_model_paths.yaml as ComfyUI reads it: its reader's rules, run in the stand-in core.

With COMFYUI_CHECKOUT, a directory with a checkout of ComfyUI, its own folder_paths.py and utils/extra_config.py read it
as well.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.models.folder_types import folder_types, render
from tests.unit.models.conftest import CORE, Host, converge, look

YAML_READER = CORE.parent / "wheels"
CORES = [CORE, *(pathlib.Path(path) for path in [os.environ.get("COMFYUI_CHECKOUT")] if path)]
READER = ("folder_paths.py", "utils", "comfy")
LOAD = """
import json
import folder_paths
from utils.extra_config import load_extra_path_config
load_extra_path_config("extra_model_paths.yaml")
found = {name: paths for name, (paths, _extensions) in folder_paths.folder_names_and_paths.items()}
files = {name: folder_paths.get_filename_list(name) for name in found}
print(json.dumps([found, files]))
"""


@pytest.fixture(params=CORES, ids=lambda path: path.name)
def core(request: pytest.FixtureRequest) -> pathlib.Path:
    """What reads the file."""
    path: pathlib.Path = request.param
    return path


def stage(core: pathlib.Path, home: pathlib.Path) -> None:
    """Let the build have the core's reader; of its large packages only what that imports."""
    for name in READER:
        for path in [core / name] if (core / name).is_file() else (core / name).glob("*.py"):
            (home / path.relative_to(core)).parent.mkdir(exist_ok=True)
            shutil.copy(path, home / path.relative_to(core))


def loaded(home: pathlib.Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The core's table after it has read the file in its directory, and the files that it lists."""
    environment = {**os.environ, "PYTHONPATH": f"{home}:{YAML_READER}"}
    done = subprocess.run([sys.executable, "-c", LOAD], cwd=home, env=environment, stdout=subprocess.PIPE, check=True)
    paths, files = json.loads(done.stdout)
    return paths, files


def test_comfyui_finds_the_models_first_in_models_dir_and_keeps_its_own_order(host: Host, core: pathlib.Path) -> None:
    models = [
        {**host.model("a.safetensors"), "paths": ["$MODELS_DIR/loras/style/a.safetensors"]},
        {**host.model("b.safetensors"), "paths": ["$MODELS_DIR/clip/b.safetensors"]},
        {**host.model("c.bin"), "paths": ["$MODELS_DIR/ultralytics/bbox/c.bin"]},
    ]
    context = host.context(*models)
    stage(core, context.home)
    converge(context)
    paths, files = loaded(context.home)
    ours, own = str(host.layout.models), str(context.home / "models")
    assert paths["loras"] == [f"{ours}/loras", f"{own}/loras"]
    assert paths["text_encoders"][:2] == [f"{ours}/text_encoders", f"{ours}/clip"]
    assert paths["diffusion_models"] == [
        f"{root}/{name}" for root in (ours, own) for name in ("unet", "diffusion_models")
    ]
    assert paths["ultralytics"] == [f"{ours}/ultralytics"]
    assert paths["custom_nodes"] == [str(context.home / "custom_nodes")]
    assert files["loras"] == ["style/a.safetensors"]
    assert files["text_encoders"] == ["b.safetensors"]
    assert files["ultralytics"] == ["bbox/c.bin"]
    assert not [name for name in paths if "/" in name], "a sub-folder is no type"


def test_odd_directories_survive_the_reader(host: Host, core: pathlib.Path, tmp_path: pathlib.Path) -> None:
    host.layout = dataclasses.replace(host.layout, models_dir=tmp_path / 'a: "b" #c\\d')
    model = {**host.model("a.bin"), "paths": ["$MODELS_DIR/no/a.bin", "$MODELS_DIR/it's: odd/a.bin"]}
    context = host.context(model)
    stage(core, context.home)
    converge(context)
    paths, _files = loaded(context.home)
    assert paths["no"] == [f"{host.layout.models}/no"]
    assert paths["it's: odd"] == [f"{host.layout.models}/it's: odd"]
    assert paths["loras"][0] == f"{host.layout.models}/loras"


def test_an_edit_of_the_file_is_drift(host: Host) -> None:
    context = host.context(host.model("a.safetensors"))
    converge(context)
    (context.home / "extra_model_paths.yaml").write_text("mine: {}\n")
    [change] = look(context).changes
    assert (change.action, change.name, change.before, change.after) == (
        "write",
        "extra_model_paths.yaml",
        "different",
        "present",
    )
    converge(context)


def test_a_damaged_core_is_the_cores_matter(host: Host) -> None:
    context = host.context(host.model("a.safetensors"))
    converge(context)
    (context.home / "folder_paths.py").unlink()
    assert look(context).changes == ()
    (context.home / "extra_model_paths.yaml").unlink()
    with pytest.raises(FleetError, match="Make the build first"):
        converge(context)


def test_without_a_build_nothing_is_fetched_for_it(host: Host) -> None:
    context = host.context(host.model("a.safetensors"), build=False)
    with pytest.raises(FleetError, match="the build is not there"):
        converge(context)
    assert host.forge.requests == []
    assert not context.home.exists()


def test_a_models_directory_that_comfyui_would_expand(host: Host, tmp_path: pathlib.Path) -> None:
    host.layout = dataclasses.replace(host.layout, models_dir=tmp_path / "$HOME")
    [obstacle] = look(host.context(host.model("a.safetensors"))).obstacles
    assert "ComfyUI would expand" in str(obstacle)


SOURCE = """
import os
models_dir = "models"
folder_names_and_paths = {}
folder_names_and_paths["loras"] = ([os.path.join(models_dir, "loras")], {".pt"})
folder_names_and_paths["deep"] = ([os.path.join(models_dir, "a", "b"), os.path.join(models_dir, "c")], {".pt"})
folder_names_and_paths["custom_nodes"] = ([os.path.join(base_path, "custom_nodes")], set())
folder_names_and_paths["mixed"] = ([os.path.join(base_path, "x"), os.path.join(models_dir, "y")], set())
folder_names_and_paths["computed"] = ([os.path.join(models_dir, name)], set())
folder_names_and_paths[name] = ([os.path.join(models_dir, "z")], set())
folder_names_and_paths["configs"] = ([os.path.join(models_dir, "configs")], [".yaml"])
other["x"] = ([os.path.join(models_dir, "z")], set())
"""


def test_types_are_read_without_running_the_core() -> None:
    assert folder_types(SOURCE) == {"loras": ("loras",), "deep": ("a/b", "c"), "mixed": ("y",), "configs": ("configs",)}


def test_what_is_not_for_models_dir_is_left_out_unless_a_model_is_there() -> None:
    types = folder_types(SOURCE)
    assert '"configs"' not in render(types, "/m", ["loras/x"])
    assert '"configs"' in render(types, "/m", ["configs/x.yaml"])
    assert "custom_nodes" not in render(types, "/m", ["custom_nodes/x/y.py"])
    assert '"a"' not in render(types, "/m", ["a/b/x", "top.bin"])


@pytest.mark.parametrize("source", ["", "def broken(", "folder_names_and_paths = {}", "\0"])
def test_a_file_that_is_no_table_of_types(source: str) -> None:
    with pytest.raises(FleetError, match=r"^folder_paths\.py: "):
        folder_types(source)
