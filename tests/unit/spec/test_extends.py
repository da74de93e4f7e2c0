# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Specs that extend another one: what is merged, and which file a message names."""

from __future__ import annotations

import itertools
import json
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.limits import MAX_EXTENDS

if t.TYPE_CHECKING:
    from tests.unit.spec.conftest import Document, Specs

HEX40 = "637221995f7424a561bd825de3e61ea117dfe1e3"
NODE = {"repo": "https://h.org/Node", "commit": HEX40}
BASE: Document = {
    "custom_nodes": [{"repo": "https://h.org/First"}, NODE],
    "models": [
        {"source": "hf://o/r/a.pt", "target_subdir": "loras", "checksum": f"sha256:{'ab' * 32}"},
        {"source": "hf://o/r/b.pt", "target_subdir": "loras"},
    ],
    "python_packages": ["onnx", "torch==2.8", "numpy ; python_version<'3.13'", "numpy>2 ; python_version>='3.13'"],
    "env": {"A": "base", "B": "base"},
    "options": {"offline": True},
}


def only(specs: Specs, content: Document) -> None:
    """Write a spec that says nothing but this."""
    specs.write_bytes("x", json.dumps({"schema_version": 3, "version_id": "x", "extends": "base", **content}).encode())


def test_everything_is_inherited(specs: Specs) -> None:
    specs.write("base", BASE)
    only(specs, {})
    inherited = specs.load().normalized
    assert inherited == {**specs.load("base").normalized, "version_id": "x"}


def test_objects_merge_and_values_replace(specs: Specs) -> None:
    specs.write("base", BASE)
    only(specs, {"env": {"B": "x", "C": "x"}, "options": {"skip_models": True}})
    normalized = specs.load().normalized
    assert normalized["env"] == {"A": "base", "B": "x", "C": "x"}
    assert normalized["options"] == {"offline": True, "skip_models": True}


def test_named_things_are_replaced_whole(specs: Specs) -> None:
    specs.write("base", BASE)
    only(
        specs,
        {
            "custom_nodes": [{"repo": "https://fork.org/node", "ref": "dev"}, {"repo": "https://h.org/Third"}],
            "models": [{"source": "hf://o/other/a.pt", "target_path": "$COMFY_HOME/models/loras/a.pt"}],
            "python_packages": ["Torch>=2.9", "numpy"],
        },
    )
    normalized = specs.load().normalized
    assert [(node["directory"], node["repo"], node["ref"], node["commit"]) for node in normalized["custom_nodes"]] == [
        ("First", "https://h.org/First", None, None),
        ("node", "https://fork.org/node", "dev", None),
        ("Third", "https://h.org/Third", None, None),
    ]
    assert [(model["source"], model["sha256"]) for model in normalized["models"]] == [
        ("hf://o/r@main/b.pt", None),
        ("hf://o/other@main/a.pt", None),
    ]
    assert [package["requirement"] for package in normalized["python_packages"]] == ["onnx", "Torch>=2.9", "numpy"]


@pytest.mark.parametrize(
    ("core", "expected"),
    [
        ({"repo": "https://h.org/c", "ref": "dev"}, {"repo": "https://h.org/c", "ref": "dev", "commit": None}),
        ({"repo": "https://h.org/c"}, {"repo": "https://h.org/c", "ref": "v1", "commit": HEX40}),
        ({"repo": "https://fork.org/c"}, {"repo": "https://fork.org/c", "ref": None, "commit": None}),
    ],
)
def test_ref_and_commit_belong_to_their_repository(specs: Specs, core: Document, expected: Document) -> None:
    specs.write("base", {"comfy": {"repo": "https://h.org/c", "ref": "v1", "commit": HEX40}})
    only(specs, {"comfy": core})
    assert specs.load().normalized["comfy"] == expected


def test_lists_by_name_inside_of_objects(specs: Specs) -> None:
    indexes = [
        {"name": name, "url": f"https://h.org/{name}", "packages": [package]}
        for name, package in [("a", "torch"), ("b", "numpy")]
    ]
    specs.write(
        "base",
        {
            "schema_version": 3,
            "python": {"indexes": indexes, "targets": {"cpu": {"accelerator": "cpu"}}, "overrides": ["numpy<2"]},
            "launch": {"args": ["--cpu"], "instances": [{"name": "one", "port": 8188}]},
        },
    )
    only(
        specs,
        {
            "python": {
                "indexes": [{"name": "a", "url": "https://other.org/a", "packages": ["torch", "torchvision"]}],
                "targets": {"cpu": {"version": "3.12"}, "gpu": {"accelerator": "cu130"}},
                "overrides": ["protobuf<6"],
            },
            "launch": {"args": ["--lowvram"], "instances": [{"name": "two", "port": 8189}]},
        },
    )
    normalized = specs.load().normalized
    assert [(index["name"], index["url"]) for index in normalized["python"]["indexes"]] == [
        ("b", "https://h.org/b"),
        ("a", "https://other.org/a"),
    ]
    assert normalized["python"]["targets"]["cpu"] == {
        "version": "3.12",
        "platform": None,
        "accelerator": "cpu",
        "match": {},
    }
    assert normalized["python"]["targets"]["gpu"]["accelerator"] == "cu130"
    assert normalized["python"]["overrides"] == ["protobuf<6"]
    assert normalized["launch"]["args"] == ["--lowvram"]
    assert [instance["name"] for instance in normalized["launch"]["instances"]] == ["one", "two"]


def test_findings_name_the_file_that_they_come_from(specs: Specs) -> None:
    specs.write(
        "grand",
        {
            "schema_version": 3,
            "models": [
                {"source": "hf://o/r/a.pt", "target_subdir": "loras"},
                {"source": "ftp://h/b.pt", "target_subdir": "loras"},
            ],
            "env": {"PATH": "x"},
        },
    )
    specs.write_bytes(
        "base",
        b"""{"schema_version": 3, "version_id": "base", "extends": "grand", "comfy": {"repo": "http://h.org/r"},
        "models": [{"source": "civitai://models/5", "target_path": "loras/c.pt"}],
        "env": {"HF_TOKEN": "hunter2"}, "custom_nodes": [{"repo": "https://h.org/n"}]}""",
    )
    only(
        specs,
        {
            "models": [{"source": "hf://o/r/a.pt", "target_subdir": "loras", "checksum": "md5:1"}],
            "custom_nodes": [{"repo": "ext::sh"}],
            "python_packages": ["-r x"],
        },
    )
    assert [(finding.file, finding.pointer, finding.severity) for finding in specs.findings()] == [
        ("versions/x.json", "/custom_nodes/0/repo", "error"),
        ("versions/x.json", "/models/0/checksum", "error"),
        ("versions/x.json", "/python_packages/0", "error"),
        ("versions/base.json", "/comfy/repo", "error"),
        ("versions/base.json", "/env/HF_TOKEN", "error"),
        ("versions/base.json", "/models/0/source", "warning"),
        ("versions/grand.json", "/env/PATH", "error"),
        ("versions/grand.json", "/models/1/source", "error"),
    ]


def test_misfits_of_all_files_arrive_at_once(specs: Specs) -> None:
    specs.write("base", {"modles": [], "env": {"A": 1}})
    only(specs, {"evn": {}, "models": {}})
    assert [(finding.file, finding.pointer) for finding in specs.findings()] == [
        ("versions/x.json", "/evn"),
        ("versions/x.json", "/models"),
        ("versions/base.json", "/env/A"),
        ("versions/base.json", "/modles"),
    ]


def test_a_base_that_cannot_be_read(specs: Specs) -> None:
    specs.write_bytes("base", b'{"a": NaN}')
    only(specs, {"nothing": 1})
    assert [(finding.file, finding.pointer) for finding in specs.findings()] == [
        ("versions/x.json", "/nothing"),
        ("versions/base.json", "/a"),
    ]


def test_together_they_may_be_too_much(specs: Specs) -> None:
    nodes = [{"repo": f"https://h.org/{number}"} for number in range(300)]
    specs.write("base", {"custom_nodes": nodes})
    only(specs, {"custom_nodes": [{"repo": f"https://h.org/x{number}"} for number in range(300)]})
    (found,) = specs.findings()
    assert (found.pointer, found.reason) == ("/custom_nodes", "has 600 items, more than 512")


@pytest.mark.parametrize(
    ("chain", "file", "reason"),
    [
        (["x"], "x", "goes in a circle: x extends x"),
        (["a", "b", "x"], "b", "goes in a circle: x extends a extends b extends x"),
        (["a", "b", "a"], "b", "goes in a circle: a extends b extends a"),
        (["wan"], "x", "there is no spec 'wan' in the same directory"),
    ],
)
def test_extends_that_leads_nowhere(specs: Specs, chain: list[str], file: str, reason: str) -> None:
    for name, base in {"x": chain[0], **dict(itertools.pairwise(chain))}.items():
        specs.write(name, {"schema_version": 3, "extends": base})
    (found,) = specs.findings()
    assert (found.file, found.pointer, found.reason) == (f"versions/{file}.json", "/extends", reason)


def test_a_chain_has_an_end(specs: Specs) -> None:
    names = ["x", *(f"b{number}" for number in range(MAX_EXTENDS))]
    for name, base in itertools.pairwise(names):
        specs.write(name, {"schema_version": 3, "extends": base})
    specs.write(names[-1], {"schema_version": 3})
    (found,) = specs.findings()
    assert found.reason == f"makes a chain of more than {MAX_EXTENDS} specs"
    specs.write(names[-2], {"schema_version": 3})
    assert specs.findings() == []


@pytest.mark.parametrize("base", ["../base", "base.json", "", "/etc/passwd"])
def test_extends_names_a_version(specs: Specs, base: str) -> None:
    specs.write("base", {})
    specs.write("x", {"schema_version": 3, "extends": base})
    (found,) = specs.findings()
    assert found.pointer == "/extends"
