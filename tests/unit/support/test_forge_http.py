# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge's HTTP side: plain models, the mirror, ranges, tokens, faults and the request log, with urllib and curl."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import typing as t
import urllib.error
import urllib.request

import pytest

from tests.support.forge import Fault, Forge

if t.TYPE_CHECKING:
    from pathlib import Path


class Answer(t.NamedTuple):
    """What a request got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """One request on a connection of its own, without following redirects; header names with _ for -."""
    _scheme, _slashes, rest = url.partition("//")
    host, _slash, path = rest.partition("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, f"/{path}", body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def test_a_model_is_served_whole_with_its_size_and_etag(forge: Forge) -> None:
    model = forge.model("loras/a b.safetensors", size=200_000)
    answer = ask(model.url)
    assert (answer.status, answer.body) == (200, model.content.data)
    assert answer.headers["Content-Length"] == "200000" == str(model.size)
    head = ask(model.url, "HEAD")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])
    assert ask(model.url, If_None_Match=answer.headers["ETag"]).status == 304


def test_generated_content_is_the_same_everywhere_and_a_valid_safetensors_file(forge: Forge) -> None:
    model = forge.model("x.safetensors", size=5000)
    assert model.sha256 == "a7871c813a4d1e9d73060534d99a6e5a08a388dab628ec312abe53a9a8d74488"
    length = int.from_bytes(model.content.data[:8], "little")
    header = json.loads(model.content.data[8 : 8 + length])
    assert header["weight"]["data_offsets"] == [0, 5000 - 8 - length]
    assert length % 8 == 0


@pytest.mark.parametrize(
    ("wanted", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=100-199", 206, 100, 199),
        ("bytes=900-", 206, 900, 999),
        ("bytes=900-5000", 206, 900, 999),
        ("bytes=-10", 206, 990, 999),
        ("bytes=-5000", 206, 0, 999),
        ("bytes=0-1,5-6", 200, 0, 999),
        ("lines=1-2", 200, 0, 999),
    ],
)
def test_a_range_gets_exactly_its_bytes(forge: Forge, wanted: str, status: int, first: int, last: int) -> None:
    model = forge.model("x.bin", size=1000, kind="bytes")
    answer = ask(model.url, Range=wanted)
    assert (answer.status, answer.body) == (status, model.content.data[first : last + 1])
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1000"


@pytest.mark.parametrize("wanted", ["bytes=1000-", "bytes=7-3", "bytes=-0"])
def test_a_range_outside_is_refused(forge: Forge, wanted: str) -> None:
    model = forge.model("x.bin", size=1000, kind="bytes")
    answer = ask(model.url, Range=wanted)
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */1000")


def test_if_range_with_another_etag_gets_everything(forge: Forge) -> None:
    model = forge.model("x.bin", size=1000, kind="bytes")
    etag = ask(model.url, "HEAD").headers["ETag"]
    assert ask(model.url, Range="bytes=5-", If_Range=etag).status == 206
    assert ask(model.url, Range="bytes=5-", If_Range='"another"').status == 200


def test_curl_resumes_a_cut_download_and_fetches_no_byte_twice(forge: Forge, tmp_path: Path) -> None:
    model = forge.model("x.bin", size=500_000, kind="bytes")
    forge.fault("short-body", "/models/x.bin", after=300_000, times=1)
    command = ["curl", "-sS", "--continue-at", "-", "--output", str(tmp_path / "x.bin"), model.url]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 18
    subprocess.run(command, check=True)
    assert (tmp_path / "x.bin").read_bytes() == model.content.data
    assert [(request.status, request.sent) for request in forge.requests] == [(200, 300_000), (206, 200_000)]
    assert forge.requests[1].headers["range"] == "bytes=300000-"


def test_a_token_is_asked_for_checked_and_logged(forge: Forge) -> None:
    model = forge.model("secret.bin", token="right")
    assert ask(model.url).status == 401
    assert ask(model.url, Authorization="Bearer wrong").status == 403
    assert ask(model.url, Authorization="Bearer right").body == model.content.data
    assert [request.headers.get("authorization") for request in forge.requests] == [
        None,
        "Bearer wrong",
        "Bearer right",
    ]


def test_a_redirect_leads_to_the_second_port_which_refuses_a_token(forge: Forge) -> None:
    model = forge.model("r.bin", token="right", redirects=True)
    location = ask(model.url, Authorization="Bearer right").headers["Location"]
    assert location.startswith(forge.blob_url)
    assert ask(location).body == model.content.data
    assert ask(location, Authorization="Bearer right").status == 400
    assert ask(location.partition("?")[0]).status == 403
    assert {request.port for request in forge.requests} == {"main", "blob"}
    # urllib takes the header along, as careless clients do, and this is seen.
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(model.url, headers={"Authorization": "Bearer right"}))


def test_the_mirror_has_every_content_by_its_sha256(forge: Forge) -> None:
    model = forge.model("x.bin", token="right")
    wheel = forge.index().wheel("bluebox", "1.0")
    for content in (model.content, wheel.content):
        url = f"{forge.mirror_url}/sha256/{content.sha256[:2]}/{content.sha256}"
        assert ask(url).body == content.data
        assert ask(url, Range="bytes=10-19").body == content.data[10:20]
    forge.mirror.withheld.add(model.sha256)
    assert ask(f"{forge.mirror_url}/sha256/{model.sha256[:2]}/{model.sha256}").status == 404
    assert ask(f"{forge.mirror_url}/sha256/00/{model.sha256}").status == 404


def test_a_log_in_page_in_place_of_the_content(forge: Forge) -> None:
    model = forge.model("x.safetensors")
    forge.fault("html", "/models/*")
    answer = ask(model.url)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.body.startswith(b"<!DOCTYPE html>")


def test_a_short_body_ends_the_connection_early(forge: Forge) -> None:
    model = forge.model("x.bin", size=1000)
    forge.fault("short-body", "/models/x.bin")
    with pytest.raises(http.client.IncompleteRead) as raised:
        ask(model.url)
    assert raised.value.partial == model.content.data[:500]


def test_wrong_content_is_wrong_at_one_place_in_whole_and_ranged_answers_alike(forge: Forge) -> None:
    model = forge.model("x.bin", size=1000)
    forge.fault("wrong-content", "/models/x.bin")
    whole = ask(model.url).body
    assert [index for index in range(1000) if whole[index] != model.content.data[index]] == [500]
    assert ask(model.url, Range="bytes=400-600").body == whole[400:601]
    assert ask(model.url, Range="bytes=600-").body == model.content.data[600:]


def test_a_status_for_some_requests(forge: Forge) -> None:
    model = forge.model("x.bin")
    forge.fault("status", "/models/x.bin", status=429, retry_after=7, times=2)
    answers = [ask(model.url) for _number in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"


def test_a_stalled_answer_lasts_until_the_client_gives_up(forge: Forge, tmp_path: Path) -> None:
    model = forge.model("x.bin", size=1000)
    forge.fault("stall", "/models/x.bin", after=100)
    target = tmp_path / "x"
    command = ["curl", "-s", "--max-time", "0.5", "--output", str(target), model.url]
    assert subprocess.run(command, check=False).returncode == 28
    assert target.read_bytes() == model.content.data[:100]


def test_a_server_without_ranges(forge: Forge) -> None:
    model = forge.model("x.bin", size=1000)
    forge.fault("no-range", "/models/x.bin")
    answer = ask(model.url, Range="bytes=500-")
    assert (answer.status, answer.body) == (200, model.content.data)


def test_a_rate_holds_for_each_connection(forge: Forge) -> None:
    model = forge.model("x.bin", size=50_000)
    forge.fault("rate", "*", rate=100_000)
    started = time.monotonic()
    assert ask(model.url).body == model.content.data
    assert 0.4 < time.monotonic() - started < 2


@pytest.mark.parametrize("length", [None, 400])
def test_a_content_length_that_lies(forge: Forge, length: int | None) -> None:
    model = forge.model("x.bin", size=1000)
    forge.fault("lying-length", "/models/x.bin", length=length, methods=("GET", "HEAD"))
    assert ask(model.url, "HEAD").headers["Content-Length"] == str(length or 2000)
    if length is None:
        with pytest.raises(http.client.IncompleteRead):
            ask(model.url)
    else:
        assert ask(model.url).body == model.content.data[:400]


def test_a_redirect_without_end(forge: Forge) -> None:
    model = forge.model("x.bin")
    forge.fault("redirect-loop", "/models/x.bin")
    with pytest.raises(urllib.error.HTTPError, match="infinite loop"):
        urllib.request.urlopen(model.url)


def test_a_dropped_connection_and_a_delayed_answer(forge: Forge) -> None:
    model = forge.model("x.bin")
    forge.fault("drop", "/models/x.bin", times=1)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(model.url)
    forge.fault("delay", "/models/x.bin", seconds=0.2, times=1)
    started = time.monotonic()
    assert ask(model.url).status == 200
    assert time.monotonic() - started >= 0.2


def test_faults_are_switched_by_another_process_over_http(forge: Forge) -> None:
    model = forge.model("x.bin")
    url = f"{forge.base_url}/forge/faults"
    added = ask(url, "POST", json.dumps({"kind": "status", "path": "/models/*", "status": 500}).encode())
    assert (added.status, json.loads(added.body)) == (201, {"number": 1})
    assert json.loads(ask(url).body)["1"]["kind"] == "status"
    assert ask(model.url).status == 500
    assert ask(url, "DELETE").status == 204
    assert ask(model.url).status == 200
    assert ask(url, "POST", b'{"kind": "earthquake", "path": "/x"}').status == 400
    assert ask(url, "POST", b'{"kind": "html", "path": "/x", "colour": 1}').status == 400
    assert ask(url, "POST", b"[").status == 400
    assert [request.path for request in forge.requests] == ["/models/x.bin"] * 2


def test_a_fault_that_could_never_happen_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault of kind 'htlm'; there are html, short-body"):
        Fault("htlm", "/x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="begins with /"):
        Fault("html", "models/x")


def test_one_connection_serves_many_requests_and_many_are_served_at_once(forge: Forge) -> None:
    model = forge.model("x.bin", size=1000)
    host = forge.base_url.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    for _number in range(5):
        connection.request("GET", "/models/x.bin")
        assert connection.getresponse().read() == model.content.data
    connection.close()
    assert forge.connections == 1
    assert {request.connection for request in forge.requests} == {1}
    forge.forget_requests()
    forge.fault("delay", "*", seconds=0.3)
    started = time.monotonic()
    command = ["curl", "-sS", "--parallel", "--parallel-immediate", "--fail"]
    for number in range(8):
        command += ["--output", "/dev/null", f"{model.url}?{number}"]
    subprocess.run(command, check=True)
    assert time.monotonic() - started < 1.5
    assert forge.connections == 8


def test_the_log_is_also_a_file_and_keeps_queries(forge: Forge) -> None:
    model = forge.model("x.bin", size=1000)
    ask(f"{model.url}?token=abc", Range="bytes=0-9", Cookie="a=b", X_Noise="1")
    assert len(forge.requests) == 1, "waits until the answer is kept"
    lines = (forge.directory / "requests.jsonl").read_text().splitlines()
    (entry,) = [json.loads(line) for line in lines]
    assert entry | {"started": 0, "seconds": 0} == {
        "method": "GET",
        "host": forge.base_url.removeprefix("http://"),
        "port": "main",
        "path": "/models/x.bin?token=abc",
        "headers": {"cookie": "a=b", "range": "bytes=0-9"},
        "status": 206,
        "sent": 10,
        "connection": 1,
        "started": 0,
        "seconds": 0,
    }


def test_unknown_paths_are_not_found_and_ports_do_not_mix(forge: Forge) -> None:
    model = forge.model("x.bin")
    for url in (f"{forge.base_url}/nothing", f"{forge.base_url}/models/y", f"{forge.blob_url}/models/x.bin"):
        assert ask(url).status == 404
    assert ask(forge.base_url + model.blob_path).status == 404
    forge.remove_model("x.bin")
    assert ask(model.url).status == 404


def test_a_closed_forge_ends_open_answers_and_takes_no_connection(tmp_path: Path) -> None:
    with Forge(tmp_path / "forge") as forge:
        model = forge.model("x.bin", size=1000)
        forge.fault("stall", "*", after=10)
        reader = subprocess.Popen(["curl", "-s", "--output", "/dev/null", model.url])
        time.sleep(0.2)
        assert reader.poll() is None
    assert reader.wait(timeout=5) != 0
    with pytest.raises(ConnectionRefusedError):
        ask(model.url)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(FileExistsError, match="is not empty"):
        Forge(tmp_path)
