# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user reads while models are fetched: lines, not too many, nothing of a converge that is no more."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.progress_lines import (
    Lines,
    duration,
    parsed,
    progress,
    summary,
)
from tests.unit.models.conftest import Host

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def document(seconds: float, done: int = 12_100_000_000, **more: t.Any) -> dict[str, t.Any]:
    files = [
        {"name": "a", "state": "whole", "from": "https://huggingface.co/a", "done": 1, "total": 1},
        {"name": "b", "state": "fetching", "from": "https://cdn.example:8443/b", "done": 1, "total": 1},
        {"name": "c", "state": "waiting", "from": None, "done": 0, "total": 1},
    ]
    found = {"format": 1, "began": 5.0, "seconds": seconds, "finished": False, "done": done, "total": 48_300_000_000}
    return {**found, "rate": 412_000_000, "left": 88, "files": files, **more}


def test_a_line_has_all_that_one_asks_for() -> None:
    assert progress(document(3)) == (
        "12.1 GB of 48.3 GB (25 %), 412.0 MB/s, 1 min 28 s left, 1 of 3 files, from cdn.example:8443, huggingface.co"
    )
    assert "left" not in progress(document(3, left=None))


def test_lines_become_rare() -> None:
    lines = Lines()
    said = [second for second in range(2, 3600, 2) if lines.line(document(second), second)]
    assert said[:3] == [4, 10, 18]
    assert 100 < len(said) < 140


def test_nothing_is_said_of_a_converge_that_is_no_more() -> None:
    lines = Lines()
    assert [lines.line(document(7), second) for second in range(2, 40, 2)] == [None] * 19
    assert lines.line(document(1, began=6.0), 40), "another one begins"
    assert lines.line(None, 80) is None
    assert lines.line(document(50, finished=True), 90) is None


def test_what_is_no_document() -> None:
    assert parsed("") is None
    assert parsed("[]") is None
    assert parsed('{"format": 99}') is None
    assert parsed(json.dumps(document(1))) == document(1)


def test_the_end() -> None:
    downloads = [
        {"name": "a", "state": "whole", "from": "https://huggingface.co/a", "fetched": 1_200_000_000, "seconds": 10},
        {"name": "b", "state": "failed", "from": "https://huggingface.co/b", "fetched": 5, "seconds": 1},
    ]
    assert summary(downloads, 12.2) == "1 file, 1.2 GB in 12 s (98.4 MB/s), from huggingface.co"
    assert summary(downloads[1:], 12.2) is None
    assert [duration(seconds) for seconds in (0.2, 59.4, 200, 7500)] == ["0 s", "59 s", "3 min 20 s", "2 h 5 min"]


def test_lines_are_printed_while_the_task_runs(host: Host, tmp_path: pathlib.Path) -> None:
    """The task as a playbook has it; check mode and a second run say nothing."""
    model = host.model("big.safetensors", size=500_000)
    host.forge.fault("rate", "/models/*", rate=100_000)
    context = host.context(model)
    options = {"lock": dict(context.lock.document), "root": str(host.layout.root), "model_connections": 1}
    first = play(tmp_path, options)
    lines = re.findall(r"^localhost: models: (.*)$", first, re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d kB of 500\.0 kB \(\d\d %\), \d+\.\d kB/s, \d s left, 0 of 1 file, from \S+", lines[0])
    assert re.fullmatch(r"1 file, 500\.0 kB in \d s \(\d+\.\d kB/s\), from 127\.0\.0\.1:\d+", lines[-1])
    assert "\x1b" not in first
    assert "\r" not in first
    assert "models:" not in play(tmp_path, options)


def play(directory: pathlib.Path, options: dict[str, t.Any]) -> str:
    """Run the task on this machine; gives what is printed."""
    tasks = [{"comfyops.fleet.comfy_models": options}]
    variables = {"ansible_python_interpreter": sys.executable}
    playbook = directory / "play.yml"
    playbook.write_text(
        json.dumps(
            [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "tasks": tasks}]
        )
    )
    program = pathlib.Path(sys.executable).with_name("ansible-playbook")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    command = [str(program), "-i", "localhost,", str(playbook)]
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
