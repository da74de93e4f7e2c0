# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests: what of a URL is shown, what is not asked, and what a refusal says."""

from __future__ import annotations

import email.utils
import socket
import time

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, Session, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import refusal, shown, token_for
from tests.support.forge.web import redirect
from tests.unit.models.conftest import Host


def test_secrets_of_a_url_are_not_shown() -> None:
    assert shown("https://user:pass@host:8443/a/b?signature=x#f") == "https://host:8443/a/b"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost/x", "https://host/x"])
def test_what_may_be_asked(url: str) -> None:
    assert refusal(url, allow_http=False) is None


@pytest.mark.parametrize(
    "url",
    ["http://host/x", "http://10.0.0.1/x", "http://127.0.0.1.evil.example/x", "ftp://h/x", "file:///x", "https:///x"],
)
def test_what_may_not_be_asked(url: str) -> None:
    assert refusal(url, allow_http=False)


def test_plain_http_where_the_policy_has_it() -> None:
    assert refusal("http://host/x", allow_http=True) is None
    assert refusal("https://host:port/x", allow_http=True)


def test_a_token_is_for_a_host_or_for_one_port_of_it() -> None:
    credentials = {"host": "a", "host:8443": "b", "empty": ""}
    assert token_for("https://host/x", credentials) == "a"
    assert token_for("https://HOST:8443/x", credentials) == "b"
    assert token_for("https://sub.host/x", credentials) is None
    assert token_for("https://empty/x", credentials) is None


@pytest.mark.parametrize("target", ["http://models.example/x", "file:///etc/passwd"])
def test_a_redirect_to_what_may_not_be_asked(host: Host, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.forge.models.redirect", lambda *_arguments: redirect(target))
    with pytest.raises(HttpFault, match=r"is (plain|neither)"):
        request(host.forge.model("x.safetensors", redirects=True).url, Access())


def test_retry_after_as_a_date(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tests.support.forge.faults.str", lambda seconds: email.utils.formatdate(time.time() + seconds), raising=False
    )
    host.forge.fault("status", "/models/*", retry_after=100)
    with pytest.raises(HttpFault) as caught:
        request(host.forge.model("x.safetensors").url, Access())
    assert 90 < (caught.value.retry_after or 0) <= 100


def test_a_proxy_of_the_environment_is_used(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", host.forge.base_url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(HttpFault):
        request("http://models.example/models/x.safetensors", Access(allow_http=True))
    assert [each.host for each in host.forge.requests] == ["models.example"]


def test_a_session_asks_for_ranges_over_one_connection_and_knows_the_way(host: Host) -> None:
    model = host.forge.model("x.safetensors", size=50_000, redirects=True)
    with Session() as session:
        for start in (0, 10_000, 20_000):
            headers = {"Range": f"bytes={start}-{start + 9_999}"}
            with request(model.url, Access(), headers=headers, session=session) as answer:
                assert answer.read_all(10_000) == model.content.data[start : start + 10_000]
    asked = [(each.method, each.path.split("/")[1]) for each in host.forge.requests]
    assert asked == [("GET", "models"), ("GET", "blob"), ("GET", "blob"), ("GET", "blob")]
    assert host.forge.connections == 2


def test_a_connection_that_was_closed_meanwhile_is_opened_again(host: Host) -> None:
    model = host.forge.model("x.safetensors", size=50_000)
    with Session() as session:
        for _number in range(2):
            with request(model.url, Access(), session=session) as answer:
                assert len(answer.read_all(50_000)) == 50_000
            connection = next(iter(session._connections.values()))
            connection.sock.shutdown(socket.SHUT_RDWR)
    assert host.forge.connections == 2


def test_an_answer_that_was_not_read_to_its_end_costs_its_connection(host: Host) -> None:
    model = host.forge.model("x.safetensors", size=5_000_000)
    with Session() as session:
        with request(model.url, Access(), session=session) as answer:
            answer.read(1000)
        with request(model.url, Access(), session=session) as answer:
            assert answer.read_all(5_000_000) == model.content.data
    assert host.forge.connections == 2


def test_where_a_url_led_to_is_asked_again_when_it_refuses(host: Host) -> None:
    model = host.forge.model("x.safetensors", size=50_000, redirects=True)
    with Session() as session:
        request(model.url, Access(), session=session).__exit__()
        host.forge.fault("status", "/blob/*", status=403, times=1)
        with request(model.url, Access(), session=session) as answer:
            assert answer.read_all(50_000) == model.content.data


@pytest.mark.parametrize(
    ("basic", "token", "expected"),
    [
        (False, "user:word", "Bearer user:word"),
        (True, "user:word", "Basic dXNlcjp3b3Jk"),
        (True, "abc", "Bearer abc"),
    ],
)
def test_credentials_are_sent_as_who_asks_wants_them(basic: bool, token: str, expected: str) -> None:
    access = Access({"host": token}, basic=basic)
    assert access.authorization("https://host/x") == expected
    assert access.authorization("https://other/x") is None
