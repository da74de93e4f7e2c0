# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small fleet's world: a forge, a version's spec, and one machine that is a directory here."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import typing as t

import pytest

from tests.support.forge import Forge
from tests.support.forge.demo_packages import pip_wheel
from tests.support.playbook import Playbooks, Run
from tests.support.trees import tree

if t.TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "world"
Spec = dict[str, t.Any]
Actions = list[dict[str, t.Any]]


@dataclasses.dataclass
class World:
    """The forge's repositories and packages, the spec that names them, and the machine."""

    directory: pathlib.Path
    forge: Forge

    def __post_init__(self) -> None:
        (self.directory / "versions").mkdir()
        inventory = {
            "all": {
                "hosts": {"machine": {"comfy_root": str(self.root)}},
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
            }
        }
        (self.directory / "hosts.json").write_text(json.dumps(inventory))
        self._repositories()
        self._packages()
        self.checkpoint = self.forge.model("checkpoint.safetensors", size=300_000, seed="1")
        self.spec: Spec = {
            "schema_version": 2,
            "version_id": VERSION,
            "comfy": {"repo": self.core.url, "ref": "main"},
            "custom_nodes": [
                {"repo": self.palette.url, "name": "palette"},
                {"repo": self.notebook.url, "name": "notebook"},
            ],
            "models": [
                {
                    "source": self.checkpoint.url,
                    "target_path": "$MODELS_DIR/checkpoints/one.safetensors",
                    "checksum": f"sha256:{self.checkpoint.sha256}",
                }
            ],
            "env": {"COMFY_PYTHON": f"python{sys.version_info.major}.{sys.version_info.minor}"},
        }
        self.write()

    def _repositories(self) -> None:
        self.core = self.forge.repository("comfy/core")
        self.core.commit(
            {
                "main.py": "print('comfy')\n",
                "folder_paths.py": FOLDER_PATHS,
                "requirements.txt": "torchlike>=1\n",
                ".gitignore": "/custom_nodes/\n/output/\n__pycache__/\n",
                "custom_nodes/websocket_image_save.py": "SAVE = 1\n",
            }
        )
        self.palette = self.forge.repository("people/palette")
        self.palette.commit({"__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "requirements.txt": "colours>=1,<3\n"})
        self.notebook = self.forge.repository("people/notebook")
        self.notebook.commit({"__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "requirements.txt": "colours\npaper\n"})

    def _packages(self) -> None:
        index = self.forge.index("pypi")
        index.wheel_file(pip_wheel())
        index.wheel("torchlike", "1.0", requires=["smallmath"], modules={"torchlike.py": "VERSION = 1\n"})
        index.wheel("smallmath", "0.3", modules={"smallmath.py": ""})
        index.wheel("colours", "2.0", modules={"colours/__init__.py": "", "colours/red.py": "RED = 1\n"})
        index.wheel("colours", "1.5", modules={"colours/__init__.py": "", "colours/red.py": "RED = 0\n"})
        index.wheel("paper", "1.0", modules={"paper.py": ""})

    @property
    def root(self) -> pathlib.Path:
        """The machine's comfy_root."""
        return self.directory / "machine"

    @property
    def home(self) -> pathlib.Path:
        """The build that serves."""
        return (self.root / "current").resolve()

    @property
    def playbooks(self) -> Playbooks:
        """Runs against this machine and this forge."""
        variables = {
            "version": VERSION,
            "comfy_versions_dir": str(self.directory / "versions"),
            "comfy_python_indexes": {"pypi": self.forge.index("pypi").url},
        }
        environment = {"XDG_CACHE_HOME": str(self.directory / "cache")}
        return Playbooks(variables, self.directory / "hosts.json", environment=environment)

    def write(self) -> None:
        """Write the spec as it is now."""
        (self.directory / "versions" / f"{VERSION}.json").write_text(json.dumps(self.spec, indent=2))

    def lock(self, *upgrade: str) -> Run:
        """Write the spec and make its lock."""
        self.write()
        return self.playbooks.succeed("lock", comfy_lock_upgrade=list(upgrade))

    def applied(self, *options: str) -> Actions:
        """Realize, and what its modules say they did; with ``--check``, would do."""
        report = self.directory / "report.json"
        self.playbooks.succeed("realize", *options, comfy_report=str(report))
        actions: Actions = json.loads(report.read_text())["hosts"]["machine"]["applied"]
        return actions

    def state(self) -> dict[str, str]:
        """The machine byte for byte, less git's own files, receipts and what was put aside."""
        return tree(self.root, without=(".git", ".making", "__pycache__", "state", "cache", "agent"))


FOLDER_PATHS = """import os

models_dir = os.path.join(os.path.dirname(os.path.realpath(__file__)), "models")
supported = {".safetensors"}
folder_names_and_paths = {}
folder_names_and_paths["checkpoints"] = ([os.path.join(models_dir, "checkpoints")], supported)
folder_names_and_paths["loras"] = ([os.path.join(models_dir, "loras")], supported)
"""


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[World]:
    """A world with a bare machine."""
    with Forge(tmp_path / "forge") as forge:
        yield World(tmp_path, forge)
