# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system that can not hold two environments: said before, with numbers; or what is there goes first."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Need
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import RESERVE, obstacles
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.means import means_of, needs
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import discard, store_of
from tests.support.lab.testing import demand_lab
from tests.unit.packages.conftest import Host, converge, locked, look, site

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context

MIB = 1 << 20
# What one of the packages has in its wheel, which does not become smaller there.
CONTENT = 12 * MIB


@pytest.fixture
def narrow(host: Host) -> Iterator[Host]:
    """The host, with a file system of its own for one environment and what that is made of."""
    # Who may have a lab may mount.
    demand_lab()
    host.root.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={(RESERVE + 60 * MIB) // MIB}m", "none", str(host.root))
    subprocess.run(mount, check=True)
    yield host
    subprocess.run(("umount", "--lazy", str(host.root)), check=True)


def big(host: Host, version: str, size: int = CONTENT) -> dict[str, t.Any]:
    """A package that fills the file system by more than a half."""
    content = os.urandom(size)
    return locked(host.index.wheel("big", version, modules={"big/__init__.py": "", "big/content.bin": content}))


def two(host: Host, size: int = CONTENT) -> tuple[Context, Context]:
    """What serves, and what is to come in its place."""
    small = locked(host.index.wheel("small", "1.0"))
    first = host.context([big(host, "1.0", size), small])
    converge(first)
    return first, host.context([big(host, "2.0", size), small], replace_environments=True)


def test_too_little_room_is_said_before_anything_changes(narrow: Host) -> None:
    first, second = two(narrow)
    beside = dataclasses.replace(second, settings=dataclasses.replace(second.settings, replace_environments=False))
    host = sorted(narrow.root.rglob("*"))
    with pytest.raises(FleetError, match=r"\d+\.\d MB are needed and \d+\.\d MB are free.*comfy_space=replace") as told:
        converge(beside)
    assert str(narrow.root) in str(told.value)
    assert sorted(narrow.root.rglob("*")) == host
    assert look(first).changes == ()


def test_what_is_there_goes_first(narrow: Host) -> None:
    first, second = two(narrow)
    (made_room, *_others) = converge(second)
    assert (made_room.action, made_room.before) == (
        "make room",
        f"environments {first.environment.name}; 1 stored wheels",
    )
    assert [path.name for path in first.layout.envs.iterdir()] == [second.environment.name]
    assert (site(second) / "big" / "content.bin").stat().st_size == CONTENT
    assert converge(second) == ()


def test_where_both_fit_nothing_goes(host: Host) -> None:
    first, second = two(host)
    assert [change for change in converge(second) if change.action == "make room"] == []
    assert look(first).changes == ()


@pytest.mark.parametrize(("size", "actions"), [(CONTENT // 2, []), (CONTENT, ["make room"])])
def test_what_models_take_before_is_counted_with_what_can_go(narrow: Host, size: int, actions: list[str]) -> None:
    _first, second = two(narrow, size)
    planned = look(second)
    assert [change.action for change in planned.changes if change.action == "make room"] == actions
    status = os.statvfs(narrow.root)
    taken = sum(need.size for need in needs(second, means_of(second)))
    # What is left when the first environment and its wheel have made room.
    left = status.f_bavail * status.f_frsize - RESERVE + size - taken

    def faults(models: int) -> list[FleetError]:
        return obstacles(second.layout, dataclasses.replace(planned, needs=(*planned.needs, Need(narrow.root, models))))

    assert faults(left - MIB) == []
    (fault,) = faults(left + MIB)
    assert "are needed and" in fault.what


def test_nothing_goes_before_all_is_known_to_be_there(narrow: Host) -> None:
    first, second = two(narrow)
    gone = narrow.index.find("big-2.0-py3-none-any.whl")
    assert gone is not None
    narrow.index.remove(gone)
    with pytest.raises(FleetError, match=r"does not have big==2.0"):
        apply(second, look(second))
    assert look(first).changes == ()
    wheel = first.layout.cache / "brought" / gone.filename
    wheel.parent.mkdir()
    wheel.write_bytes(gone.content.data[:-1] + b"x")
    brought = dataclasses.replace(second, settings=dataclasses.replace(second.settings, wheels_dir=wheel.parent))
    with pytest.raises(FleetError, match=r"has other bytes for big==2.0 than the lock. Bring it again"):
        apply(brought, look(brought))
    assert look(first).changes == ()


def test_nothing_goes_while_something_runs_from_it(narrow: Host) -> None:
    first, second = two(narrow)
    python = first.home / ".venv" / "bin" / "python"
    with subprocess.Popen([python, "-c", "input()"], stdin=subprocess.PIPE) as running:
        with pytest.raises(FleetError, match=rf"{python} \(process {running.pid}\).*Stop them first"):
            converge(second)
        running.communicate(b"\n")
    assert look(first).changes == ()
    assert converge(second)


def test_edits_are_kept_when_a_damaged_environment_is_made_again(narrow: Host) -> None:
    first, _second = two(narrow)
    (site(first) / "mine.py").write_text("MINE = 1\n")
    for entry in store_of(first.layout).glob("*-cp*"):
        discard(entry)
    again = dataclasses.replace(first, settings=dataclasses.replace(first.settings, replace_environments=True))
    assert converge(again)[0].action == "make room"
    (kept,) = first.layout.aside.rglob("mine.py")
    assert kept.read_text() == "MINE = 1\n"


def test_not_even_then_is_there_room(narrow: Host) -> None:
    first, _second = two(narrow)
    huge = narrow.context([locked(narrow.index.wheel("huge", "1.0"), size=10**9)], replace_environments=True)
    with pytest.raises(FleetError, match=r"4\.\d GB are needed and \d+\.\d MB are free, \d+\.\d MB more when what can"):
        converge(huge)
    assert look(first).changes == ()


def test_the_rest_of_an_environment_that_was_being_removed_goes(host: Host) -> None:
    context = host.context([locked(host.index.wheel("small", "1.0"))])
    converge(context)
    rest = context.layout.envs / f".removed.{'0' * 12}"
    (rest / "bin").mkdir(parents=True)
    (change,) = converge(context)
    assert (change.action, change.name) == ("remove", f"unfinished environment {rest.name}")
    assert not rest.exists()
