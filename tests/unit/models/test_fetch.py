# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads: resumed where they broke off, tried again where that helps, mirrors first, and no token goes astray."""

from __future__ import annotations

import json
import socket
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.models import store
from tests.unit.models.conftest import Host, actions, converge, entry, look

if t.TYPE_CHECKING:
    from tests.support import locks

BIG = 3_000_000


def content_of(host: Host, model: locks.Document) -> bytes:
    return host.file(f"loras/{model['name']}").read_bytes()


def test_a_download_goes_on_where_it_broke_off(host: Host) -> None:
    model = host.model("big.safetensors", size=BIG)
    host.forge.fault("short-body", "/models/big.safetensors", after=1_000_000, times=2)
    converge(host.context(model))
    first, second, third = host.gets("/models/")
    etag = f'"{model["sha256"][:32]}"'
    assert "range" not in first.headers
    assert (second.headers["range"], second.headers["if-range"]) == ("bytes=1000000-", etag)
    assert (third.headers["range"], third.headers["if-range"]) == ("bytes=2000000-", etag)
    assert first.sent + second.sent + third.sent == BIG, "no byte came twice"


def interrupted(host: Host, model: locks.Document, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converge with a connection that breaks off, and no second try."""
    host.forge.fault("short-body", f"/models/{model['name']}", after=after, times=1)
    with monkeypatch.context() as patch, pytest.raises(FleetError, match=f"broke off after {after} of"):
        patch.setattr(store, "ATTEMPTS", 1)
        converge(host.context(model))
    host.forget()


def test_the_next_run_goes_on_where_the_last_one_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    model = host.model("big.safetensors", size=BIG)
    interrupted(host, model, 1_234_567, monkeypatch)
    converge(host.context(model))
    [request] = host.gets("/models/")
    assert request.headers["range"] == "bytes=1234567-"
    assert request.sent == BIG - 1_234_567


def test_a_file_that_has_changed_at_its_source_is_not_stitched_together(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = host.model("big.safetensors", size=BIG)
    interrupted(host, model, 1_000_000, monkeypatch)
    right = host.forge.model("big.safetensors", size=BIG, seed="another").content.data
    changed = entry("big.safetensors", model["url"], right)
    part = host.layout.partial / f"{model['sha256']}.part"
    part.rename(part.with_name(f"{changed['sha256']}.part"))
    part.with_suffix(".json").rename(part.with_name(f"{changed['sha256']}.json"))
    converge(host.context(changed))
    [request] = host.gets("/models/")
    assert request.headers["if-range"] == f'"{model["sha256"][:32]}"'
    assert (request.status, request.sent) == (200, BIG)


def test_a_part_that_is_wrong_on_the_disk_costs_one_more_download(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    model = host.model("big.safetensors", size=BIG)
    interrupted(host, model, 1_000_000, monkeypatch)
    part = host.layout.partial / f"{model['sha256']}.part"
    part.write_bytes(bytes(1_000_000))
    converge(host.context(model))
    assert [request.headers.get("range") for request in host.gets("/models/")] == ["bytes=1000000-", None]
    [said] = json.loads(host.layout.models_progress.read_text())["files"][0]["again"]
    assert said.startswith("3.0 MB once more: ")
    assert "what was there was damaged" in said


def test_a_part_that_is_whole_is_not_asked_for(host: Host) -> None:
    model = host.model("style.safetensors")
    host.layout.partial.mkdir(parents=True)
    part = host.layout.partial / f"{model['sha256']}.part"
    part.write_bytes(host.forge.model("style.safetensors").content.data)
    part.chmod(0o444)
    converge(host.context(model))
    assert host.forge.requests == []
    assert not part.exists()


@pytest.mark.parametrize("left", [4096, 5000])
def test_a_part_that_is_too_long_is_begun_anew(host: Host, left: int) -> None:
    model = host.model("style.safetensors")
    host.layout.partial.mkdir(parents=True)
    (host.layout.partial / f"{model['sha256']}.part").write_bytes(bytes(left))
    converge(host.context({**model, "size": None}))
    converge(host.context(model))


def test_a_server_without_ranges_sends_everything_again(host: Host) -> None:
    model = host.model("big.safetensors", size=BIG)
    host.forge.fault("no-range", "/models/big.safetensors")
    host.forge.fault("short-body", "/models/big.safetensors", after=1_000_000, times=1)
    converge(host.context(model))
    assert [(request.status, request.sent) for request in host.gets("/models/")] == [(200, 1_000_000), (200, BIG)]


def test_a_server_that_is_busy_twice(host: Host) -> None:
    model = host.model("style.safetensors")
    host.forge.fault("status", "/models/*", status=503, times=2)
    converge(host.context(model))
    assert [request.status for request in host.gets("/models/")] == [503, 503, 200]


def test_retry_after_is_honoured(host: Host) -> None:
    model = host.model("style.safetensors")
    host.forge.fault("status", "/models/*", status=429, retry_after=1, times=1)
    begin = time.monotonic()
    converge(host.context(model))
    assert time.monotonic() - begin >= 1.0


def test_a_server_that_wishes_too_long_a_wait_is_named(host: Host) -> None:
    host.forge.fault("status", "/models/*", status=429, retry_after=7200)
    with pytest.raises(FleetError, match=r"answers 429 .*, and asks to come back in 7200 s"):
        converge(host.context(host.model("style.safetensors")))


def test_a_stall_is_noticed(host: Host) -> None:
    model = host.model("big.safetensors", size=BIG)
    host.forge.fault("stall", "/models/big.safetensors", after=1_000_000, times=1)
    converge(host.context(model))
    # A further connection asks for a byte first; no other comes twice.
    assert BIG <= sum(request.sent for request in host.gets("/models/")) < BIG + 16


def test_connections_that_are_dropped(host: Host) -> None:
    model = host.model("style.safetensors")
    host.forge.fault("drop", "/models/*", times=3)
    converge(host.context(model))


def test_the_hub_and_civitai_are_asked_at_their_endpoints(host: Host) -> None:
    repository = host.forge.hub("org/repo")
    file = repository.file("a b/model.safetensors")
    commit = repository.commit()
    version = host.forge.civitai(5).file("style.safetensors")
    models = [
        entry(
            "model.safetensors",
            f"https://huggingface.co/org/repo/resolve/{commit}/a%20b/model.safetensors",
            file.content.data,
        ),
        entry("style.safetensors", "https://civitai.com/api/download/models/5", version.content.data),
    ]
    converge(host.context(*models, hf_endpoint=f"{host.forge.hub_url}/", civitai_endpoint=host.forge.civitai_url))
    asked = sorted(request.path for request in host.forge.requests if request.port == "main")
    assert asked == ["/civitai/api/download/models/5", f"/hub/org/repo/resolve/{commit}/a%20b/model.safetensors"]


def test_a_token_never_reaches_the_second_host(host: Host) -> None:
    model = host.model("gated.safetensors", token="secret", redirects=True)
    converge(host.context(model, credentials={"127.0.0.1": "secret"}))
    first, second = host.gets("")
    assert (first.port, first.headers["authorization"]) == ("main", "Bearer secret")
    assert second.port == "blob"
    assert "authorization" not in second.headers


def test_a_token_is_for_its_own_host_only(host: Host) -> None:
    model = host.model("open.safetensors")
    converge(host.context(model, credentials={"huggingface.co": "secret", "127.0.0.1:1": "other"}))
    assert all("authorization" not in request.headers for request in host.forge.requests)


def test_mirrors_come_first(host: Host) -> None:
    model = host.model("style.safetensors")
    converge(host.context(model, model_mirrors=(f"{host.forge.mirror_url}/",)))
    sha256 = model["sha256"]
    assert [request.path for request in host.forge.requests] == [f"/mirror/sha256/{sha256[:2]}/{sha256}"]


@pytest.mark.parametrize("kind", ["html", "wrong-content", "short-body", "lying-length", "redirect-loop", "drop"])
def test_a_mirror_that_lies_or_fails_is_passed_over(host: Host, kind: t.Any) -> None:
    model = host.model("style.safetensors")
    host.forge.fault(kind, "/mirror/*")
    converge(host.context(model, model_mirrors=(host.forge.mirror_url,)))
    assert host.gets("/models/")


def test_a_mirror_that_lacks_a_model_and_one_that_has_it(host: Host) -> None:
    model = host.model("style.safetensors")
    mirrors = (f"{host.forge.base_url}/nothing", host.forge.mirror_url)
    converge(host.context(model, model_mirrors=mirrors))
    assert host.gets("/models/") == []


def test_a_silent_mirror_is_asked_once_a_run_not_for_each_model(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        models = [host.model(f"{number}.safetensors") for number in range(24)]
        monkeypatch.setattr(store, "STALL_SECONDS", 0.1)
        converge(host.context(*models, model_mirrors=(f"http://127.0.0.1:{server.getsockname()[1]}",)))
        with pytest.raises(TimeoutError):
            while True:
                asked.append(server.accept()[0])
    for connection in asked:
        connection.close()
    # Eight at a time, two tries each, before anybody knows.
    assert 1 <= len(asked) <= 16


def test_an_offline_host_takes_nothing_from_the_network(host: Host) -> None:
    here, away = host.model("here.safetensors"), host.model("away.safetensors")
    converge(host.context(here))
    host.forget()
    context = host.context(here, away, offline=True, model_mirrors=(host.forge.mirror_url,))
    [obstacle] = look(context).obstacles
    assert str(obstacle).startswith("model away.safetensors: it is not on this host, which is offline. ")
    assert actions(look(host.context(here, offline=True))) == []
    assert actions(look(host.context(here, {**away, "optional": True}, offline=True))) == []
    assert host.forge.requests == []


def test_downloads_run_side_by_side(host: Host) -> None:
    models = [host.model(f"{number}.safetensors") for number in range(12)]
    host.forge.fault("delay", "/models/*", seconds=0.2)
    begin = time.monotonic()
    converge(host.context(*models))
    assert time.monotonic() - begin < 12 * 0.2
    assert max(in_flight(host)) == 8


def in_flight(host: Host) -> list[int]:
    """How many requests were being answered at the end of each."""
    spans = [(request.started, request.started + request.seconds) for request in host.gets("/models/")]
    return [sum(begin < end <= other for begin, other in spans) for _begin, end in spans]
