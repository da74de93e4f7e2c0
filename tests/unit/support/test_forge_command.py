# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge as a process of its own, for the demo and for tests that run elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
import urllib.request
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, t.Any]]]:
    """A forge process with the demo, and what its ready file says."""
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "tests.support.forge", "--demo"]
    command += ["--directory", str(tmp_path / "forge"), "--ready", str(ready), "--blob-bind", "127.0.0.2"]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": ""})
    try:
        end = time.monotonic() + 20
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        yield process, json.loads(ready.read_text())
    finally:
        process.kill()
        process.wait()


def test_the_ready_file_points_a_run_at_the_forge(
    started: tuple[subprocess.Popen[bytes], dict[str, t.Any]], tmp_path: Path
) -> None:
    process, said = started
    base = said["base_url"]
    assert said["pid"] == process.pid
    assert said["variables"] == {
        "comfy_git_mirrors": {"https://git.forge.example/": f"{base}/git/"},
        "comfy_python_indexes": {"pypi": f"{base}/simple", "pytorch-cpu": f"{base}/index/pytorch-cpu/simple"},
        "comfy_hf_endpoint": f"{base}/hub",
        "comfy_civitai_endpoint": f"{base}/civitai",
        "comfy_model_mirrors": [f"{base}/mirror"],
    }
    assert said["environment"] == {"HF_TOKEN": "demo-token"}
    assert said["blob_url"].startswith("http://127.0.0.2:")
    specification = json.loads((REPOSITORY / "versions/demo.json").read_text())
    sha256 = specification["models"][0]["checksum"].removeprefix("sha256:")
    url = f"{said['variables']['comfy_model_mirrors'][0]}/sha256/{sha256[:2]}/{sha256}"
    with urllib.request.urlopen(url) as answer:
        assert len(answer.read()) == specification["models"][0]["size"]
    fault = {"kind": "status", "path": "/mirror/*", "status": 500}
    urllib.request.urlopen(f"{base}/forge/faults", json.dumps(fault).encode()).close()
    with pytest.raises(urllib.error.HTTPError, match="500"):
        urllib.request.urlopen(url)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0
    lines = [json.loads(line) for line in Path(said["requests"]).read_text().splitlines()]
    assert [(line["path"].split("/")[1], line["status"]) for line in lines] == [("mirror", 200), ("mirror", 500)]
    assert not list(tmp_path.glob("*.part"))
