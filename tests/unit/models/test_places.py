# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that ComfyUI reads: how a model gets there, what becomes of what was there, and what is not touched."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Need
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.models.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.models.place import _beside
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob
from tests.support.lab.testing import demand_lab
from tests.unit.models.conftest import Host, actions, converge, leads_to, look, named


def cannot(*_arguments: object, **_options: object) -> t.NoReturn:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture
def no_symlinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without symbolic links."""
    monkeypatch.setattr(os, "symlink", cannot)


@pytest.fixture
def no_links(no_symlinks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without any links."""
    monkeypatch.setattr(os, "link", cannot)


@pytest.mark.usefixtures("no_symlinks")
def test_hard_links_where_there_are_no_symbolic_ones(host: Host) -> None:
    model = host.model("style.safetensors")
    converge(host.context(model))
    assert host.file("loras/style.safetensors").samefile(host.stored(model))
    assert not host.file("loras/style.safetensors").is_symlink()


@pytest.mark.usefixtures("no_links")
def test_copies_where_there_are_no_links(host: Host) -> None:
    model = host.model("style.safetensors")
    context = host.context(model)
    converge(context)
    path = host.file("loras/style.safetensors")
    assert path.stat().st_nlink == 1
    assert path.read_bytes() == host.stored(model).read_bytes()
    more = host.model("more.safetensors", size=10_000)
    needs = look(host.context(model, more)).needs
    assert Need(host.layout.models, 10_000) in needs, "copies take room, and here they are copies"
    assert Need(host.layout.store, 10_000) in needs
    path.chmod(0o644)
    path.write_bytes(b"edited")
    assert actions(look(context)) == [("replace", str(path))]
    converge(context)
    assert host.asides() == {"models/loras/style.safetensors": b"edited"}


@pytest.mark.usefixtures("no_symlinks")
def test_a_damaged_hard_link_damages_the_store_and_both_are_repaired(host: Host) -> None:
    model = host.model("style.safetensors", size=4096)
    context = host.context(model)
    converge(context)
    path = host.file("loras/style.safetensors")
    right = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"x" * 4096)
    assert actions(look(context)) == [("fetch", "style.safetensors"), ("replace", str(path))]
    converge(context)
    assert path.read_bytes() == right
    assert host.asides() == {"models/loras/style.safetensors": b"x" * 4096}


@pytest.mark.parametrize("links", ["symbolic", "hard", "none"])
def test_a_model_that_is_there_by_hand_is_adopted(host: Host, links: str, request: pytest.FixtureRequest) -> None:
    if links != "symbolic":
        request.getfixturevalue("no_symlinks" if links == "hard" else "no_links")
    model = host.model("style.safetensors")
    path = host.file("loras/style.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(host.forge.model("style.safetensors").content.data)
    context = host.context(model)
    [change] = named(look(context))
    assert (change.action, change.name, change.before) == ("adopt", "style.safetensors", str(path))
    assert sum(need.size for need in look(context).needs) == 0
    converge(context)
    assert host.forge.requests == []
    assert host.stored(model).read_bytes() == path.read_bytes()
    assert path.is_symlink() == (links == "symbolic")
    assert host.asides() == {}
    assert list(host.layout.partial.iterdir()) == []
    assert [each.name for each in path.parent.iterdir()] == ["style.safetensors"]


def test_adopting_works_offline(host: Host) -> None:
    model = host.model("style.safetensors")
    path = host.file("loras/style.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(host.forge.model("style.safetensors").content.data)
    converge(host.context(model, offline=True))
    assert leads_to(path) == str(host.stored(model))


def test_a_file_with_another_name_of_its_own_is_copied_into_the_store(host: Host) -> None:
    model = host.model("style.safetensors")
    path, other = host.file("loras/style.safetensors"), host.directory / "other name"
    path.parent.mkdir(parents=True)
    other.write_bytes(host.forge.model("style.safetensors").content.data)
    os.link(other, path)
    assert sum(need.size for need in look(host.context(model)).needs) == 4096
    converge(host.context(model))
    assert not other.samefile(host.stored(model)), "who has the other name may go on to write into it"
    assert os.access(other, os.W_OK)
    assert host.forge.requests == []


@pytest.mark.parametrize("taken_over", [True, False])
def test_a_file_of_another_user_is_not_left_for_that_one_to_write(
    host: Host, taken_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = host.model("style.safetensors")
    path = host.file("loras/style.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(host.forge.model("style.safetensors").content.data)
    inode = path.stat().st_ino
    # Who may have a lab may give files away.
    demand_lab()
    os.chown(path, 12345, 12345)
    if not taken_over:
        monkeypatch.setattr(os, "chown", cannot)
    converge(host.context(model))
    stored = host.stored(model).stat()
    assert (stored.st_uid, stored.st_mode & 0o777) == (os.geteuid(), 0o444)
    assert (stored.st_ino == inode) == taken_over
    assert leads_to(path) == str(host.stored(model))
    assert host.forge.requests == []


def test_somebodys_link_to_the_right_bytes_stays(host: Host) -> None:
    model = host.model("style.safetensors")
    path, other = host.file("loras/style.safetensors"), host.directory / "elsewhere.safetensors"
    path.parent.mkdir(parents=True)
    other.write_bytes(host.forge.model("style.safetensors").content.data)
    path.symlink_to(other)
    context = host.context(model)
    assert sum(need.size for need in look(context).needs) == 4096
    converge(context)
    assert os.readlink(path) == str(other)
    assert host.stored(model).read_bytes() == other.read_bytes()
    other.unlink()
    assert [(change.action, change.before) for change in named(look(context))] == [("replace", f"a link to {other}")]


def test_what_is_at_the_path_is_kept_aside(host: Host) -> None:
    models = [host.model(name) for name in ("file.sft", "folder.sft", "link.sft", "same-size.sft")]
    loras = host.file("loras")
    (loras / "folder.sft").mkdir(parents=True)
    (loras / "folder.sft" / "deep").write_bytes(b"deep")
    (loras / "file.sft").write_bytes(b"mine")
    (loras / "same-size.sft").write_bytes(b"z" * 4096)
    (host.directory / "target").write_bytes(b"target")
    (loras / "link.sft").symlink_to(host.directory / "target")
    planned = converge(host.context(*models))
    found = {change.name.rpartition("/")[2]: change.before for change in planned.changes if change.action == "replace"}
    assert found == {
        "file.sft": "other content, 4 B",
        "folder.sft": "a directory",
        "link.sft": f"a link to {host.directory}/target",
        "same-size.sft": "other content, 4.1 kB",
    }
    assert host.asides() == {
        "models/loras/file.sft": b"mine",
        "models/loras/folder.sft/deep": b"deep",
        "models/loras/link.sft": b"target",
        "models/loras/same-size.sft": b"z" * 4096,
    }
    assert (host.directory / "target").read_bytes() == b"target"
    assert len(list(host.layout.aside.iterdir())) == 1, "one directory for one converge"


def test_files_that_no_lock_names_are_never_touched(host: Host) -> None:
    mine = host.file("loras/mine.safetensors")
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    converge(host.context(host.model("style.safetensors")))
    assert mine.read_bytes() == b"mine"


def test_a_path_does_not_leave_its_root_through_somebodys_link(host: Host) -> None:
    elsewhere = host.directory / "elsewhere"
    elsewhere.mkdir()
    host.layout.models.mkdir(parents=True)
    host.file("loras").symlink_to(elsewhere)
    [obstacle] = look(host.context(host.model("style.safetensors"))).obstacles
    assert f"its directory is in truth {elsewhere}, outside of {host.layout.models}" in str(obstacle)
    assert obstacle.where == str(host.file("loras/style.safetensors"))


def test_a_link_that_was_made_after_the_look_is_not_followed_either(host: Host) -> None:
    context = host.context(host.model("style.safetensors"))
    planned = look(context)
    elsewhere = host.directory / "elsewhere"
    elsewhere.mkdir()
    host.layout.models.mkdir(parents=True)
    host.file("loras").symlink_to(elsewhere)
    with pytest.raises(FleetError, match="outside of"):
        apply(context, planned)
    assert list(elsewhere.iterdir()) == []


def test_right_bytes_behind_somebodys_directory_link_are_read_and_left(host: Host) -> None:
    model = host.model("style.safetensors")
    elsewhere = host.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "style.safetensors").write_bytes(host.forge.model("style.safetensors").content.data)
    host.layout.models.mkdir(parents=True)
    host.file("loras").symlink_to(elsewhere)
    converge(host.context(model))
    assert not (elsewhere / "style.safetensors").is_symlink()
    assert host.forge.requests == []
    assert host.stored(model).exists()


def test_a_file_in_the_place_of_a_directory(host: Host) -> None:
    host.layout.models.mkdir(parents=True)
    host.file("loras").write_bytes(b"a file")
    [obstacle] = look(host.context(host.model("style.safetensors"))).obstacles
    assert f"{host.file('loras')} is not a directory" in str(obstacle)


def test_directories_of_nodes_that_live_in_data_are_no_escape(host: Host) -> None:
    model = {**host.model("style.safetensors"), "paths": ["$COMFY_HOME/custom_nodes/x/weights/style.safetensors"]}
    context = host.context(model)
    (context.home / "custom_nodes/x").mkdir(parents=True)
    (host.layout.data / "nodes/x/weights").mkdir(parents=True)
    (context.home / "custom_nodes/x/weights").symlink_to("../../../../data/nodes/x/weights")
    converge(context)
    assert leads_to(host.layout.data / "nodes/x/weights/style.safetensors") == str(host.stored(model))


def test_links_are_absolute_between_roots(host: Host, tmp_path: pathlib.Path) -> None:
    host.layout = Layout(tmp_path / "root", models_dir=tmp_path / "big disk" / "models")
    model = host.model("style.safetensors")
    converge(host.context(model))
    assert os.readlink(host.file("loras/style.safetensors")) == str(host.stored(model))


def test_a_models_directory_that_is_itself_a_link(host: Host, tmp_path: pathlib.Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/models").symlink_to(tmp_path / "disk")
    model = host.model("style.safetensors")
    converge(host.context(model))
    assert leads_to(tmp_path / "disk/loras/style.safetensors") == str(host.stored(model))


def test_a_shared_root_has_the_bytes_once(host: Host, tmp_path: pathlib.Path) -> None:
    model = host.model("style.safetensors")
    for name in ("one", "two"):
        host.layout = Layout(tmp_path / name, shared_root=tmp_path / "volume")
        converge(host.context(model))
    assert len(host.gets("/models/")) == 1
    assert blob(Layout(tmp_path / "volume"), model["sha256"]).is_file()


@pytest.mark.parametrize("adopts", [False, True])
def test_a_host_that_waited_for_another_takes_what_that_one_has_brought(
    host: Host, adopts: bool, tmp_path: pathlib.Path
) -> None:
    model = host.model("style.safetensors")
    host.layout = Layout(tmp_path / "one", shared_root=tmp_path / "volume")
    first = host.context(model)
    second = dataclasses.replace(first, layout=Layout(tmp_path / "two", shared_root=tmp_path / "volume"))
    second.home.mkdir(parents=True)
    (second.home / "folder_paths.py").write_bytes((first.home / "folder_paths.py").read_bytes())
    donor = tmp_path / "volume" / "models" / "mine.bin"
    if adopts:
        donor.parent.mkdir(parents=True)
        donor.write_bytes(host.forge.model("style.safetensors").content.data)
    planned = look(second)
    converge(first)
    stored = host.stored(model).stat().st_ino
    apply(second, planned)
    assert len(host.gets("/models/")) == (0 if adopts else 1)
    assert host.stored(model).stat().st_ino == stored, "nobody writes what is there"


def test_a_directory_that_can_not_be_written_is_said_before_anything_changes(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.layout.models.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(host.layout.models))
    obstacles = look(host.context(host.model("style.safetensors"))).obstacles
    assert [obstacle.where for obstacle in obstacles] == [str(host.layout.models)]


def test_a_prepared_file_that_a_kill_has_left_is_used_up(host: Host) -> None:
    path = host.file("loras/style.safetensors")
    path.parent.mkdir(parents=True)
    _beside(path).write_bytes(b"half")
    converge(host.context(host.model("style.safetensors")))
    assert [each.name for each in path.parent.iterdir()] == ["style.safetensors"]
