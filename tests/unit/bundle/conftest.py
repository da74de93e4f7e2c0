# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control node with a lock of everything that bundles have, and a forge that gives it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.read import Bundle, open_bundle, verify
from tests.support import locks
from tests.support.forge import Forge
from tests.unit.bundle.writing import bundle_path, write_bundle

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# An ELF file for x86-64, as far as anybody looks.
UV = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + b"uv" * 1000


@dataclasses.dataclass
class Library:
    """Writes the lock's bundle into ``directory``."""

    directory: pathlib.Path
    forge: Forge

    def __post_init__(self) -> None:
        (self.directory / "versions").mkdir(parents=True)
        (self.directory / "uv").write_bytes(UV)
        index = self.forge.index("pypi")
        (self.directory / "indexes.json").write_text(json.dumps({"pypi": index.url}))
        self.core, self.node = self.forge.repository("comfy/core"), self.forge.repository("people/palette")
        own = self.directory / "inhouse-2.0-py3-none-any.whl"
        own.write_bytes(self.forge.index("elsewhere").wheel("inhouse", "2.0").content.data)
        released = self.forge.index("elsewhere").wheel("kernels", "1.0")
        colours = index.wheel("colours", "2.0", modules={"colours.py": "RED = 1\n"})
        own_sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
        wheel, file = "kernels-1.0-py3-none-any.whl", "colours-2.0-py3-none-any.whl"
        self.packages = [
            locks.package("colours", "2.0", file, colours.sha256),
            locks.package("kernels", "1.0", wheel, released.sha256, source="wheel", index=None, url=released.url),
            locks.package("inhouse", "2.0", own.name, own_sha256, source="file", index=None, url=own.as_uri()),
        ]
        self.models = [self.model("one", size=300_000), self.model("two", size=300_000)]
        self.commits = [self.core.commit({"main.py": ""}), self.node.commit({"__init__.py": ""})]
        self.write_lock()

    def model(self, name: str, *, optional: bool = False, **details: t.Any) -> locks.Document:
        """A model of the forge, as the lock has it."""
        made = self.forge.model(f"{name}.safetensors", **details)
        facts = {"url": made.url, "source": made.url, "sha256": made.sha256, "size": made.size}
        return {"name": name, "paths": [f"$MODELS_DIR/loras/{name}.safetensors"], "optional": optional, **facts}

    def write_lock(self) -> None:
        """As its parts are now."""
        document = locks.lock(
            locks.checkout(self.core.url, self.commits[0]),
            [locks.node("palette", self.node.url, self.commits[1])],
            targets={"default": locks.target(self.packages)},
            models=self.models,
        )
        (self.directory / "versions" / "test.lock.json").write_text(canonical(document))

    def write(self, form: str = "directory") -> list[str]:
        """Write the bundle; what has been asked of the forge is forgotten before."""
        self.forge.forget_requests()
        return write_bundle(self.directory, form, lambda _line: None)

    def path(self, form: str = "directory") -> pathlib.Path:
        """The bundle."""
        return bundle_path(self.directory, form)

    def read(self, form: str = "directory", deep: bool = False) -> Bundle:
        """Read the bundle through."""
        bundle = open_bundle(self.path(form))
        verify(bundle, self.directory / "cache", deep, lambda _line: None)
        return bundle

    @property
    def asked(self) -> list[str]:
        """The files that the forge gave."""
        return [each.path for each in self.forge.requests if "/simple/" not in each.path]


@pytest.fixture
def library(tmp_path: pathlib.Path) -> Iterator[Library]:
    """A lock, and no bundle yet."""
    with Forge(tmp_path / "forge") as forge:
        yield Library(tmp_path / "control", forge)
