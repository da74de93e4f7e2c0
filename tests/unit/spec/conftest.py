# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of specs, and what loading one of them says."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Finding, SpecInvalid
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import load
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.spec import Spec

Document = dict[str, t.Any]

CORE = {"repo": "https://github.com/comfyanonymous/ComfyUI", "ref": "master"}


class Specs:
    """Writes specs into a directory of their own, which is the working directory's ``versions``."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory

    def write(self, version: str, content: Document) -> pathlib.Path:
        """Write a spec; schema_version, version_id and comfy are filled in where the content has none."""
        defaults = {"schema_version": 2, "version_id": version, "comfy": CORE}
        return self.write_bytes(version, json.dumps({**defaults, **content}).encode())

    def write_bytes(self, version: str, content: bytes) -> pathlib.Path:
        """Write a file as it is."""
        path = self.directory / f"{version}.json"
        path.write_bytes(content)
        return path

    def load(self, version: str = "x") -> Spec:
        """Load a spec that is fine."""
        return load(self.directory, version)

    def findings(self, version: str = "x") -> list[Finding]:
        """Load a spec and give what was found, whether it may be used or not."""
        try:
            return self.load(version).warnings
        except SpecInvalid as error:
            return error.findings

    def normalized(self, content: Document, version: str = "x") -> Document:
        """Write a spec, load it and give its strict meaning."""
        self.write(version, content)
        return self.load(version).normalized


@pytest.fixture
def specs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Specs:
    """An empty directory of specs below the working directory."""
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "versions"
    directory.mkdir()
    return Specs(directory)
