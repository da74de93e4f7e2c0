# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes that come free, as the file system counts them."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import freed, human
from tests.support.lab.testing import demand_lab

if t.TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


@pytest.fixture
def volume(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of its own, so that what is free there is what a removal gives."""
    demand_lab()
    place = tmp_path / "volume"
    place.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=32m", "none", str(place)), check=True)
    yield place
    subprocess.run(("umount", "--lazy", str(place)), check=True)


def test_it_is_what_df_says_afterwards(volume: pathlib.Path) -> None:
    doomed, stays = volume / "doomed", volume / "stays"
    (doomed / "deep").mkdir(parents=True)
    stays.mkdir()
    (doomed / "alone").write_bytes(b"x" * MIB)
    (doomed / "deep" / "twice").write_bytes(b"x" * 2 * MIB)
    os.link(doomed / "deep" / "twice", doomed / "twice again")
    (doomed / "shared").write_bytes(b"x" * 4 * MIB)
    os.link(doomed / "shared", stays / "shared")
    (doomed / "link").symlink_to(stays)
    before = os.statvfs(volume)
    assert freed([doomed]) == {volume.stat().st_dev: 3 * MIB}
    subprocess.run(("rm", "-r", str(doomed)), check=True)
    assert (os.statvfs(volume).f_bfree - before.f_bfree) * before.f_frsize == 3 * MIB


def test_names_in_several_places_go_together(tmp_path: pathlib.Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    (tmp_path / "first" / "file").write_bytes(os.urandom(MIB))
    os.link(tmp_path / "first" / "file", tmp_path / "second" / "file")
    assert sum(freed([tmp_path / "first"]).values()) < MIB
    assert sum(freed([tmp_path / "first", tmp_path / "second"]).values()) >= MIB


def test_what_a_link_leads_to_stays(tmp_path: pathlib.Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_bytes(os.urandom(MIB))
    (tmp_path / "link").symlink_to("there")
    assert sum(freed([tmp_path / "link"]).values()) < MIB


def test_what_is_gone_by_now_does_not_count(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(MIB))
    assert sum(freed([tmp_path / "gone", tmp_path / "file"]).values()) >= MIB


def test_sizes_are_in_the_units_that_disks_are_sold_in() -> None:
    shown = {0: "0 B", 812: "812 B", 84_000: "84.0 kB", 999_949: "999.9 kB", 999_960: "1.0 MB", 2_689_433_125: "2.7 GB"}
    shown |= {-3_400_000: "-3.4 MB", 999_999_999_999: "1.0 TB", 12_345_000_000_000_000: "12345.0 TB"}
    assert {size: human(size) for size in shown} == shown
