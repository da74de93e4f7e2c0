# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock with packages of every source, and reports of it."""

from __future__ import annotations

import collections.abc as c
import copy
import dataclasses
import hashlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage, Look, coverage_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.files import render_files
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import (
    Sources,
    TargetSources,
    sources_of,
)
from tests.support.locks import Document, checkout, lock, node, package, target

TORCH_INDEX = "https://torch.example/whl/cu130"
COMMIT = "c0ffee" * 6 + "c0ff"
BUILD = {
    "python": "3.11.9",
    "requires": [{"name": "setuptools", "version": "80.9.0", "file": "s.whl", "sha256": "9" * 64}],
}
PACKAGES: tuple[tuple[str, str, Document], ...] = (
    ("app", "1.0", {"license": "MIT", "requires": ["leaf[fast]>=1,<2", "torch>=2"], "required_by": ["core"]}),
    ("archived", "3.0", {"source": "sdist", "index": None, "requires": ["leaf"], "license": "Apache Software License"}),
    ("egg", "1.0", {"requires": ["hen"], "required_by": ["node:palette", "package:hen"]}),
    ("gitty", "1.5", {"source": "git", "index": None, "license": "MIT OR Apache-2.0"}),
    ("hen", "1.0", {"requires": ["egg", "leaf<1.9"], "required_by": ["package:egg"]}),
    ("ink", "0.9", {"source": "sdist", "index": None, "license": "MIT", "required_by": ["spec"]}),
    ("kernels", "1.0.2+torch2.9", {"source": "wheel", "index": None, "requires": ["torch"], "license": "BSD"}),
    ("leaf", "1.5", {"license": "BSD-3-Clause", "required_by": ["package:app", "package:archived", "package:hen"]}),
    ("opencv-contrib-python", "4.12", {"license": "Apache 2.0", "required_by": ["node:palette"]}),
    (
        "opencv-python",
        "4.12",
        {"source": "shim", "index": None, "provider": "opencv-contrib-python", "required_by": ["core"]},
    ),
    ("own-tools", "0.1", {"source": "file", "index": None, "license": "Copyright X\n\nYou may not."}),
    ("pip", "25.2", {"license": "MIT", "required_by": ["comfyops.fleet"]}),
    ("torch", "2.9.0+cu130", {"index": "pytorch-cu130", "required_by": ["package:app", "package:kernels"]}),
    ("vendor", "7.0", {"source": "provided", "index": None, "size": None}),
)
OTHERS: dict[str, Document] = {
    "archived": {"built_from": {"url": "https://files.example/archived-3.0.tar.gz", "sha256": "a" * 64, **BUILD}},
    "gitty": {
        "built_from": {
            "git": "https://git.example/people/gitty.git",
            "commit": COMMIT,
            "subdirectory": "python",
            "submodules": False,
            **BUILD,
        }
    },
    "ink": {"built_from": {"index": "pytorch-cu130", "file": "ink-0.9.tar.gz", "sha256": "b" * 64, **BUILD}},
    "kernels": {"url": "https://files.example/kernels-1.0.2%2Btorch2.9-py3-none-any.whl"},
    "opencv-python": {"provider": "opencv-contrib-python"},
    "own-tools": {"url": "file:///srv/wheels/own_tools-0.1-py3-none-any.whl"},
}
REQUIREMENTS = [
    {
        "owner": "core",
        "file": "requirements.txt",
        "lines": ["app", "opencv-python", "nothing ; sys_platform == 'win32'"],
    },
    {"owner": "node:palette", "file": "requirements.txt", "lines": ["egg", "opencv-contrib-python", "torch==2.8"]},
    {"owner": "spec", "file": None, "lines": ["archived", "gitty", "ink", "kernels", "own-tools", "vendor==7.0"]},
]


def entry(name: str, version: str, values: Document) -> Document:
    """A package of the lock, with a file whose size follows from its name."""
    is_provided = values.get("source") == "provided"
    file = None if is_provided else f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    sha256 = None if is_provided else hashlib.sha256(name.encode()).hexdigest()
    return package(name, version, file, sha256, **{"size": 1000 * len(name), **values, **OTHERS.get(name, {})})


def everything() -> Document:
    """The lock."""
    document = lock(checkout("https://github.com/Comfy-Org/ComfyUI", "1" * 40))
    part = {"path": "lib/part", "repo": "https://git.example/part", "commit": "3" * 40}
    palette = node("palette", "https://git.example/people/palette", "2" * 40, submodules=[part])
    gpu = target([entry(*each) for each in PACKAGES])
    gpu["indexes"]["pytorch-cu130"] = TORCH_INDEX
    gpu["accelerator"] = "cu130"
    gpu["replaced"] = [{"owner": "node:palette", "line": "torch==2.8", "by": "torch>=2", "why": "it comes later"}]
    found = {**document, "nodes": [palette], "targets": {"gpu": gpu}, "requirements": copy.deepcopy(REQUIREMENTS)}
    found["models"] = [
        {
            "name": "one",
            "source": "https://models.example/one",
            "url": "https://models.example/one",
            "sha256": "d" * 64,
            "size": 5,
            "paths": ["$MODELS_DIR/checkpoints/one.safetensors"],
            "optional": False,
        }
    ]
    return found


@dataclasses.dataclass
class Report:
    """The report of a lock, whose document tests may change first, with what was found on hosts."""

    document: Document
    looks: c.Sequence[Look] = ()

    def package(self, name: str) -> Document:
        """A package of the document."""
        found: Document = next(each for each in self.document["targets"]["gpu"]["packages"] if each["name"] == name)
        return found

    @property
    def sources(self) -> Sources:
        """What the forms are made of."""
        return sources_of(read_lock(self.document))

    @property
    def target(self) -> TargetSources:
        """Its target gpu."""
        return self.sources.targets["gpu"]

    @property
    def coverages(self) -> dict[str, Coverage]:
        """The coverage of each target."""
        return {name: coverage_of(each, self.looks) for name, each in self.sources.targets.items()}

    @property
    def faults(self) -> list[str]:
        """What is wrong, as it is told."""
        return [str(fault) for fault in self.coverages["gpu"].all_faults]

    def file(self, name: str, **options: t.Any) -> str:
        """The text of one of its files."""
        return render_files(self.sources, self.coverages, sbom=name.startswith("sbom"), **options)[name]


@pytest.fixture
def report() -> Report:
    """The report of the lock with packages of every source."""
    return Report(everything())
