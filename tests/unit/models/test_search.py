# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine has already under another name is taken from there, and stays as it was."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.models import receipt, search
from tests.unit.models.conftest import Host, actions, converge, leads_to, look, named, switch


def content(host: Host, name: str = "style.safetensors") -> bytes:
    data: bytes = host.forge.model(name).content.data
    return data


def put(path: pathlib.Path, data: bytes) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def adopted(host: Host, donor: pathlib.Path, **settings: t.Any) -> None:
    """The model comes from the donor, which is as it was, and nobody is asked for it."""
    model = host.model("style.safetensors")
    before = donor.stat()
    context = host.context(model, offline=True, **settings)
    [change, _placed] = named(look(context))
    assert (change.action, change.name, change.before) == ("adopt", "style.safetensors", str(donor))
    assert sum(need.size for need in look(context).needs) == 4096, "it is copied"
    converge(context)
    assert host.stored(model).read_bytes() == content(host)
    assert leads_to(host.file("loras/style.safetensors")) == str(host.stored(model))
    after = donor.stat()
    assert (after.st_ino, after.st_mode, after.st_mtime_ns, after.st_nlink) == (
        before.st_ino,
        before.st_mode,
        before.st_mtime_ns,
        1,
    )
    assert host.forge.requests == []
    assert host.asides() == {}
    [copied] = json.loads(host.layout.models_progress.read_text())["files"]
    assert (copied["from"], copied["state"], copied["fetched"]) == (donor.as_uri(), "whole", 4096)


def test_a_file_of_another_name_below_models_dir(host: Host) -> None:
    host.model("style.safetensors")
    adopted(host, put(host.file("checkpoints/old/renamed.bin"), content(host)))


def test_a_file_in_a_search_path(host: Host) -> None:
    host.model("style.safetensors")
    old = host.directory / "old install" / "models"
    put(old / "vae" / "same-size.safetensors", b"x" * 4096)
    donor = put(old / "loras" / "deep" / "mine.safetensors", content(host))
    adopted(host, donor, model_search_paths=(host.directory / "none here", old))


def test_links_of_the_search_path_may_lead_in_a_circle(host: Host) -> None:
    host.model("style.safetensors")
    real = put(host.directory / "volume" / "mine.safetensors", content(host))
    old = host.directory / "old"
    (old / "sub").mkdir(parents=True)
    (old / "sub" / "up").symlink_to(old)
    (old / "gone").symlink_to(host.directory / "nowhere")
    (old / "volume").symlink_to(real.parent)
    adopted(host, old / "volume" / "mine.safetensors", model_search_paths=(old,))


def test_a_file_at_the_path_of_another_model(host: Host) -> None:
    one, two = host.model("one.safetensors"), host.model("two.safetensors")
    put(host.file("loras/one.safetensors"), content(host, "two.safetensors"))
    put(host.file("loras/two.safetensors"), content(host, "one.safetensors"))
    done = converge(host.context(one, two))
    assert host.forge.requests == []
    assert {action for action, _name in actions(done)} == {"adopt", "replace"}
    assert host.file("loras/one.safetensors").read_bytes() == content(host, "one.safetensors")
    assert host.file("loras/two.safetensors").read_bytes() == content(host, "two.safetensors")
    assert host.asides() == {}, "the bytes of both are in the store"


def test_a_donor_whose_path_waits_for_the_switch_stays_until_then(host: Host) -> None:
    first, second = host.model("first.safetensors"), host.model("second.safetensors", "first.safetensors")
    context = host.context(first)
    switch(context)
    path = host.file("loras/first.safetensors")
    third = host.model("third.safetensors")
    path.unlink()
    put(path, content(host, "third.safetensors"))
    after = host.context(second, third, core="2")
    converge(after)
    assert path.read_bytes() == content(host, "third.safetensors")
    assert not path.samefile(host.stored(third))
    assert os.access(path, os.W_OK)


def test_nothing_is_searched_where_all_is_there(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    context = host.context(host.model("style.safetensors"), model_search_paths=(host.directory,))
    converge(context)

    def refuse(*_arguments: object) -> t.NoReturn:
        raise AssertionError("searched")

    monkeypatch.setattr(search, "_files", refuse)
    assert look(context).changes == ()


def test_only_files_of_a_missing_size_are_read_and_the_store_is_not_searched(host: Host) -> None:
    there = host.model("there.safetensors")
    converge(host.context(there))
    put(host.file("loras/other.safetensors"), b"x" * 4095)
    put(host.file("loras/same.safetensors"), b"x" * 4096)
    receipt._read_here.clear()
    look(host.context(there, host.model("style.safetensors"), model_search_paths=(host.layout.root,)))
    assert [pathlib.Path(path).name for path in receipt._read_here] == ["same.safetensors"]
