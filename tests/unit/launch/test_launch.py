# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment and the command line of a run: pure, of a lock and a host's directories."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.command import (
    Directories,
    command_line,
    known_options,
    offline_note,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.environment import run_environment
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from tests.support import locks

ROOT = pathlib.Path("/opt/comfy")
CLI_ARGS = pathlib.Path(__file__).parents[2] / "support/forge/content/core/comfy/cli_args.py"
OPTIONS = known_options(CLI_ARGS.read_text())


def context(accelerator: str | None = "cpu", **spec: t.Any) -> Context:
    document = locks.lock(locks.checkout("https://git.example/core", "a" * 40))
    document["spec"].update(spec)
    document["targets"]["default"]["accelerator"] = accelerator
    lock = read_lock(document)
    return Context(lock, lock.targets["default"], Layout(root=ROOT), Settings())


def test_caches_are_in_the_data_that_survives() -> None:
    variables = run_environment(context(), {})
    assert variables["HF_HOME"] == "/opt/comfy/data/cache/huggingface"
    assert variables["TORCH_HOME"] == "/opt/comfy/data/cache/torch"
    assert variables["U2NET_HOME"] == "/opt/comfy/data/cache/u2net"
    assert variables["XDG_CACHE_HOME"] == "/opt/comfy/data/cache"
    assert variables["MODELS_DIR"] == "/opt/comfy/models"
    assert variables["PYTHONNOUSERSITE"] == "1"


def test_what_the_caller_has_of_python_and_caches_does_not_count() -> None:
    caller = {
        "PYTHONPATH": "/home/me/code",
        "PYTHONHOME": "/usr",
        "HF_HUB_CACHE": "/root/hub",
        "HF_HOME": "/root/hf",
        "LD_PRELOAD": "/x.so",
        "HF_HUB_OFFLINE": "1",
        "PATH": "/usr/bin",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HF_TOKEN": "t",
    }
    ran = context()
    variables = run_environment(ran, caller)
    assert not {"PYTHONPATH", "PYTHONHOME", "HF_HUB_CACHE", "LD_PRELOAD", "HF_HUB_OFFLINE"} & set(variables)
    assert variables["HF_HOME"] == "/opt/comfy/data/cache/huggingface"
    assert (variables["HTTPS_PROXY"], variables["HF_TOKEN"]) == ("http://proxy.example:3128", "t")
    assert variables["PATH"] == f"{ran.environment}/bin:/usr/bin"
    assert variables["VIRTUAL_ENV"] == str(ran.environment)


def test_the_spec_has_the_last_word_on_what_is_not_the_fleets() -> None:
    env = {"TORCH_HOME": "${MODELS_DIR}/torch", "OWN": "$COMFY_HOME/x:$OTHER", "COMFY_PYTHON": "python3.11"}
    ran = context(env=env)
    variables = run_environment(ran, {"OWN": "of the host"})
    assert variables["TORCH_HOME"] == "/opt/comfy/models/torch"
    assert variables["OWN"] == f"{ran.home}/x:$OTHER"
    assert "COMFY_PYTHON" not in variables


def test_offline_is_said_to_libraries_and_to_a_core_that_can_hear_it() -> None:
    ran = context(launch={"args": [], "offline": True})
    variables = run_environment(ran, {})
    assert (variables["HF_HUB_OFFLINE"], variables["TRANSFORMERS_OFFLINE"]) == ("1", "1")
    assert "--offline" in command_line(ran, OPTIONS | {"--offline"}, port=1)
    assert offline_note(ran, OPTIONS | {"--offline"}) is None
    assert "--offline" not in command_line(ran, OPTIONS - {"--offline"}, port=1)
    assert "has no --offline yet" in (offline_note(ran, OPTIONS - {"--offline"}) or "")
    assert offline_note(context(), OPTIONS) is None


@pytest.mark.parametrize(
    ("accelerator", "variable"), [("cu130", "CUDA_VISIBLE_DEVICES"), ("rocm", "HIP_VISIBLE_DEVICES")]
)
def test_an_instance_sees_its_gpu(accelerator: str, variable: str) -> None:
    assert run_environment(context(accelerator), {}, gpu="0,1")[variable] == "0,1"
    assert variable not in run_environment(context(accelerator), {})


def test_the_command_names_build_and_environment_themselves() -> None:
    ran = context(None, launch={"args": ["--listen", "0.0.0.0", "--fast", "fp16", "--port=9"]})
    command = command_line(ran, OPTIONS, port=8188, extra=("--verbose",))
    assert command == [
        f"{ran.environment}/bin/python",
        f"{ran.home}/main.py",
        *("--fast", "fp16", "--verbose", "--listen", "127.0.0.1", "--port", "8188", "--disable-auto-launch"),
    ]


def test_a_run_on_a_cpu_says_so_once() -> None:
    assert command_line(context("cpu"), OPTIONS, port=1).count("--cpu") == 1
    assert command_line(context("cpu", launch={"args": ["--cpu"]}), OPTIONS, port=1).count("--cpu") == 1
    assert "--cpu" not in command_line(context("cu130"), OPTIONS, port=1)


def test_options_of_the_spec_can_be_left_out() -> None:
    args = ["--tls-keyfile", "k", "--cpu", "--tls-certfile=c"]
    command = command_line(
        context("cpu", launch={"args": args}), OPTIONS, port=1, without=("--tls-keyfile", "--tls-certfile")
    )
    assert not {"--tls-keyfile", "k", "--tls-certfile=c"} & set(command)
    assert "--cpu" in command


def test_directories_of_a_run_with_its_own_database() -> None:
    own = Directories(output=ROOT / "o", temp=ROOT / "t", user=ROOT / "u")
    command = command_line(context(), OPTIONS, port=1, directories=own)
    wanted = ["--output-directory", "/opt/comfy/o", "--temp-directory", "/opt/comfy/t"]
    wanted += ["--user-directory", "/opt/comfy/u", "--database-url", "sqlite:////opt/comfy/u/comfyui.db"]
    assert command[-8:] == wanted
    assert "--database-url" not in command_line(context(), OPTIONS - {"--database-url"}, port=1, directories=own)
    with pytest.raises(FleetError, match="--user-directory"):
        command_line(context(), OPTIONS - {"--user-directory"}, port=1, directories=own)


def test_options_are_read_of_the_core() -> None:
    source = """add_argument("--cpu", action="store_true")\nadd_argument(\n    "-v", '--verbose', help="--no")"""
    assert known_options(source) == {"--cpu", "--verbose"}
    assert {"--user-directory", "--database-url", "--listen"} <= OPTIONS
