# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a build of the small ComfyUI, put there by hand: what a converge makes is tried elsewhere."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
import sysconfig
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.run import Report, Smoke, Trial
from tests.support import forge as forge_package
from tests.support import locks
from tests.support.comfyui import picture_workflow
from tests.support.forge import Forge

if t.TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = pathlib.Path(forge_package.__file__).parent / "content"


class Host:
    """A root on this machine. nodes: directory to the text of its ``__init__.py``."""

    def __init__(self, forge: Forge, directory: pathlib.Path) -> None:
        self.forge = forge
        self.layout = Layout(directory / "root")
        self.nodes: dict[str, str] = {"quiet": "NODE_CLASS_MAPPINGS = {}\n"}
        self.spec: dict[str, t.Any] = {"launch": {"args": []}}

    def document(self) -> dict[str, t.Any]:
        """The lock."""
        nodes = [locks.node(name, f"https://git.example/{name}", "b" * 40) for name in self.nodes]
        document = locks.lock(locks.checkout("https://git.example/core", "a" * 40), nodes)
        document["spec"].update(self.spec)
        document["targets"]["default"] |= {"accelerator": "cpu", "python": f"3.{sys.version_info.minor}"}
        return document

    def context(self) -> Context:
        """The build, made where it is not there."""
        lock = read_lock(self.document())
        context = Context(lock, lock.targets["default"], self.layout, Settings())
        if not context.home.exists():
            shutil.copytree(CONTENT / "core", context.home)
        for name, text in self.nodes.items():
            (context.home / "custom_nodes" / name).mkdir(exist_ok=True)
            (context.home / "custom_nodes" / name / "__init__.py").write_text(text)
        if not context.environment.exists():
            _environment(context.environment)
        return context

    def run(self, workflow: t.Any = None, **more: t.Any) -> Report:
        """Try the build."""
        trial: dict[str, t.Any] = {"start_seconds": 60.0, "workflow_seconds": 30.0, "stop_seconds": 5.0, **more}
        return Smoke(self.context(), Trial(workflow=workflow, workflow_name="smoke.json", **trial)).run()

    def faults(self, workflow: t.Any = None, **more: t.Any) -> str:
        """What a trial holds against the build."""
        return "\n".join(map(str, self.run(workflow, **more).faults))

    def log(self) -> str:
        """What the last trial printed."""
        return (self.layout.data / "smoke" / self.context().build_name / "comfyui.log").read_text()


def _environment(place: pathlib.Path) -> None:
    """An environment that has the stand-ins of what ComfyUI needs, and what these tests run with."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = place / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (site / "stand_ins.pth").write_text(f"{CONTENT / 'wheels'}\n{sysconfig.get_path('purelib')}\n")
    (place / "bin").mkdir()
    base = pathlib.Path(sys.base_prefix) / "bin" / version
    (place / "bin" / "python").symlink_to(base)
    (place / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")


def picture() -> t.Any:
    """A workflow that needs no model."""
    return picture_workflow("smoke")


def processes_of(text: str) -> list[str]:
    """Command lines of processes that name a path; gone ones and this one are none."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            found += [line] if text in line else []
    return found


def nothing_left(root: pathlib.Path) -> bool:
    """Whether no process of a root is left, within a few seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not processes_of(f"{root}/builds"):
            return True
        time.sleep(0.05)
    return False


def result(report: Report) -> t.Any:
    """The report as the module returns it, through JSON."""
    return json.loads(json.dumps(report.result()))


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Host]:
    with Forge(tmp_path / "forge") as forge:
        yield Host(forge, tmp_path)
