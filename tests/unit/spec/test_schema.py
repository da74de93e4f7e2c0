# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema: valid, usable in an editor, and with errors about the field."""

from __future__ import annotations

import collections.abc as c
import sys
import typing as t

import jsonschema
import pytest

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import limits
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.schema import LibraryMissing, schema, validator

if t.TYPE_CHECKING:
    from tests.unit.spec.conftest import Document, Specs

DEFINITIONS: Document = schema()["$defs"]


def subschemas(value: object, path: str = "#") -> c.Iterator[tuple[str, Document]]:
    """Every object of the schema that is a schema, with its JSON pointer."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from subschemas(item, f"{path}/{index}")
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            if key not in {"examples", "enum", "const", "default"}:
                yield from subschemas(item, f"{path}/{key}")


EXAMPLES = [
    pytest.param(path, example, id=f"{path}-{number}")
    for path, subschema in subschemas(schema())
    if isinstance(subschema.get("examples"), list)
    for number, example in enumerate(subschema["examples"])
]


def test_the_schema_is_valid_and_fit_for_an_editor() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$id"]
    for name in ("version2", "version3", "comfy", "node2", "node3", "model2", "model3", "python", "target", "index"):
        for key, value in DEFINITIONS[name]["properties"].items():
            target = (
                DEFINITIONS[value["$ref"].rpartition("/")[2]] if isinstance(value, dict) and "$ref" in value else value
            )
            assert key == "schema_version" or target.get("title") or value.get("title"), f"{name}.{key} has no title"


def test_unions_have_a_message_of_their_own() -> None:
    for path, subschema in subschemas(schema()):
        assert "oneOf" not in subschema, path
        assert "anyOf" not in subschema or "errorMessage" in subschema, path


@pytest.mark.parametrize(("path", "example"), EXAMPLES)
def test_each_example_fits(path: str, example: object) -> None:
    local = {"$ref": path, "$defs": DEFINITIONS}
    steps = path.removeprefix("#").split("/")[1:]
    if not steps or steps[0] != "$defs":
        local = dict(schema())
    jsonschema.Draft202012Validator(local).validate(example)


def test_the_examples_of_whole_specs_load(specs: Specs) -> None:
    for example in schema()["examples"]:
        specs.write(example["version_id"], example)
        assert specs.load(example["version_id"]).warnings == []


@pytest.mark.parametrize(
    ("names", "keyword", "limit"),
    [
        (("nodes2", "nodes3"), "maxItems", limits.MAX_CUSTOM_NODES),
        (("models2", "models3"), "maxItems", limits.MAX_MODELS),
        (("packages2", "packages3"), "maxItems", limits.MAX_PYTHON_PACKAGES),
        (("env",), "maxProperties", limits.MAX_ENV),
        (("repo", "source"), "maxLength", limits.MAX_URL),
        (("targetPath", "targetSubdir", "nodeDirectory"), "maxLength", limits.MAX_PATH),
    ],
)
def test_schema_and_code_have_the_same_limits(names: tuple[str, ...], keyword: str, limit: int) -> None:
    assert {DEFINITIONS[name][keyword] for name in names} == {limit}
    assert DEFINITIONS["python"]["properties"]["targets"]["maxProperties"] == limits.MAX_TARGETS
    assert DEFINITIONS["python"]["properties"]["indexes"]["maxItems"] == limits.MAX_INDEXES
    assert DEFINITIONS["launch"]["properties"]["instances"]["maxItems"] == limits.MAX_INSTANCES
    assert DEFINITIONS["env"]["additionalProperties"]["maxLength"] == limits.MAX_TEXT


NODE = {"repo": "https://h.org/r"}
MODEL = {"source": "hf://o/r/f.pt", "target_subdir": "loras"}

# Each: the spec, the pointer, the whole reason, a part of the remedy.
MISFITS: dict[str, tuple[Document, str, str, str]] = {
    "unknown key": (
        {"models": [{**MODEL, "chekcsum": "x"}]},
        "/models/0/chekcsum",
        "unknown key 'chekcsum'; did you mean 'checksum'?",
        "source, name, target_subdir, target_path, path, checksum",
    ),
    "unknown key of another case": (
        {"Models": []},
        "/Models",
        "unknown key 'Models'; did you mean 'models'?",
        "models",
    ),
    "unknown key like nothing": (
        {"zzz": 1},
        "/zzz",
        "unknown key 'zzz'",
        "The keys known here are schema_version, version_id, comfy",
    ),
    "unknown key in an object": (
        {"options": {"off-line": True}},
        "/options/off-line",
        "unknown key 'off-line'; did you mean 'offline'?",
        "offline, skip_models",
    ),
    "key of schema 3": ({"python": {}}, "/python", "key 'python' needs schema_version 3", "Set schema_version to 3"),
    "node key of schema 3": (
        {"custom_nodes": [{**NODE, "submodules": False}]},
        "/custom_nodes/0/submodules",
        "key 'submodules' needs schema_version 3",
        "Set schema_version to 3",
    ),
    "model key of schema 3": (
        {"models": [{**MODEL, "size": 5}]},
        "/models/0/size",
        "key 'size' needs schema_version 3",
        "Set schema_version to 3",
    ),
    "package of schema 3": (
        {"python_packages": [{"requirement": "x"}]},
        "/python_packages/0",
        "is an object, not a text",
        'such as "sageattention"',
    ),
    "no schema_version": ({"schema_version": None}, "/schema_version", "is null", "Write one of 2, 3"),
    "text as schema_version": ({"schema_version": "2"}, "/schema_version", "is '2'", "Write one of 2, 3"),
    "newer schema_version": ({"schema_version": 4}, "/schema_version", "is 4", "Write one of 2, 3"),
    "bad id": ({"version_id": ".x"}, "/version_id", "'.x' is not the file's name, 'x'", "Write 'x'"),
    "no repo": ({"comfy": {}}, "/comfy", "key 'repo' is missing", '"https://github.com/comfyanonymous/ComfyUI"'),
    "core as text": ({"comfy": "https://h.org/r"}, "/comfy", "is 'https://h.org/r', not an object", "Write an object"),
    "no source": ({"models": [{}]}, "/models/0", "key 'source' is missing", "Add 'source', such as"),
    "models as object": ({"models": {}}, "/models", "is an object, not a list", "Write a list"),
    "flag as text": (
        {"options": {"offline": "yes"}},
        "/options/offline",
        "is 'yes', not true or false",
        "Write true or false",
    ),
    "number in env": ({"env": {"A": 5}}, "/env/A", "is 5, not a text", 'Put it in quotes: "5"'),
    "flag in env": ({"env": {"A": True}}, "/env/A", "is true, not a text", 'Put it in quotes: "true"'),
    "empty repo": ({"comfy": {"repo": ""}}, "/comfy/repo", "is empty", "Fill it"),
    "too many nodes": (
        {"custom_nodes": [{"repo": f"https://h.org/{number}"} for number in range(limits.MAX_CUSTOM_NODES + 1)]},
        "/custom_nodes",
        "has 513 items, more than 512",
        "Keep it at 512",
    ),
    "long url": (
        {"comfy": {"repo": f"https://h.org/{'x' * limits.MAX_URL}"}},
        "/comfy/repo",
        f"has {limits.MAX_URL + 14} characters, more than {limits.MAX_URL}",
        "Keep it at",
    ),
    "no targets": (
        {"schema_version": 3, "python": {"targets": {}}},
        "/python/targets",
        "is empty",
        "or take the key out",
    ),
    "target's name": (
        {"schema_version": 3, "python": {"targets": {"a b": {}}}},
        "/python/targets/a b",
        "'a b' is no name of a target",
        "letters, digits",
    ),
    "size of nothing": (
        {"schema_version": 3, "models": [{**MODEL, "size": 0}]},
        "/models/0/size",
        "is 0, less than 1",
        "at least 1",
    ),
    "port": (
        {"schema_version": 3, "launch": {"instances": [{"name": "a", "port": 70000}]}},
        "/launch/instances/0/port",
        "is 70000, more than 65535",
        "at most 65535",
    ),
    "resolution": (
        {"schema_version": 3, "python": {"resolution": "loose"}},
        "/python/resolution",
        "is 'loose'",
        '"strict", "layered"',
    ),
    "package of nothing": (
        {"schema_version": 3, "python_packages": [{"name": "x"}]},
        "/python_packages/0",
        "names no package: it has neither 'requirement' nor 'url' nor 'git'",
        "Add 'requirement' or 'url' or 'git'",
    ),
    "wheel key": (
        {
            "schema_version": 3,
            "python_packages": [
                {"name": "a", "url": "https://h.org/a-1-py3-none-any.whl", "sha256": "ab" * 32, "sha": "x"}
            ],
        },
        "/python_packages/0/sha",
        "unknown key 'sha'; did you mean 'sha256'?",
        "name, url, sha256",
    ),
    "apt": (
        {"schema_version": 3, "system": {"apt": ["ffmpeg; reboot"]}},
        "/system/apt/0",
        "'ffmpeg; reboot' is no name of a Debian package",
        "Correct it",
    ),
}


@pytest.mark.parametrize(("content", "pointer", "reason", "remedy"), MISFITS.values(), ids=MISFITS)
def test_a_misfit_is_about_the_field(specs: Specs, content: Document, pointer: str, reason: str, remedy: str) -> None:
    specs.write("x", {"env": {"9": "other fault"}, **content})
    other = [] if "env" in content else ["/env/9"]
    findings = specs.findings()
    assert sorted(finding.pointer for finding in findings) == sorted([pointer, *other])
    found = next(finding for finding in findings if finding.pointer == pointer)
    assert found.reason == reason
    assert remedy in found.remedy
    assert "is not valid under any" not in found.text


def test_everything_that_is_missing_is_named(specs: Specs) -> None:
    specs.write_bytes("x", b"{}")
    assert {finding.reason for finding in specs.findings()} == {
        "key 'schema_version' is missing",
        "key 'version_id' is missing",
        "key 'comfy' is missing",
    }
    specs.write("x", {"schema_version": 3, "python_packages": [{"url": "https://h.org/a.whl"}]})
    assert [finding.reason for finding in specs.findings()] == ["key 'name' is missing", "key 'sha256' is missing"]


def test_a_control_node_without_jsonschema_is_told_so(specs: Specs, monkeypatch: pytest.MonkeyPatch) -> None:
    specs.write("x", {})
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    validator.cache_clear()
    with pytest.raises(LibraryMissing, match=r"jsonschema is not there for .*Install it for that Python, or run 'make"):
        specs.load()


def test_absent_and_null_are_the_same_for_optional_texts(specs: Specs) -> None:
    keys = ["name", "ref", "commit", "target_dir"]
    with_nulls = {
        "custom_nodes": [{**NODE, **dict.fromkeys(keys)}],
        "models": [{**MODEL, "checksum": None, "path": None}],
    }
    without = {"custom_nodes": [NODE], "models": [MODEL]}
    assert specs.normalized(with_nulls) == specs.normalized(without)
