# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models from other hosts of the site: who gives what to whom, who is believed, and how the doors open and close."""

from __future__ import annotations

import contextlib
import dataclasses
import email.message
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t
import urllib.error
import urllib.request

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Peer
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import start_time
from ansible_collections.comfyops.fleet.plugins.module_utils.models import peers, store
from ansible_collections.comfyops.fleet.plugins.module_utils.models.progress import Progress
from ansible_collections.comfyops.fleet.plugins.module_utils.seed.news import Contents, read_news
from ansible_collections.comfyops.fleet.plugins.module_utils.seed.server import Server, _Handler
from tests.unit.models.conftest import Host, converge

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support import locks

TOKEN = "secret of the run"  # not one that anybody has
SIZE = 300_000


@dataclasses.dataclass
class Site:
    """Hosts that are directories here, and those of them that serve."""

    host: Host
    stack: contextlib.ExitStack

    def member(self, name: str) -> Host:
        """A host with the site's forge."""
        return Host(self.host.forge, self.host.directory / name)

    def serves(self, member: Host, *models: locks.Document, **bounds: t.Any) -> Server:
        """Open a host's doors, in a thread."""
        contents = Contents(member.layout, frozenset(model["sha256"] for model in models))
        server = Server(socket.create_server(("127.0.0.1", 0)), contents, TOKEN, bounds.pop("uploads", 4), **bounds)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.stack.callback(server.server_close)
        self.stack.callback(server.shutdown)
        return server

    @staticmethod
    def context(member: Host, model: locks.Document, seed: str | None, /, **servers: Server) -> Context:
        """A host that takes from these."""
        known = tuple(Peer(name, url_of(server)) for name, server in servers.items())
        return member.context(model, peers=known, seed=seed, peers_token=TOKEN)


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def place_of(server: Server, model: locks.Document) -> str:
    return f"{url_of(server)}/sha256/{model['sha256'][:2]}/{model['sha256']}"


@pytest.fixture
def site(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site whose hosts ask each other often."""
    monkeypatch.setattr(peers, "NEWS_SECONDS", 0.02)
    monkeypatch.setattr(peers, "PAUSE_SECONDS", (0.01, 0.03))
    with contextlib.ExitStack() as stack:
        yield Site(host, stack)


def answer(url: str, token: str | None = TOKEN, **headers: str) -> tuple[int, bytes, email.message.Message]:
    """Status, body and headers."""
    authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers={**authorization, **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def stored(member: Host, model: locks.Document) -> bytes:
    return member.stored(model).read_bytes()


# What is served, and to whom


def test_only_the_lock_s_models_and_only_to_who_has_the_token(site: Site) -> None:
    giver = site.member("giver")
    model, other = site.host.model("one.safetensors", size=SIZE), site.host.model("two.safetensors", size=SIZE)
    converge(giver.context(model, other))
    server = site.serves(giver, model)
    assert answer(place_of(server, model))[1] == stored(giver, model)
    assert answer(place_of(server, model), token=None)[:2] == (401, b"")
    assert answer(place_of(server, model), token="another")[:2] == (401, b"")
    assert answer(f"{url_of(server)}/news", token="another")[:2] == (401, b"")
    assert answer(place_of(server, other))[0] == 404, "it is no model of this lock"
    inside = site.host.directory.relative_to("/")
    for path in ("/", "/sha256", "/sha256/../../etc/hostname", "/%2e%2e/etc/hostname", f"//{inside}", "/sha256/ab/ab"):
        assert answer(url_of(server) + path)[0] == 404, path


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-99", 206, 0, 99),
        ("bytes=1000-", 206, 1000, SIZE - 1),
        (f"bytes={SIZE - 1}-{SIZE + 5}", 206, SIZE - 1, SIZE - 1),
        (f"bytes={SIZE}-", 416, 0, -1),
        ("bytes=5-4", 416, 0, -1),
        ("bytes=-100", 200, 0, SIZE - 1),
        ("bytes=0-1,5-6", 200, 0, SIZE - 1),
    ],
)
def test_ranges(site: Site, asked: str, status: int, first: int, last: int) -> None:
    giver, model = site.member("giver"), site.host.model("one.safetensors", size=SIZE)
    converge(giver.context(model))
    server = site.serves(giver, model)
    found = answer(place_of(server, model), Range=asked)
    assert found[:2] == (status, stored(giver, model)[first : last + 1])
    if status == 206:
        assert found[2]["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    changed = {"Range": asked, "If-Range": '"another state"'}
    assert answer(place_of(server, model), **changed)[:2] == (200, stored(giver, model))


def test_so_many_files_at_a_time_and_so_many_bytes_per_second(site: Site) -> None:
    giver, model = site.member("giver"), site.host.model("one.safetensors", size=SIZE)
    converge(giver.context(model))
    server = site.serves(giver, model, uploads=1, rate=SIZE)
    found: list[bytes] = []
    begin = time.monotonic()
    slow = threading.Thread(target=lambda: found.append(answer(place_of(server, model))[1]))
    slow.start()
    time.sleep(0.2)
    status, _body, headers = answer(place_of(server, model))
    assert (status, headers["Retry-After"]) == (503, "1")
    slow.join()
    assert found == [stored(giver, model)]
    assert time.monotonic() - begin > 0.7
    assert answer(place_of(server, model), Range="bytes=0-0")[0] == 206, "the place is free again"


def test_the_doors_close_when_nobody_asks(site: Site) -> None:
    giver = site.member("giver")
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener, Contents(giver.layout, frozenset()), TOKEN, 1)
    begin = time.monotonic()
    url = f"{url_of(server)}/news"
    threading.Timer(0.1, lambda: answer(url, token="another")).start()
    asked = server.asked
    server.serve(idle=0.3)
    server.server_close()
    assert server.asked == asked, "who has no token keeps nothing open"
    assert 0.3 <= time.monotonic() - begin < 5


# News


def test_news_of_a_run(site: Site) -> None:
    giver, model = site.member("giver"), site.host.model("one.safetensors", size=SIZE)
    lost = site.host.model("two.safetensors", size=SIZE)
    site.host.forge.fault("status", "/models/two*", status=404)
    contents = Contents(giver.layout, frozenset({model["sha256"], lost["sha256"]}))
    assert (contents.news().run, contents.news().whole) == ("expected", frozenset())
    context = giver.context(model, lost)
    with Progress(giver.layout.models_progress) as progress:
        progress.file("one", SIZE, model["sha256"])
    assert contents.news().run == "ended"
    with pytest.raises(FleetError):
        converge(context)
    news = read_news(contents.news().text().encode())
    assert (news.run, news.whole) == ("ended", frozenset({model["sha256"]}))
    assert "404" in news.failed[lost["sha256"]]
    with pytest.raises(SystemExit), Progress(giver.layout.models_progress):
        assert contents.news().run == "running"
        sys.exit(1)
    assert contents.news().run == "broken"
    with pytest.raises(SystemExit), Progress(giver.layout.models_progress):
        sys.exit(0)
    assert contents.news().run == "ended"
    assert Contents(giver.layout, frozenset()).news().run == "expected", "it is of a run before"


def test_a_run_is_known_by_its_process_and_not_by_clocks(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = Contents(host.layout, frozenset())
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    with Progress(host.layout.models_progress):
        monkeypatch.undo()
        assert contents.news().run == "running", "the clock was set meanwhile, twice"
        document = json.loads(host.layout.models_progress.read_text())
    host.layout.models_progress.write_text(json.dumps({**document, "start_time": "1"}))
    assert contents.news().run == "broken", "another process has its pid by now"


# Taking


def test_the_seed_fetches_and_the_other_takes(site: Site) -> None:
    model = site.host.model("one.safetensors", size=SIZE)
    seed, other = site.member("seed"), site.member("other")
    server, own = site.serves(seed, model), site.serves(other, model)
    waiting = threading.Thread(target=lambda: converge(site.context(other, model, "seed", seed=server)))
    waiting.start()
    time.sleep(0.3)
    assert site.host.gets("/models/") == [], "it waits for the seed to begin"
    converge(site.context(seed, model, None, other=own))
    waiting.join()
    assert stored(other, model) == stored(seed, model)
    assert [request.sent for request in site.host.gets("/models/")] == [SIZE]


def test_a_damaged_copy_is_not_believed(site: Site) -> None:
    model = site.host.model("one.safetensors", size=SIZE)
    liar, giver, taker = site.member("liar"), site.member("giver"), site.member("taker")
    for member in (liar, giver):
        converge(member.context(model))
    damaged = bytearray(stored(liar, model))
    damaged[SIZE // 2] ^= 1
    liar.stored(model).chmod(0o644)
    liar.stored(model).write_bytes(damaged)
    bad, good = site.serves(liar, model), site.serves(giver, model)
    site.host.forget()
    converge(site.context(taker, model, "liar", liar=bad, giver=good))
    assert stored(taker, model) == stored(giver, model)
    another = site.member("another")
    with pytest.raises(FleetError, match=r"the seed liar does not give it: .*damaged.*comfy_verify=deep on liar"):
        converge(site.context(another, model, "liar", liar=bad))
    assert not another.stored(model).exists()
    assert site.host.gets("/models/") == []
    converge(site.context(another, model, None, liar=bad))
    assert [request.sent for request in site.host.gets("/models/")] == [SIZE], "a seed fetches what no peer has right"


def test_who_is_busy_is_waited_for(site: Site) -> None:
    model = site.host.model("one.safetensors", size=SIZE)
    giver, taker = site.member("giver"), site.member("taker")
    converge(giver.context(model))
    server = site.serves(giver, model, uploads=1)
    site.host.forget()
    assert server.uploads.acquire()
    threading.Timer(0.5, server.uploads.release).start()
    converge(site.context(taker, model, None, giver=server))
    assert stored(taker, model) == stored(giver, model)
    assert site.host.gets("/models/") == []


def test_a_busy_host_is_asked_by_one_download_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PAUSE_SECONDS", (0.1, 0.1))
    models = [site.host.model(f"{number}.safetensors", size=SIZE, seed=str(number)) for number in range(8)]
    giver, taker = site.member("giver"), site.member("taker")
    converge(giver.context(*models))
    server = site.serves(giver, *models, uploads=1)
    asked: list[float] = []
    acquire = server.uploads.acquire

    def is_free(blocking: bool = True) -> bool:
        asked.append(time.monotonic())
        return len(asked) > 13 and acquire(blocking)

    monkeypatch.setattr(server.uploads, "acquire", is_free)
    known = (Peer("giver", url_of(server)),)
    converge(taker.context(*models, peers=known, peers_token=TOKEN, seed="giver"))
    assert asked[12] - asked[7] > 0.35, "at first they all ask, then one every 0.1 s"


def test_a_host_that_has_gone_keeps_nobody_waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "NEWS_TIMEOUT_SECONDS", 0.5)
    model = site.host.model("one.safetensors", size=SIZE)
    seed, taker = site.member("seed"), site.member("taker")
    server, own = site.serves(seed, model), site.serves(taker, model)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        known = (Peer("seed", url_of(server)), Peer("gone", f"http://127.0.0.1:{silent.getsockname()[1]}"))
        context = taker.context(model, peers=known, seed="seed", peers_token=TOKEN)
        threading.Timer(1.0, lambda: converge(site.context(seed, model, None, taker=own))).start()
        converge(context)
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert stored(taker, model) == stored(seed, model)


def test_a_name_in_capitals_is_told_the_secret(site: Site) -> None:
    model = site.host.model("one.safetensors", size=SIZE)
    giver, taker = site.member("giver"), site.member("taker")
    converge(giver.context(model))
    known = (Peer("GPU1", url_of(site.serves(giver, model)).replace("127.0.0.1", "LocalHost")),)
    converge(taker.context(model, peers=known, seed="GPU1", peers_token=TOKEN))
    assert stored(taker, model) == stored(giver, model)


def test_a_seed_that_fails_says_why_to_all(site: Site) -> None:
    model = site.host.model("one.safetensors", size=SIZE)
    seed, other = site.member("seed"), site.member("other")
    server = site.serves(seed, model)
    site.host.forge.fault("status", "/models/one*", status=403)
    with pytest.raises(FleetError):
        converge(seed.context(model))
    site.host.forget()
    with pytest.raises(FleetError, match=r"the seed seed could not fetch it: .* answers 403"):
        converge(site.context(other, model, "seed", seed=server))
    assert site.host.gets("/models/") == []


def test_a_seed_that_nobody_reaches(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "UNREACHED_SECONDS", 0.2)
    model = site.host.model("one.safetensors", size=SIZE)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    member = site.member("other")
    context = member.context(model, peers=(Peer("seed", f"http://127.0.0.1:{port}"),), seed="seed", peers_token=TOKEN)
    with pytest.raises(FleetError, match=r"the seed seed does not answer: .*refused.*comfy_seed_address"):
        converge(context)
    wrong = site.serves(site.member("seed"), model)
    wrong.token = "of another run"
    with pytest.raises(FleetError, match=r"the seed seed does not answer: .* answers 401"):
        converge(site.context(site.member("third"), model, "seed", seed=wrong))


def test_a_seed_that_goes_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "UNREACHED_SECONDS", 0.5)
    model = site.host.model("one.safetensors", size=SIZE)
    server = site.serves(site.member("seed"), model)
    threading.Timer(0.3, lambda: setattr(server, "token", "of another run")).start()
    with pytest.raises(FleetError, match=r"seed answers no longer: .* answers 401.*Run it again, without seed"):
        converge(site.context(site.member("other"), model, "seed", seed=server))


def test_what_came_from_the_source_is_gone_on_with_from_a_peer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ATTEMPTS", 1)
    model = site.host.model("one.safetensors", size=SIZE)
    giver, taker = site.member("giver"), site.member("taker")
    converge(giver.context(model))
    whole, half = stored(giver, model), SIZE // 2
    site.host.forge.fault("short-body", "/models/one*", after=half)
    with pytest.raises(FleetError):
        converge(taker.context(model))
    # It would not be the model if the first half were asked for again.
    giver.stored(model).chmod(0o644)
    giver.stored(model).write_bytes(bytes(half) + whole[half:])
    converge(site.context(taker, model, "giver", giver=site.serves(giver, model)))
    assert stored(taker, model) == whole


def test_who_takes_nothing_keeps_no_place(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Handler, "timeout", 0.3)
    model = site.host.model("large.safetensors", size=20_000_000)
    giver = site.member("giver")
    converge(giver.context(model))
    server = site.serves(giver, model, uploads=1)
    with socket.create_connection(("127.0.0.1", server.server_address[1])) as stuck:
        target = place_of(server, model).removeprefix(url_of(server))
        stuck.sendall(f"GET {target} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        stuck.recv(1)
        assert answer(place_of(server, model), Range="bytes=0-0")[0] == 503
        assert server.uploads.acquire(timeout=5)


def test_a_proxy_of_the_environment_is_not_asked_for_the_neighbour(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    model = site.host.model("one.safetensors", size=SIZE)
    giver, taker = site.member("giver"), site.member("taker")
    converge(giver.context(model))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    converge(site.context(taker, model, "giver", giver=site.serves(giver, model)))
    assert stored(taker, model) == stored(giver, model)


# The process


MODULE = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.comfyops.fleet.plugins.modules import comfy_seed
with patch_module_args(json.load(sys.stdin)):
    comfy_seed.main()
"""


@pytest.fixture
def module(host: Host) -> Iterator[Callable[..., dict[str, t.Any]]]:
    """Runs the module as a process of its own; at the end nothing serves."""

    def run(**options: t.Any) -> dict[str, t.Any]:
        command = [sys.executable, "-c", MODULE]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        given = json.dumps({"root": str(host.layout.root), **options})
        done = subprocess.run(command, input=given, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        found: dict[str, t.Any] = json.loads(done.stdout)
        return found

    yield run
    run(state="stopped")


def test_the_doors_outlive_the_module_and_close_when_told(host: Host, module: Callable[..., dict[str, t.Any]]) -> None:
    model = host.model("one.safetensors", size=SIZE)
    context = host.context(model)
    converge(context)
    options = {"lock": context.lock.document, "address": "127.0.0.1", "token": TOKEN}
    opened = module(**options)
    place = f"{opened['url']}/sha256/{model['sha256'][:2]}/{model['sha256']}"
    assert opened["changed"]
    assert answer(place)[1] == stored(host, model)
    record = json.loads(host.layout.seed_record.read_text())
    assert pathlib.Path(f"/proc/{record['pid']}/comm").read_text() == "comfy_seed\n"
    again = module(**{**options, "token": "of the next run"})
    assert start_time(record["pid"]) is None, "one serves at a time"
    assert answer(f"{again['url']}/news", token="of the next run")[0] == 200
    assert module(state="stopped", _ansible_check_mode=True)["changed"] is False
    assert module(state="stopped")["changed"]
    assert not host.layout.seed_record.exists()
    assert module(state="stopped")["changed"] is False
    with pytest.raises(OSError, match="refused"):
        answer(f"{again['url']}/news")


def test_a_record_of_a_process_that_is_no_more_ends_nobody(host: Host, module: Callable[..., dict[str, t.Any]]) -> None:
    module(lock=host.context().lock.document, address="127.0.0.1", token=TOKEN)
    record = json.loads(host.layout.seed_record.read_text())
    os.kill(record["pid"], signal.SIGKILL)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        host.layout.seed_record.write_text(json.dumps({**record, "pid": bystander.pid}))
        assert module(state="stopped")["changed"] is False
        assert bystander.poll() is None
        bystander.kill()
    assert not host.layout.seed_record.exists()


def test_a_port_that_is_taken_and_an_address_that_is_none(host: Host, module: Callable[..., dict[str, t.Any]]) -> None:
    options = {"lock": host.context().lock.document, "address": "127.0.0.1", "token": TOKEN}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        failed = module(**options, port=taken.getsockname()[1])
    assert failed["failed"]
    assert "Set comfy_seed_port to another" in failed["msg"]
    failed = module(**{**options, "address": "nowhere.invalid"})
    assert "Set comfy_seed_address of this host" in failed["msg"]
    behind_translation = module(**{**options, "address": "192.0.2.7"})
    assert answer(behind_translation["url"].replace("192.0.2.7", "127.0.0.1") + "/news")[0] == 200


def test_a_name_that_is_loopback_here_alone(host: Host, module: Callable[..., dict[str, t.Any]]) -> None:
    options = {"lock": host.context().lock.document, "token": TOKEN}
    # A way to write 127.0.0.1 that every machine knows, as Debian's machines know their own name for 127.0.1.1.
    opened = module(**options, address="127.1")
    assert answer(opened["url"].replace("127.1", "127.0.0.2") + "/news")[0] == 200, "others reach it"
    opened = module(**options, address="127.0.0.1")
    with pytest.raises(OSError, match="refused"):
        answer(opened["url"].replace("127.0.0.1", "127.0.0.2") + "/news")


def test_an_address_of_ipv6(host: Host, module: Callable[..., dict[str, t.Any]]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    model = host.model("one.safetensors", size=SIZE)
    context = host.context(model)
    converge(context)
    opened = module(lock=context.lock.document, token=TOKEN, address="::1")
    assert opened["url"].startswith("http://[::1]:")
    taker = Host(host.forge, host.directory / "taker")
    known = (Peer("seed", opened["url"]),)
    converge(taker.context(model, peers=known, seed="seed", peers_token=TOKEN))
    assert stored(taker, model) == stored(host, model)
