# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spec files as bytes: encodings, the limits, and what JSON leaves open."""

from __future__ import annotations

import json
import os
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import limits
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import SpecInvalid, VersionUnknown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import known_versions, load
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.read import read

if t.TYPE_CHECKING:
    import pathlib

    from tests.unit.spec.conftest import Specs

GOOD = '{"schema_version": 2, "version_id": "x", "comfy": {"repo": "https://h.org/r"}%s}'


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


FAULTS = {
    "empty": (b"", "", "line 1, column 1: no JSON"),
    "cut off": (b'{\n  "a": 1,\n', "", "line 3, column 1: no JSON"),
    "comma missing": (b'{"a": [1 2]}', "", "line 1, column 10: no JSON"),
    "utf-16": ("\ufeff{}".encode("utf-16-le"), "", "is not UTF-8: byte 1 is 0xff"),
    "latin-1": ('{"a": "\xe9"}'.encode("latin-1"), "", "is not UTF-8: byte 8 is 0xe9"),
    "line break in text": (b'{"a": "b\nc"}', "", "line 1, column 9: no JSON"),
    "too large": (b'"' + b"x" * limits.MAX_FILE_BYTES + b'"', "", f"has more than {limits.MAX_FILE_BYTES} bytes"),
    "too many values": (json.dumps([0] * limits.MAX_VALUES).encode(), "", f"more than {limits.MAX_VALUES} values"),
    "too deep": (nested(limits.MAX_DEPTH + 1).encode(), "/0" * limits.MAX_DEPTH, "objects and lists inside each other"),
    "deeper than Python": (nested(200_000).encode(), "", "objects and lists inside each other"),
    "long text": (json.dumps(["x" * (limits.MAX_TEXT + 1)]).encode(), "/0", f"more than {limits.MAX_TEXT}"),
    "key twice": (b'{"a": {"b": 1, "b": 2}}', "/a", "key 'b' is there 2 times"),
    "nan": (b'{"a": [1, NaN]}', "/a/1", "'NaN' is no number"),
    "infinity": (b'{"a": -Infinity}', "/a", "'-Infinity' is no number"),
    "overflow": (b'{"a": 1e999}', "/a", "'1e999' is no number"),
    "huge integer": (b'{"a": ' + b"9" * 5000 + b"}", "/a", "is no number that can be kept"),
    "nul": (b'{"launch": {"args": ["a\\u0000b"]}}', "/launch/args/0", "control character U+0000"),
    "escape": (b'{"a": "\\u001b[2J"}', "/a", "control character U+001B"),
    "line break": (b'{"version_id": "x\\n"}', "/version_id", "control character U+000A"),
    "control character in key": (b'{"a\\u0007": 1}', "", "a key has the control character U+0007"),
    "surrogate": (b'{"a": "\\ud800"}', "/a", "half a surrogate pair"),
    "pointer": (b'{"a/b~c": "\\u0000"}', "/a~1b~0c", "control character"),
}


@pytest.mark.parametrize(("content", "pointer", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_file_that_is_no_spec(specs: Specs, content: bytes, pointer: str, reason: str) -> None:
    specs.write_bytes("x", content)
    (found,) = specs.findings()
    assert found.severity == "error"
    assert found.pointer == pointer
    assert reason in found.reason
    assert found.text.startswith("versions/x.json: ")
    assert "\n" not in found.text


def test_all_faults_of_the_json_arrive_at_once(specs: Specs) -> None:
    specs.write_bytes("x", b'{"a": NaN, "b": {"c": 1, "c": 2}, "d": "\\u0000", "b": 1}')
    assert [finding.pointer for finding in specs.findings()] == ["", "/a", "/b", "/d"]


@pytest.mark.parametrize("document", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_a_document_that_is_no_object(specs: Specs, document: bytes) -> None:
    specs.write_bytes("x", document)
    (found,) = specs.findings()
    assert found.pointer == ""
    assert "not an object" in found.reason


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_utf_8_with_and_without_a_mark(specs: Specs, mark: bytes) -> None:
    extra = ', "models": [{"source": "hf://o/r/f.pt", "name": "\u6a21\u578b.pt", "target_subdir": "loras"}]'
    specs.write_bytes("x", mark + (GOOD % extra).encode())
    assert specs.load().normalized["models"][0]["paths"] == ["$MODELS_DIR/loras/\u6a21\u578b.pt"]


def test_the_deepest_and_longest_that_are_possible(specs: Specs) -> None:
    specs.write_bytes("x", nested(limits.MAX_DEPTH).encode())
    assert [finding.pointer for finding in specs.findings()] == [""]
    specs.write("x", {"env": {"A": "x" * limits.MAX_TEXT}})
    assert len(specs.load().normalized["env"]["A"]) == limits.MAX_TEXT


def test_only_files_are_specs(specs: Specs) -> None:
    os.mkfifo(specs.directory / "pipe.json")
    (specs.directory / "circle.json").symlink_to("circle.json")
    (specs.directory / "folder.json").mkdir()
    specs.write("real", {"version_id": "link"})
    (specs.directory / "link.json").symlink_to("real.json")
    assert known_versions(specs.directory) == ["link", "real"]
    assert specs.load("link").version_id == "link"


def test_a_spec_that_cannot_be_read(specs: Specs) -> None:
    with pytest.raises(SpecInvalid) as caught:
        read(specs.directory / "x.json")
    assert str(caught.value) == (
        "versions/x.json: cannot be read: No such file or directory. Make it readable for the user who runs this."
    )


def test_files_elsewhere_are_named_in_full(specs: Specs, monkeypatch: pytest.MonkeyPatch) -> None:
    specs.write("x", {"nothing": 1})
    monkeypatch.chdir("/")
    monkeypatch.chdir(specs.directory.parent.parent)
    assert specs.findings()[0].file == f"{specs.directory.parent.name}/versions/x.json"
    (specs.directory / "other").mkdir()
    monkeypatch.chdir(specs.directory / "other")
    assert specs.findings()[0].file == str(specs.directory / "x.json")


def test_known_versions(specs: Specs) -> None:
    for name in ["b", "a", "c.lock", ".hidden"]:
        specs.write(name, {})
    (specs.directory / "notes.txt").touch()
    assert known_versions(specs.directory) == ["a", "b"]
    assert known_versions(specs.directory / "none") == []


def test_an_unknown_version_names_the_nearest_first(specs: Specs) -> None:
    for name in ["demo", "wan22-fast", "wan21", "comfyui-cpu"]:
        specs.write(name, {})
    with pytest.raises(VersionUnknown) as caught:
        specs.load("wan22_fast")
    assert caught.value.known[:2] == ["wan22-fast", "wan21"]
    assert sorted(caught.value.known) == known_versions(specs.directory)
    assert str(caught.value).startswith("versions: there is no version 'wan22_fast'. The versions there: wan22-fast,")


@pytest.mark.parametrize("version", ["", ".", "..", "../x", "/etc/passwd", "x.lock", "x\0", "a\nb"])
def test_a_version_that_is_no_name_is_unknown(specs: Specs, version: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    specs.write("x.lock", {})
    with pytest.raises(VersionUnknown) as caught:
        load(specs.directory, version)
    assert "no spec at all" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_version_is_not_one_without_a_name(specs: Specs) -> None:
    specs.write("demo", {})
    with pytest.raises(VersionUnknown, match=r"versions: no version is named\. .* there: demo\. .* -e version=<id>"):
        specs.load("")
