# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large files over several connections: as many as help, each state of a file by itself, and servers that lie."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.models import spans
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part
from tests.unit.models.conftest import Host, converge, entry

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support import locks
    from tests.support.forge import LoggedRequest

pytestmark = pytest.mark.usefixtures("soon")
SIZE = 2_000_000
RATE = 1_000_000


def ranged(host: Host) -> list[LoggedRequest]:
    return [request for request in host.gets("/models/") if "range" in request.headers]


def together(host: Host) -> int:
    """The most connections that brought bytes at a time."""
    spans_of = [(each.started, each.started + each.seconds) for each in host.gets("/models/") if each.status < 300]
    return max(sum(begin <= moment < end for begin, end in spans_of) for moment, _end in spans_of)


def fetched(host: Host, model: locks.Document) -> float:
    """Converge, see that the file is right and nothing is left over; gives seconds."""
    begin = time.monotonic()
    converge(host.context(model))
    seconds = time.monotonic() - begin
    assert host.file(f"loras/{model['name']}").read_bytes() == host.forge.model(model["name"], size=SIZE).content.data
    assert list(host.layout.partial.iterdir()) == []
    return seconds


def test_slow_connections_are_many(host: Host) -> None:
    model = host.model("big.safetensors", size=SIZE)
    host.forge.fault("rate", "/models/*", rate=RATE)
    assert fetched(host, model) < 0.6 * SIZE / RATE
    assert 4 <= together(host) <= 16
    etag = f'"{model["sha256"][:32]}"'
    assert all(each.headers["if-range"] == etag and each.status == 206 for each in ranged(host))
    assert sum(each.sent for each in host.gets("/models/")) < 1.2 * SIZE


def test_no_more_connections_than_allowed(host: Host) -> None:
    host.forge.fault("rate", "/models/*", rate=RATE)
    models = [host.model(f"{number}.safetensors", size=SIZE // 2) for number in range(2)]
    converge(host.context(*models, model_connections=3))
    # One that was just left may still be in use as the server sees it.
    assert 2 < together(host) <= 4


def test_a_small_file_has_one(host: Host) -> None:
    host.forge.fault("rate", "/models/*", rate=RATE)
    converge(host.context(host.model("small.safetensors", size=300_000)))
    assert [each.headers.get("range") for each in host.gets("/models/")] == [None]


def test_a_bandwidth_limit_is_kept_by_all_together(host: Host) -> None:
    models = [host.model(f"{number}.safetensors", size=500_000) for number in range(3)]
    begin = time.monotonic()
    converge(host.context(*models, model_rate_limit=1_000_000))
    assert 1.2 < time.monotonic() - begin < 2.5
    assert ranged(host) == [], "more connections would bring nothing"


def test_a_server_that_gives_everything_when_asked_for_a_range(host: Host) -> None:
    """It says Accept-Ranges and does not mean it: begun anew, with one connection."""
    model = host.model("big.safetensors", size=SIZE)
    host.forge.fault("rate", "/models/*", rate=RATE)
    host.forge.fault("no-range", "/models/*")
    fetched(host, model)
    assert len([each for each in host.gets("/models/") if each.sent > 2 * RATE]) <= 2


def test_a_server_without_ranges_that_is_asked_for_one_at_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "FIRST_SHARE", 200_000)
    model = host.model("big.safetensors", size=SIZE)
    host.forge.fault("no-range", "/models/*")
    fetched(host, model)
    assert [(each.headers["range"], each.status, each.sent) for each in ranged(host)] == [("bytes=0-199999", 200, SIZE)]


def test_a_server_that_wants_one_connection_only(host: Host) -> None:
    model = host.model("big.safetensors", size=SIZE)
    host.forge.fault("rate", "/models/*", rate=RATE)
    host.forge.fault("busy", "/models/*", at_once=1, status=429, retry_after=60)
    fetched(host, model)
    assert together(host) == 1
    assert len([each for each in host.gets("/models/") if each.status == 429]) <= 2


def test_connections_that_break_off_and_stall(host: Host) -> None:
    model = host.model("big.safetensors", size=SIZE)
    host.forge.fault("rate", "/models/*", rate=RATE)
    later(0.3, lambda: host.forge.fault("short-body", "/models/*", after=30_000, times=6))
    later(0.6, lambda: host.forge.fault("stall", "/models/*", after=30_000, times=2))
    fetched(host, model)


def test_a_file_that_changes_while_it_comes(host: Host) -> None:
    """Nobody can have what the lock says any more: an error, and no stitched file."""
    model = host.model("big.safetensors", size=SIZE)
    host.forge.fault("rate", "/models/*", rate=RATE // 2)
    later(0.5, lambda: host.forge.model("big.safetensors", size=SIZE, seed="another"))
    with pytest.raises(FleetError, match=r"gave bytes with sha256 [0-9a-f]{64}, the lock says"):
        converge(host.context(model, model_connections=4))
    assert list(host.layout.partial.iterdir()) == []


def test_a_file_that_changes_into_what_the_lock_says(host: Host) -> None:
    right = host.forge.model("big.safetensors", size=SIZE, seed="right").content.data
    model = host.model("big.safetensors", size=SIZE, seed="former")
    host.forge.fault("rate", "/models/*", rate=RATE // 2)
    later(0.5, lambda: host.forge.model("big.safetensors", size=SIZE, seed="right"))
    converge(host.context(entry("big.safetensors", model["url"], right), model_connections=4))
    assert host.file("loras/big.safetensors").read_bytes() == right


def test_a_file_that_changes_its_size(host: Host) -> None:
    model = host.model("big.safetensors", size=SIZE)
    host.forge.fault("rate", "/models/*", rate=RATE // 2)
    host.forge.fault("short-body", "/models/*", after=SIZE // 3, times=1)
    later(0.5, lambda: host.forge.model("big.safetensors", size=SIZE + 1000, seed="longer"))
    with pytest.raises(FleetError, match=rf"has {SIZE + 1000} bytes, the lock says {SIZE}|the lock says [0-9a-f]"):
        converge(host.context(model, model_connections=4))


def test_a_part_with_holes_is_filled(host: Host) -> None:
    """What a killed converge has left, and nothing else, is fetched."""
    model = host.model("big.safetensors", size=SIZE)
    content = host.forge.model("big.safetensors", size=SIZE).content.data
    etag = f'"{model["sha256"][:32]}"'
    with Part(host.layout.partial, model["sha256"]) as part:
        for start, end in ((0, 300_000), (500_000, 900_000), (1_500_000, SIZE)):
            run = part.run(start)
            run.write(content[start:end])
            part.end(run)
        part.begin(model["url"], etag)
    fetched(host, model)
    asked = [(each.headers["range"], each.headers["if-range"], each.status) for each in ranged(host)]
    assert asked == [("bytes=300000-499999", etag, 206), ("bytes=900000-1499999", etag, 206)]


def later(seconds: float, act: Callable[[], object]) -> None:
    """Do something while a download runs."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
