# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/spec.md: complete, and with examples that load."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import limits
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.schema import schema

if t.TYPE_CHECKING:
    from tests.unit.spec.conftest import Specs

PAGE = (pathlib.Path(__file__).resolve().parents[3] / "docs" / "spec.md").read_text(encoding="utf-8")


def test_every_key_is_documented() -> None:
    text = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    quoted = set(re.findall(r"[\w$]+", " ".join(re.findall(r"`([^`]+)`", text))))
    keys = {key for definition in schema()["$defs"].values() for key in definition.get("properties", {})}
    assert keys - quoted == set()


def test_the_examples_load(specs: Specs) -> None:
    for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        document = json.loads(block)
        specs.write_bytes(document["version_id"], block.encode())
        assert specs.load(document["version_id"]).warnings == []


def test_the_limits_are_those_of_the_code() -> None:
    section = PAGE.partition("## Limits")[2].replace(",", "")
    for limit in (
        limits.MAX_VALUES,
        limits.MAX_DEPTH,
        limits.MAX_TEXT,
        limits.MAX_URL,
        limits.MAX_PATH,
        limits.MAX_SEGMENT_BYTES,
        limits.MAX_CUSTOM_NODES,
        limits.MAX_MODELS,
        limits.MAX_PYTHON_PACKAGES,
        limits.MAX_ENV,
        limits.MAX_TARGETS,
        limits.MAX_INDEXES,
        limits.MAX_INSTANCES,
    ):
        assert re.search(rf"\b{limit}\b", section), limit
    assert limits.MAX_FILE_BYTES == 1024**2
    assert f"at most {limits.MAX_EXTENDS} specs" in PAGE
