# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workflows on the control node: which is meant, and what is none."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.comfyops.fleet.plugins.action.comfy_smoke import lines, read_workflow, workflow_options
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

WORKFLOW = {"1": {"class_type": "EmptyImage", "inputs": {}}}


def test_the_specs_own_is_beside_it_and_another_may_be_given(tmp_path: pathlib.Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps(WORKFLOW))
    lock = {"spec": {"smoke": {"workflow": "own.json"}}}
    assert workflow_options(None, lock, tmp_path) == {"workflow": "own.json", "prompt": WORKFLOW}
    (tmp_path / "other.json").write_text(json.dumps({"2": WORKFLOW["1"]}))
    other = str(tmp_path / "other.json")
    assert workflow_options(other, lock, tmp_path) == {"workflow": other, "prompt": {"2": WORKFLOW["1"]}}
    assert workflow_options(None, {"spec": {"smoke": {"workflow": None}}}, tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ('{"nodes": [], "links": []}', r"as ComfyUI's editor saves it.*Export \(API\)"),
        ('{"1": {"inputs": {}}}', "is no workflow in API format"),
        ("[]", "is no workflow in API format"),
        ("{}", "is no workflow in API format"),
    ],
)
def test_what_is_no_workflow(text: str, words: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(FleetError, match=words):
        read_workflow(tmp_path / "w.json")


def test_one_that_is_not_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FleetError, match=r"none.json: can not be read \(No such file.*relative to the spec"):
        read_workflow(tmp_path / "none.json")


def test_what_is_shown_at_the_end() -> None:
    model = {"source": "https://h.example/x.pth", "target_path": "$MODELS_DIR/x.pth"}
    done = {
        "build": "demo-1",
        "comfyui_version": "0.9.0",
        "start_seconds": 6.2,
        "node_classes": 496,
        "workflow": {"name": "w.json", "seconds": 0.3, "outputs": ["a.png"]},
        "log": "/r/log",
        "notes": ["this"],
        "models": [model],
        "appeared": [
            {"path": "/x", "size": 5, "sha256": "ab", "hint": None, "model": model},
            {"path": "/y", "size": 5, "sha256": "cd", "hint": "Not known", "model": {"target_path": "$MODELS_DIR/y"}},
        ],
    }
    assert lines("one", done) == [
        "one: smoke: demo-1 (ComfyUI 0.9.0) started in 6.2 s, 496 node classes, w.json ran in 0.3 s; log /r/log",
        "  note: this",
        "  left a.png",
        "one: smoke: fetched by the nodes themselves; as models of the spec:",
        '  {"source": "https://h.example/x.pth", "target_path": "$MODELS_DIR/x.pth"},',
        "  /y (5 B, sha256:cd): Not known",
        '    {"target_path": "$MODELS_DIR/y"}',
    ]
    assert "did not start" in lines("one", {**done, "start_seconds": None})[0]
