# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Source archives and wheels that builds need, fetched from servers that break, lie and lead elsewhere."""

from __future__ import annotations

import http.server
import threading
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import download
from tests.support.forge import Fault

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.forge import Forge


class _Server(http.server.ThreadingHTTPServer):
    """Redirects to ``target`` where there is one, else gives a content, and remembers who said what."""

    target: str | None = None

    def __init__(self) -> None:
        self.authorizations: list[str | None] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.authorizations.append(self.headers["Authorization"])
        self.send_response(302 if self.server.target else 200)
        if self.server.target:
            self.send_header("Location", self.server.target)
        body = b"" if self.server.target else b"content"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["..%2F..%2F..%2Fescaped.tar.gz", "x%2Fescaped.tar.gz", "%2Ftmp%2Fescaped.tar.gz"])
def test_no_name_leads_out_of_the_directory(server: _Server, tmp_path: Path, name: str) -> None:
    directory = tmp_path / "a" / "b" / "files"
    found = download(f"{server.url}/{name}", None, Access(), directory)
    assert found.path.name == "escaped.tar.gz"
    assert found.path.parent.parent == directory
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [found.path]


@pytest.mark.parametrize("name", ["..", "%2E%2E", "", "."])
def test_what_has_no_name_has_one_here(server: _Server, tmp_path: Path, name: str) -> None:
    found = download(f"{server.url}/box/{name}", None, Access(), tmp_path)
    assert found.path.read_bytes() == b"content"
    assert found.path.parent.parent == tmp_path


def test_nothing_is_fetched_by_plain_http_after_a_redirect(server: _Server, tmp_path: Path) -> None:
    server.target = "http://mirror.example/box-1.0.tar.gz"
    with pytest.raises(FleetError, match=r"mirror\.example/box-1\.0\.tar\.gz is plain http"):
        download(f"{server.url}/box-1.0.tar.gz", None, Access(), tmp_path)


def test_a_password_goes_to_its_own_host_alone(server: _Server, tmp_path: Path) -> None:
    with _Server() as other:
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        server.target = f"{other.url}/box-1.0.tar.gz"
        credentials = {server.url.removeprefix("http://"): "user:password"}
        download(f"{server.url}/box-1.0.tar.gz", None, Access(credentials, basic=True), tmp_path)
        other.shutdown()
        assert server.authorizations == ["Basic dXNlcjpwYXNzd29yZA=="]
        assert other.authorizations == [None]


def test_a_server_that_fails_once_is_asked_again(forge: Forge, tmp_path: Path) -> None:
    release = forge.index().wheel("box", "1.0")
    for kind in ("status", "short-body", "drop"):
        forge.faults.add(Fault(t.cast("t.Any", kind), "/files/pypi/box*", times=1))
        assert download(release.url, None, Access(), tmp_path / kind).sha256 == release.sha256


def test_a_file_of_this_machine_and_one_that_is_not_there(tmp_path: Path) -> None:
    here = tmp_path / "box 1.0.tar.gz"
    here.write_bytes(b"content")
    assert download(here.as_uri(), None, Access(), tmp_path / "files").path.read_bytes() == b"content"
    here.unlink()
    with pytest.raises(FleetError, match="cannot be read: No such file"):
        download(here.as_uri(), None, Access(), tmp_path / "files")
