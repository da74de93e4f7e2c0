# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""comfy_models as Ansible calls it: check mode tells the truth, and the second run changes nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import threading
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.comfyops.fleet.plugins.module_utils.models import apply as apply_models
from ansible_collections.comfyops.fleet.plugins.module_utils.models import progress
from ansible_collections.comfyops.fleet.plugins.modules import comfy_models
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.progress_lines import repeated
from tests.unit.models.conftest import Host

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support import locks

Module = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def module(host: Host, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, t.Any]]:
    """Runs the module with models and further arguments; gives what it answers."""

    def run(*models: locks.Document, **arguments: t.Any) -> dict[str, t.Any]:
        context = host.context(*models)
        document = dict(context.lock.document)
        document["spec"] = {**document["spec"], "policy": {**document["spec"]["policy"], **arguments.pop("policy", {})}}
        given = {"lock": document, "root": str(host.layout.root), **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            comfy_models.main()
        answer: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return answer

    return run


def test_check_mode_says_what_the_run_does_and_the_second_run_does_nothing(host: Host, module: Module) -> None:
    models = [host.model("one.safetensors"), host.model("two.safetensors")]
    host.file("loras").mkdir(parents=True)
    host.file("loras/two.safetensors").write_bytes(b"mine")
    checked = module(*models, _ansible_check_mode=True, _ansible_diff=True)
    assert checked["changed"]
    assert host.forge.requests == []
    done = module(*models, _ansible_diff=True)
    assert (done["actions"], done["diff"]) == (checked["actions"], checked["diff"])
    assert [(entry["action"], entry["name"]) for entry in done["actions"]] == [
        ("fetch", "one.safetensors"),
        ("fetch", "two.safetensors"),
        ("place", str(host.file("loras/one.safetensors"))),
        ("replace", str(host.file("loras/two.safetensors"))),
        ("write", "extra_model_paths.yaml"),
    ]
    host.forget()
    again = module(*models, _ansible_diff=True)
    assert (again["changed"], again["actions"], "diff" in again) == (False, [], False)
    assert host.forge.requests == []


def test_every_fault_comes_back_and_no_token_does(host: Host, module: Module) -> None:
    gated, gone = host.model("gated.safetensors", token="right"), host.model("gone.safetensors")
    host.forge.remove_model("gone.safetensors")
    answer = module(gated, gone, credentials={"127.0.0.1": "sesame-wrong"})
    assert answer["failed"]
    assert sorted(fault["where"] for fault in answer["failures"]) == [
        "model gated.safetensors",
        "model gone.safetensors",
    ]
    assert "sesame-wrong" not in json.dumps(answer["failures"]) + answer["msg"]


def test_an_optional_model_that_is_missing_is_said_by_the_run_itself(host: Host, module: Module) -> None:
    gone = {**host.model("gone.safetensors"), "optional": True}
    host.forge.remove_model("gone.safetensors")
    [note] = module(gone)["notes"]
    assert note.startswith("optional model gone.safetensors is missing: ")
    assert module(gone)["changed"] is False


def test_what_is_missing_offline_is_an_error_before_anything_changes(host: Host, module: Module) -> None:
    answer = module(host.model("one.safetensors"), offline=True)
    assert "model one.safetensors: it is not on this host, which is offline" in answer["msg"]
    assert not host.layout.state.exists()


def test_a_full_disk_is_an_error_before_anything_changes(host: Host, module: Module) -> None:
    huge = {**host.model("one.safetensors"), "size": 10**18}
    answer = module(huge, _ansible_check_mode=True)
    assert "are needed and" in answer["msg"]
    assert host.forge.requests == []


def test_a_deep_look_repairs_what_the_receipts_hide(host: Host, module: Module) -> None:
    model = host.model("one.safetensors")
    module(model)
    assert module(model, verify="deep")["changed"] is False
    host.stored(model).chmod(0o644)
    host.stored(model).write_bytes(bytes(4096))
    assert module(model, verify="deep")["changed"] is True
    assert module(model, verify="deep")["changed"] is False


def test_models_are_left_alone_if_asked(host: Host, module: Module) -> None:
    assert module(host.model("one.safetensors"), skip_models=True)["changed"] is False
    assert not host.layout.models.exists()


def test_pickles_are_as_the_spec_says_and_the_fleet_may_say_otherwise(host: Host, module: Module) -> None:
    model = host.model("old.pt", content=b"\x80\x02" + b"l" * 300)
    refused = module(model, policy={"pickle": "refuse"})
    assert refused["failed"] and "policy.pickle refuses those" in refused["msg"]
    assert module(model, policy={"pickle": "refuse"}, pickle="allow")["changed"]


def test_what_was_fetched_is_returned_and_stays_in_a_file(host: Host, module: Module) -> None:
    model, gone = host.model("one.safetensors"), host.model("gone.safetensors")
    host.forge.remove_model("gone.safetensors")
    failed = module(model, gone)
    assert {each["name"]: each["state"] for each in failed["downloads"]} == {
        "one.safetensors": "whole",
        "gone.safetensors": "failed",
    }
    host.forge.model("gone.safetensors")
    [download] = module(model, gone)["downloads"]
    assert (download["name"], download["from"], download["fetched"]) == ("gone.safetensors", gone["url"], 4096)
    document = json.loads(host.layout.models_progress.read_text())
    assert (document["finished"], document["done"], document["total"], document["left"]) == (True, 4096, 4096, 0)
    assert module(model, gone)["downloads"] == []


@pytest.mark.parametrize("fault", ["wrong-content", "no-range"])
def test_what_is_fetched_once_more_is_said_with_its_reason(host: Host, module: Module, fault: t.Any) -> None:
    model = host.model("one.safetensors", size=200_000)
    if fault == "wrong-content":
        host.forge.fault(fault, "/mirror/*")
        [download] = module(model, model_mirrors=[host.forge.mirror_url])["downloads"]
        reason = rf"http://.*/mirror/sha256/.* gave bytes with sha256 [0-9a-f]{{64}}, the lock says {model['sha256']}"
    else:
        host.forge.fault("short-body", "/models/*", times=1)
        host.forge.fault(fault, "/models/*")
        [download] = module(model)["downloads"]
        reason = f"{model['url']} gives no ranges, so nothing can be continued"
    [said] = download["again"]
    assert re.fullmatch(rf"\d+\.\d kB once more: {reason}", said), said
    assert json.loads(host.layout.models_progress.read_text())["files"][0]["again"] == [said]
    assert repeated([download]) == [f"one.safetensors: {said}"]
    assert repeated([{**download, "state": "failed"}]) == [], "its error says why"


def test_progress_is_written_while_downloads_run(host: Host, module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.02)
    models = [host.model(f"{number}.safetensors", size=200_000) for number in range(3)]
    host.forge.fault("rate", "/models/*", rate=400_000)
    seen: list[dict[str, t.Any]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            with contextlib.suppress(FileNotFoundError):
                seen.append(json.loads(host.layout.models_progress.read_text()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    module(*models)
    over.set()
    watcher.join()
    done = [document["done"] for document in seen]
    assert done == sorted(done)
    assert len(set(done)) > 5
    middle = next(document for document in seen if 200_000 < document["done"] < 500_000)
    assert (middle["total"], middle["finished"]) == (600_000, False)
    assert 200_000 < middle["rate"] < 2_500_000
    assert {file["state"] for file in middle["files"]} <= {"fetching", "whole"}
    assert {file["from"] for file in middle["files"]} == {model["url"] for model in models}


@pytest.mark.parametrize(("number", "next_step"), [(errno.ENOSPC, "Free some room"), (errno.EROFS, "Look at the file")])
def test_a_fault_of_the_disk_is_said_wherever_it_strikes(
    host: Host, module: Module, monkeypatch: pytest.MonkeyPatch, number: int, next_step: str
) -> None:
    """As when the last of the room goes while a receipt is written, which nobody can foresee."""

    def strike(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number), str(host.layout.models))

    monkeypatch.setattr(apply_models, "put_all", strike)
    answer = module(host.model("one.safetensors"))
    assert answer["msg"].startswith(f"{host.layout.root}: {host.layout.models}: {os.strerror(number)}. {next_step}")
    assert [entry["state"] for entry in answer["downloads"]] == ["whole"]
