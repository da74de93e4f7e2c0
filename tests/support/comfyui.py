# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ComfyUI of a build, started as a user would, and spoken to over HTTP."""

from __future__ import annotations

import json
import pathlib
import socket
import subprocess
import time
import typing as t
import urllib.error
import urllib.request

START_SECONDS = 120.0
WORKFLOW_SECONDS = 60.0
Json = t.Any


class ComfyUI:
    """A running main.py; ends with its ``with`` block.

    Args:
        home: COMFY_HOME of the build.
        log: the file that takes what it prints.
    """

    def __init__(self, home: pathlib.Path, log: pathlib.Path) -> None:
        self._port = _free_port()
        self._log = log
        # Resolved once: a process that runs through a link would import lazily from the next build.
        home = home.resolve()
        command = [
            str(home / ".venv/bin/python"),
            "main.py",
            "--cpu",
            "--port",
            str(self._port),
            "--disable-auto-launch",
        ]
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, cwd=home, stdout=output, stderr=subprocess.STDOUT)

    def __enter__(self) -> ComfyUI:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.get("/system_stats")
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
            else:
                return self
        self._stop()
        raise RuntimeError(f"ComfyUI did not start:\n{self._log.read_text('utf-8', 'replace')[-3000:]}")

    def __exit__(self, *_exception: object) -> None:
        self._stop()

    def get(self, path: str) -> Json:
        """What GET ``path`` answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
            return json.load(answer)

    def run(self, workflow: Json) -> Json:
        """Post a workflow in API form, wait for its end, and give its entry of the history."""
        body = json.dumps({"prompt": workflow}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/prompt", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            number = json.load(answer)["prompt_id"]
        deadline = time.monotonic() + WORKFLOW_SECONDS
        while time.monotonic() < deadline:
            history = self.get(f"/history/{number}")
            if number in history:
                return history[number]
            time.sleep(0.1)
        raise TimeoutError(f"the workflow did not end within {WORKFLOW_SECONDS:.0f} s")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def picture_workflow(prefix: str) -> Json:
    """A workflow that needs no model: EmptyImage to SaveImage."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0x3366CC}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
