# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which URL a file came from, of what was recorded; and which node failed, of what was printed. Plain data."""

from __future__ import annotations

import json

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.appeared import hub_file, is_model
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.nodes import (
    read_log,
    unusable_classes,
    with_classes,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.origins import (
    Event,
    Origin,
    origin_of,
    read_events,
    without_secrets,
    written_paths,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.workflow import execution_faults, outputs, refusals

ONE, TWO = (1, 10), (1, 20)
PAGE = "https://site.example/models/x.pth"
SIGNED = "https://cdn.example/9c2f?X-Amz-Signature=abc"


def events(*lines: tuple[str, tuple[int, int], str] | tuple[str, tuple[int, int], str, str]) -> list[Event]:
    return [Event(what, thread, tuple(values)) for what, thread, *values in lines]


def test_a_name_is_followed_through_moves_and_redirects() -> None:
    seen = events(
        ("get", ONE, PAGE),
        ("get", ONE, SIGNED),
        ("write", ONE, "/c/x.pth.12ab.partial"),
        ("move", ONE, "/c/x.pth.12ab.partial", "/c/x.pth"),
    )
    assert origin_of("/c/x.pth", seen) == Origin(PAGE, "name", False)
    assert written_paths(seen) == ["/c/x.pth.12ab.partial", "/c/x.pth"]


def test_of_hops_the_first_counts() -> None:
    seen = events(("get", ONE, "https://site.example/download/5"), ("get", ONE, SIGNED), ("write", ONE, "/m/own.pth"))
    assert origin_of("/m/own.pth", seen) == Origin("https://site.example/download/5", "order", False)


def test_a_file_that_was_open_and_empty_when_it_was_asked_for() -> None:
    url = "https://site.example/5"
    seen = events(("write", ONE, "/m/own.pth"), ("get", ONE, url), ("into", ONE, url, "/m/own.pth"))
    assert origin_of("/m/own.pth", seen) == Origin(url, "order", False)
    more = events(("into", ONE, "https://site.example/6", "/m/own.pth"))
    assert origin_of("/m/own.pth", seen + more) is None


@pytest.mark.parametrize(
    "before",
    [
        [("get", TWO, "https://site.example/5")],
        [("get", ONE, "https://site.example/api"), ("get", ONE, "https://site.example/5")],
        [("get", ONE, "https://site.example/5"), ("write", ONE, "/m/other.pth")],
        [("get", ONE, "https://site.example/all.zip")],
        [],
    ],
    ids=["another thread", "which of two", "something between", "an archive", "nothing asked"],
)
def test_what_is_not_known_is_not_invented(before: list[tuple[str, tuple[int, int], str]]) -> None:
    assert origin_of("/m/own.pth", events(*before, ("write", ONE, "/m/own.pth"))) is None


def test_lines_that_a_kill_has_cut_are_left_out() -> None:
    line = json.dumps(["get", 1, 10, PAGE])
    assert read_events(f"{line}\n{line[:20]}") == [Event("get", ONE, (PAGE,))]


def test_secrets_are_left_out_of_urls() -> None:
    url = "https://me:pw@civitai.example/api/download/models/5?type=Model&token=abc&X-Amz-Signature=d#f"
    assert without_secrets(url) == "https://civitai.example/api/download/models/5?type=Model"


def test_what_is_a_model() -> None:
    assert is_model("/c/X.SAFETENSORS", 10)
    assert is_model("/c/any.dat", 1_000_000)
    assert not any((is_model("/c/small.json", 10), is_model("/c/x.pth.partial", 10**9), is_model("/c/x.pth", 0)))


def test_the_hubs_layout() -> None:
    path = f"/h/hub/datasets--org--a--b/snapshots/{'a' * 40}/sub/x.bin"
    found = hub_file(path)
    assert found is not None
    assert (found.kind, found.repo, found.path, found.revision) == ("datasets", "org/a--b", "sub/x.bin", None)
    assert hub_file("/h/hub/models--org--a/blobs/ab") is None


def test_the_log_of_a_real_start() -> None:
    log = """Traceback (most recent call last):
  File "/c/nodes.py", line 2133, in load_custom_node
    module_spec.loader.exec_module(module)
  File "<frozen importlib._bootstrap_external>", line 940, in exec_module
  File "/c/custom_nodes/RES4LYF/__init__.py", line 3, in <module>
    from comfy.nested_tensor import NestedTensor
ModuleNotFoundError: No module named 'comfy.nested_tensor'

Cannot import /c/custom_nodes/RES4LYF module for custom nodes: No module named 'comfy.nested_tensor'
Failed to execute startup-script: /c/custom_nodes/early/prestartup_script.py / boom

Import times for custom nodes:
   0.0 seconds: /c/custom_nodes/ComfyUI-GGUF
   0.3 seconds (IMPORT FAILED): /c/custom_nodes/RES4LYF
   0.3 seconds (IMPORT FAILED): /c/custom_nodes/silent
"""
    loaded = read_log(log)
    assert loaded.ok == {"ComfyUI-GGUF"}
    assert set(loaded.failed) == {"RES4LYF", "early", "silent"}
    assert loaded.failed["RES4LYF"].endswith("No module named 'comfy.nested_tensor'")
    assert "frozen" not in loaded.failed["RES4LYF"]
    info = {"A": {"python_module": "custom_nodes.own"}, "B": {"python_module": "nodes"}, "C": {}}
    assert with_classes(info) == {"own"}


def test_classes_that_can_not_be_described() -> None:
    log = """[ERROR] An error occurred while retrieving information for the 'Random' node.
Traceback (most recent call last):
  File "/c/server.py", line 633, in get_object_info
    out[x] = node_info(x)
TypeError: MatchType.Output.__init__() missing 1 required positional argument: 'id'

[ERROR] An error occurred while retrieving information for the 'Other' node.
"""
    error = "TypeError: MatchType.Output.__init__() missing 1 required positional argument: 'id'"
    assert unusable_classes(log) == {"Random": error, "Other": ""}


def test_refusals_and_failures_of_a_workflow() -> None:
    refused = {"error": {"message": "Prompt has no outputs", "details": ""}, "node_errors": {}}
    [fault] = refusals("w.json", {}, 400, refused)
    assert "workflow w.json: is refused: Prompt has no outputs" in str(fault)
    error = {"type": "value_not_in_list", "message": "not there"}
    partly = {"prompt_id": "p", "node_errors": {"3": {"errors": [error]}}}
    [fault] = refusals("w.json", {"3": {"class_type": "VAELoader"}}, 200, partly)
    assert "VAELoader (node 3) is refused: not there" in str(fault)
    assert "Add the model or file that it names to the spec" in str(fault)
    assert refusals("w.json", {}, 200, {"prompt_id": "p", "node_errors": {}}) == []
    interrupted = {"status": {"status_str": "error", "completed": False, "messages": [["execution_interrupted", {}]]}}
    assert "was interrupted" in str(execution_faults("w.json", interrupted)[0])
    assert execution_faults("w.json", {"outputs": {}, "status": None}) == []
    entry = {"outputs": {"4": {"images": [{"filename": "a.png", "subfolder": "s"}], "text": ["x"], "animated": [True]}}}
    assert outputs(entry) == ["s/a.png"]
