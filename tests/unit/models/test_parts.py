# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts: what is there is known exactly after a kill, and never believed to be more after the machine went down."""

from __future__ import annotations

import hashlib
import itertools
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.models import part as parts
from ansible_collections.comfyops.fleet.plugins.module_utils.models import part_journal
from ansible_collections.comfyops.fleet.plugins.module_utils.models.connections import Climb
from ansible_collections.comfyops.fleet.plugins.module_utils.models.pace import Pace
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part, Revoked
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part_journal import bytes_held, merged
from ansible_collections.comfyops.fleet.plugins.module_utils.models.spans import Spans
from tests.support.processes import environment

CONTENT = random.Random(5).randbytes(6_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def fill(part: Part, start: int, end: int) -> None:
    run = part.run(start)
    run.write(CONTENT[start:end])
    part.end(run)


def test_what_was_written_with_holes_is_there_again(tmp_path: pathlib.Path) -> None:
    with Part(tmp_path, SHA256) as part:
        for start, end in ((0, 1000), (5000, 7000), (2000, 3000), (1000, 2000)):
            fill(part, start, end)
        assert part.spans == [(0, 3000), (5000, 7000)]
    assert bytes_held(tmp_path, SHA256) == 5000
    with Part(tmp_path, SHA256) as part:
        assert (part.spans, part.frontier) == ([(0, 3000), (5000, 7000)], 3000)
        for start, end in ((7000, len(CONTENT)), (3000, 5000)):
            fill(part, start, end)
        assert part.whole
        part.commit(tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole"]


def test_runs_of_several_threads(tmp_path: pathlib.Path) -> None:
    chance = random.Random(7)
    edges = sorted({0, len(CONTENT), *(chance.randrange(len(CONTENT)) for _number in range(60))})
    pieces = list(itertools.pairwise(edges))
    chance.shuffle(pieces)
    with Part(tmp_path, SHA256) as part:

        def fill_every_sixth(first: int) -> None:
            for start, end in pieces[first::6]:
                fill(part, start, end)

        threads = [threading.Thread(target=fill_every_sixth, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert part.frontier == part.size == len(CONTENT)
        assert part.whole


def test_a_run_of_a_part_that_was_begun_anew_writes_no_more(tmp_path: pathlib.Path) -> None:
    with Part(tmp_path, SHA256) as part:
        run = part.run(3000)
        run.write(b"old")
        part.reset()
        with pytest.raises(Revoked):
            run.write(b"old")
        with pytest.raises(Revoked):
            part.run(3000, part.generation - 1)
        fill(part, 0, len(CONTENT))
        assert part.whole
    with pytest.raises(Revoked):
        part.run(0)


def test_after_a_reboot_only_what_was_synchronized_is_believed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SETTLE_SECONDS", 0.05)
    with Part(tmp_path, SHA256) as part:
        fill(part, 0, 1000)
        fill(part, 4000, 6000)
        deadline = time.monotonic() + 5
        while part._unsettled and time.monotonic() < deadline:
            time.sleep(0.01)
        monkeypatch.setattr(parts, "SETTLE_SECONDS", 60)
        time.sleep(0.1)
        fill(part, 8000, 9000)
    monkeypatch.setattr(part_journal, "boot_id", lambda: "another")
    assert bytes_held(tmp_path, SHA256) == 3000
    with Part(tmp_path, SHA256) as part:
        assert part.spans == [(0, 1000), (4000, 6000)]


@pytest.mark.parametrize("damage", [b"", b"comfyrun", b"nonsense" * 100])
def test_a_damaged_journal_costs_the_part(tmp_path: pathlib.Path, damage: bytes) -> None:
    with Part(tmp_path, SHA256) as part:
        fill(part, 4000, 6000)
    (tmp_path / f"{SHA256}.runs").write_bytes(damage)
    with Part(tmp_path, SHA256) as part:
        assert part.spans == []
        fill(part, 0, len(CONTENT))
        assert part.whole


WRITER = """
import pathlib, random, sys, threading
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part
content = random.Random(5).randbytes(6_000_000)
def write(part, start, end):
    run = part.run(start)
    for place in range(start, end, 5000):
        run.write(content[place:min(end, place + 5000)])
    part.end(run)
with Part(pathlib.Path(sys.argv[1]), sys.argv[2]) as part:
    print("begin", flush=True)
    while True:
        edges = sorted({0, len(content), *(random.randrange(len(content)) for _number in range(8))})
        held = part.spans
        gaps = [(a, b) for a, b in zip(edges[:-1], edges[1:]) if not any(s < b and a < e for s, e in held)]
        threads = [threading.Thread(target=write, args=(part, a, b)) for a, b in gaps]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
"""


def test_killed_writers_leave_a_part_that_says_what_it_has(tmp_path: pathlib.Path) -> None:
    chance = random.Random(3)
    for number in range(12):
        directory = tmp_path / str(number)
        for _kill in range(2):
            command = [sys.executable, "-c", WRITER, str(directory), SHA256]
            with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(chance.uniform(0, 0.03))
                process.send_signal(signal.SIGKILL)
        with Part(directory, SHA256) as part, part.path.open("rb") as stream:
            for start, end in part.spans:
                assert os.pread(stream.fileno(), end - start, start) == CONTENT[start:end]
            gaps = part.spans
            for start, end in zip(
                [0, *(end for _start, end in gaps)], [*(s for s, _e in gaps), 6_000_000], strict=True
            ):
                fill(part, start, end)
            assert part.whole


def test_spans_are_merged() -> None:
    assert merged([(5, 7), (0, 2), (2, 3), (6, 9), (4, 4)]) == [(0, 3), (5, 9)]


def test_claims_stay_close_to_the_first_gap() -> None:
    spans = Spans([(0, 10 << 20)], 4 << 30)
    first = spans.take(0.0, alone=True, undivided=True)
    assert first is not None
    assert (first.start, first.end) == (10 << 20, 4 << 30)
    second = spans.take(8 << 20, alone=False)
    assert second is not None
    assert (first.end, second.start, second.end) == (42 << 20, 42 << 20, 74 << 20)
    third = spans.take(8 << 20, alone=False)
    assert third is not None
    assert third.start == 74 << 20
    spans.advance(second, 1 << 20)
    spans.release(second)
    again = spans.take(8 << 20, alone=False)
    assert again is not None
    assert (again.start, again.end) == (43 << 20, 74 << 20), "what a connection has left is brought next"


def test_one_that_is_alone_leaves_some_for_those_who_may_come() -> None:
    spans = Spans([], 1 << 30)
    first = spans.take(0.0, alone=True)
    assert first is not None
    assert (first.start, first.end) == (0, 32 << 20)
    other = spans.take(0.0, alone=False)
    assert other is not None
    assert other.start == 32 << 20
    small = Spans([], 20 << 20).take(0.0, alone=True)
    assert small is not None
    assert small.end == 20 << 20


def test_the_end_of_a_file_is_shared() -> None:
    spans = Spans([], 100 << 20)
    first = spans.take(0.0, alone=True, undivided=True)
    assert first is not None
    first.begun -= 80
    spans.advance(first, 80 << 20)
    while (other := spans.take(1 << 30, alone=False)) and first.end == 90 << 20:
        assert other.start >= 90 << 20
        spans.advance(other, other.left)
        spans.release(other)
    assert other is not None
    assert (first.end, other.start) == (85 << 20, 85 << 20)
    spans.advance(other, 5 << 20)
    spans.release(other)
    first.begun += 79.9
    assert spans.take(1 << 30, alone=False) is None, "what comes soon is left to who brings it"
    first.begun -= 100
    first.position = (85 << 20) - 1000
    rest = spans.take(1 << 30, alone=False)
    assert rest is not None
    assert (rest.start, rest.end, first.left) == (first.position, 85 << 20, 0), "one that hardly moves loses all"
    spans.advance(rest, 1000)
    spans.release(rest)
    assert spans.take(1 << 30, alone=False) is None


@pytest.mark.parametrize(
    ("each", "line", "expected"),
    [(4, 1000, 16), (4, 33, 8), (1000, 1000, 1), (4, 17, 4)],
)
def test_connections_are_as_many_as_help(each: int, line: int, expected: int) -> None:
    """each: what one connection brings; line: what all may bring together."""
    climb, count, windows = Climb(16), 1, 1
    counts = []
    for number in range(60):
        former = count
        count = climb.decide(number * 0.3, former, min(line, each * former), windows, 100.0)
        windows = windows + 1 if count == former else 1
        counts.append(count)
    assert statistics.mode(counts) == expected


def test_no_trial_for_a_download_that_ends_soon() -> None:
    assert Climb(16).decide(0.0, 1, 100.0, 1, 2.0) == 1


def test_the_pace_is_that_of_all_threads() -> None:
    pace = Pace(2_000_000)
    taken: list[int] = []

    def read() -> None:
        while time.monotonic() < end:
            taken.append(pace.take(100_000))

    end = time.monotonic() + 1
    threads = [threading.Thread(target=read) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1_500_000 < sum(taken) < 2_600_000
