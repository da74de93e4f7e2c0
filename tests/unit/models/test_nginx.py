# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a real nginx: with ranges, limits and cuts; and nginx over a host's store as a mirror."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import random
import re
import threading
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from tests.support.nginx import Nginx, nginx
from tests.unit.models.conftest import Host, converge, entry

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import locks

pytestmark = pytest.mark.usefixtures("soon")
DOCUMENTATION = pathlib.Path(__file__).parents[3] / "docs/models.md"
SIZE = 3_000_000
SERVERS = """
limit_conn_zone $binary_remote_addr zone=all:1m;
server {
  listen {address}; root FILES;
  location /slow/ { alias FILES/; limit_rate 600k; }
  location /narrow/ { alias FILES/; limit_rate 1500k; limit_conn all 1; }
  location /whole/ { alias FILES/; limit_rate 3m; max_ranges 0; }
  location /dropped/ { return 444; }
}
"""


@pytest.fixture
def files(tmp_path: pathlib.Path) -> pathlib.Path:
    directory = tmp_path / "files"
    directory.mkdir()
    return directory


@pytest.fixture
def server(tmp_path: pathlib.Path, files: pathlib.Path) -> Iterator[Nginx]:
    with nginx(tmp_path / "nginx", SERVERS.replace("FILES", str(files))) as server:
        yield server


def model(server: Nginx, files: pathlib.Path, place: str) -> locks.Document:
    content = random.Random(place).randbytes(SIZE)
    (files / "big.bin").write_bytes(content)
    return entry("big.bin", f"{server.url}{place}big.bin", content)


def fetched(host: Host, wanted: locks.Document) -> float:
    """Converge, see that the bytes are right and nothing is left over; gives seconds."""
    begin = time.monotonic()
    converge(host.context(wanted))
    seconds = time.monotonic() - begin
    assert hashlib.sha256(host.file("loras/big.bin").read_bytes()).hexdigest() == wanted["sha256"]
    assert list(host.layout.partial.iterdir()) == []
    return seconds


@contextlib.contextmanager
def cut(server: Nginx, seconds: float) -> Iterator[None]:
    """Break all connections after so long, and be away for a moment."""

    def work() -> None:
        time.sleep(seconds)
        server.stop()
        time.sleep(0.05)
        server.start()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def test_a_limit_for_each_connection(host: Host, server: Nginx, files: pathlib.Path) -> None:
    assert fetched(host, model(server, files, "/slow/")) < 0.6 * SIZE / 600_000
    statuses = [status for _path, status, _size in server.requests()]
    assert statuses.count(206) > 4


def test_a_limit_of_connections(host: Host, server: Nginx, files: pathlib.Path) -> None:
    fetched(host, model(server, files, "/narrow/"))
    refused = [status for _path, status, _size in server.requests() if status == 503]
    assert refused, "more were tried"
    assert len(refused) < 10, "and not again and again"


def test_a_server_without_ranges_that_is_cut(host: Host, server: Nginx, files: pathlib.Path) -> None:
    wanted = model(server, files, "/whole/")
    with cut(server, 0.4):
        fetched(host, wanted)
    assert len(server.requests()) > 1
    assert {status for _path, status, _size in server.requests()} == {200}


def test_a_server_that_goes_away_and_comes_back(host: Host, server: Nginx, files: pathlib.Path) -> None:
    wanted = model(server, files, "/slow/")
    with cut(server, 0.8):
        fetched(host, wanted)
    assert len(server.requests()) > 2
    sent = sum(size for _path, _status, size in server.requests())
    # What had left the server when it ended, and was not yet here.
    assert sent < 1.5 * SIZE


def test_connections_that_are_dropped_without_an_answer(host: Host, server: Nginx, files: pathlib.Path) -> None:
    with pytest.raises(FleetError, match=r"/dropped/big\.bin cannot be reached: Remote end closed connection"):
        fetched(host, model(server, files, "/dropped/"))
    assert not list(host.layout.partial.iterdir())


def test_nginx_over_a_store_is_a_mirror(host: Host, tmp_path: pathlib.Path) -> None:
    """With the configuration that the documentation has."""
    [said] = re.findall(r"(?s)```nginx\n(.*?)```", DOCUMENTATION.read_text())
    given = host.model("given.safetensors", size=300_000)
    converge(host.context(given))
    store = host.layout.store
    configuration = said.replace("listen 80", "listen {address}").replace("/opt/comfy/store", str(store.parent))
    assert configuration.count(str(store.parent)) == 1
    (store.parent / "partial" / "half.part").write_bytes(b"half")
    host.layout = type(host.layout)(tmp_path / "another host")
    host.forge.remove_model("given.safetensors")
    host.forget()
    with nginx(tmp_path / "nginx", configuration) as server:
        converge(host.context(given, model_mirrors=(server.url,)))
        path = f"/sha256/{given['sha256'][:2]}/{given['sha256']}"
        assert server.requests() == [(path, 200, 300_000)]
        with pytest.raises(FleetError, match="404"):
            converge(host.context({**given, "sha256": "0" * 64, "url": f"{server.url}/partial/half.part"}))
    assert host.forge.requests == []
    assert host.stored(given).stat().st_size == 300_000
