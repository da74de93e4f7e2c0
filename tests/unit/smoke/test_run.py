# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trials of a build: a real process of the small ComfyUI, asked over HTTP, and ended."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import manager
from tests.support.comfyui import ComfyUI
from tests.support.trees import tree
from tests.unit.smoke.conftest import Host, nothing_left, picture, processes_of

FAILS = """
class Breaks:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"width": ("INT", {"default": 1})}})
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "work"
    CATEGORY = "x"
    def work(self, width):
        raise ValueError("the tensor is too long")
NODE_CLASS_MAPPINGS = {"Breaks": Breaks}
"""
MODULE = """
import json, sys
from ansible.module_utils.testing import patch_module_args
import ansible_collections.comfyops.fleet.plugins.modules.comfy_smoke as module
with patch_module_args(json.loads(sys.stdin.read())):
    module.main()
"""


def module(host: Host, **options: t.Any) -> subprocess.Popen[str]:
    """The module in a process of its own, as a host runs it."""
    host.context()
    process = subprocess.Popen(
        [sys.executable, "-c", MODULE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is not None:
        json.dump({"lock": host.document(), "root": str(host.layout.root), **options}, process.stdin)
        process.stdin.close()
        process.stdin = None
    return process


def ended(process: subprocess.Popen[str]) -> t.Any:
    """What the module returned."""
    return json.loads(process.communicate(timeout=60)[0].splitlines()[-1])


def test_a_build_that_works(host: Host) -> None:
    report = host.run(picture())
    assert report.faults == []
    assert (report.version, report.findings) == ("0.9.0", [])
    assert report.node_classes is not None and report.node_classes > 5
    assert report.workflow is not None
    assert report.workflow["outputs"] == ["smoke_00001_.png"]
    kept = host.layout.data / "smoke" / report.build
    assert sorted(path.name for path in kept.rglob("*") if path.is_file()) == ["comfyui.log", "smoke_00001_.png"]
    assert report.notes == [f"the build that serves is none; this is {report.build}"]
    assert nothing_left(host.layout.root)


def test_what_serves_is_not_touched(host: Host, tmp_path: pathlib.Path) -> None:
    home = host.context().home
    (home / ".venv").symlink_to(host.context().environment)
    with ComfyUI(home, tmp_path / "serving.log") as serving:
        serving.run(picture())
        (home / "temp" / "preview.png").write_bytes(b"x")
        before = tree(home, without=("__pycache__",))
        assert host.run(picture()).faults == []
        assert tree(home, without=("__pycache__",)) == before
        assert serving.get("/system_stats")["system"]["comfyui_version"] == "0.9.0"


def test_a_node_that_can_not_be_imported(host: Host) -> None:
    host.nodes |= {"broken": "from . import inner\n", "empty": "x = 1\n"}
    inner = "def work():\n    import no_such_package.sub\n\n\nwork()\n"
    (host.context().home / "custom_nodes/broken/inner.py").write_text(inner)
    faults = host.faults(picture())
    assert "node broken: can not be imported:" in faults
    assert "    import no_such_package.sub\nModuleNotFoundError: No module named 'no_such_package'. Add the" in faults
    assert "node empty: can not be imported:\nit has no NODE_CLASS_MAPPINGS" in faults
    assert "quiet" not in faults


INSTALLS = """
import subprocess, sys
index = "https://me:secret@index.example"
subprocess.run([sys.executable, "-s", "-m", "pip", "install", "--index-url", index, "numpy<2"])
subprocess.run("uv pip install torch", shell=True)
NODE_CLASS_MAPPINGS = {}
"""
GETS_IN = """
import pathlib, sys
site = next(path for path in map(pathlib.Path, sys.path) if path.name == "site-packages" and "/envs/" in str(path))
(site / "numpy-1.26.4.dist-info").mkdir(exist_ok=True)
(site / "numpy-1.26.4.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\\nName: numpy\\nVersion: 1.26.4\\n")
NODE_CLASS_MAPPINGS = {}
"""


def test_what_nodes_try_to_install_is_told(host: Host) -> None:
    host.nodes |= {"eager": INSTALLS}
    report = host.run()
    assert report.faults == []
    noted = [note for note in report.notes if "ran '" in note]
    assert [note.partition("'")[2].partition("'")[0] for note in noted] == [
        "pip install --index-url https://index.example numpy<2",
        "uv pip install torch",
    ]
    assert all(note.startswith("eager ran ") for note in noted)


def test_a_node_that_changes_the_environment_fails_the_trial(host: Host) -> None:
    host.nodes |= {"sly": GETS_IN}
    assert "a node has changed it: numpy is 1.26.4" in host.faults()
    assert host.faults() == "", "it is no other than before"


def test_a_node_that_is_not_tried(host: Host) -> None:
    host.spec["launch"]["args"] = ["--disable-all-custom-nodes"]
    assert "node quiet: ComfyUI has not tried to load it. Look at launch.args" in host.faults()


def test_a_workflow_that_is_refused(host: Host) -> None:
    workflow = picture()
    workflow["1"]["inputs"]["width"] = -1
    faults = host.faults(workflow)
    assert "workflow smoke.json: EmptyImage (node 1) is refused: " in faults
    assert "smoke.json: is refused: " in host.faults({"1": {"class_type": "Unknown", "inputs": {}}})


def test_a_workflow_that_fails(host: Host) -> None:
    host.nodes["fails"] = FAILS
    faults = host.faults({"7": {"class_type": "Breaks", "inputs": {"width": 1}}})
    assert "workflow smoke.json: Breaks (node 7) failed: ValueError: the tensor is too long" in faults


def test_a_workflow_that_takes_too_long(host: Host) -> None:
    host.nodes["fails"] = FAILS.replace('raise ValueError("the tensor is too long")', "import time; time.sleep(600)")
    faults = host.faults({"7": {"class_type": "Breaks", "inputs": {"width": 1}}}, workflow_seconds=1.0)
    assert "workflow smoke.json: did not end within 1 s" in faults
    assert nothing_left(host.layout.root)


def test_a_process_that_dies_while_it_works(host: Host) -> None:
    host.nodes["fails"] = FAILS.replace("raise ValueError(", "import os; os.kill(os.getpid(), 11); print(")
    assert "ComfyUI: was ended by signal 11" in host.faults({"7": {"class_type": "Breaks", "inputs": {"width": 1}}})


def test_a_core_that_does_not_start(host: Host) -> None:
    host.spec["launch"]["args"] = ["--no-such-flag"]
    faults = host.faults()
    assert "ComfyUI: ended with status 2. Its last lines:" in faults
    assert "unrecognized arguments: --no-such-flag" in faults
    assert "Take out of launch.args what this ComfyUI does not know" in faults


def test_a_core_that_never_answers(host: Host) -> None:
    # Quick to say so, whatever else this machine does.
    waits = "print('waiting for nobody', flush=True)\nimport time\ntime.sleep(600)\n"
    (host.context().home / "main.py").write_text(waits)
    report = host.run(start_seconds=3.0)
    [fault] = report.faults
    assert "does not answer within 3 s. Its last lines:" in str(fault)
    assert "waiting for nobody" in str(fault)
    assert report.start is None
    assert nothing_left(host.layout.root)


def test_a_build_that_is_not_there(host: Host) -> None:
    (host.context().home / "main.py").unlink()
    with pytest.raises(FleetError, match=r"main.py is not there.*realize.yml"):
        host.run()


def test_a_user_who_may_not_write(host: Host) -> None:
    host.context()
    host.layout.data.mkdir()
    # In place of permissions, which root does not know.
    (host.layout.data / "smoke").write_text("")
    with pytest.raises(FleetError, match=r"data/smoke: can not be written.*become_user"):
        host.run()


def test_the_manager_of_a_trial_installs_nothing(host: Host) -> None:
    lines = "import folder_paths, os\nroot = folder_paths.get_directory('user')\nNODE_CLASS_MAPPINGS = {}\n"
    show = "".join(f"print(open(os.path.join(root, {name!r})).read())\n" for name in manager.FILES)
    host.nodes["comfyui-manager"] = lines + show
    assert host.run().faults == []
    assert host.log().count("network_mode = offline") == 2


def test_the_module_tells_and_changes_nothing_when_nothing_came(host: Host) -> None:
    done = ended(module(host, prompt=picture(), workflow="smoke.json"))
    assert (done["changed"], done.get("failures")) == (False, None)
    assert done["workflow"]["name"] == "smoke.json"
    assert "--cpu" in done["command"]
    failed = ended(module(host, prompt={"1": {"class_type": "Unknown"}}))
    assert failed["failed"]
    assert failed["failures"][0]["where"] == "workflow prompt"
    assert failed["node_classes"] > 5


def test_check_mode_starts_nothing(host: Host) -> None:
    done = ended(module(host, _ansible_check_mode=True))
    assert done["command"][1].endswith("/main.py")
    assert not host.layout.data.exists()


def test_a_killed_module_leaves_no_process_and_no_trace_the_next_day(host: Host) -> None:
    host.nodes["waits"] = "print('here', flush=True)\nimport time\ntime.sleep(600)\n"
    process = module(host)
    deadline = time.monotonic() + 30
    while not processes_of(f"{host.layout.root}/builds"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert nothing_left(host.layout.root)
    [left] = (host.layout.data / "smoke").glob("run-*")
    os.utime(left, (1, 1))
    del host.nodes["waits"]
    assert host.run().faults == []
    assert not left.exists()
