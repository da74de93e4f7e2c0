# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in the cache of the Hub's libraries: the library itself finds them, without a network."""

from __future__ import annotations

import os
import pathlib
import typing as t

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution, resolve_models
from tests.unit.models.conftest import Host, converge, entry, look, switch

Entry = dict[str, t.Any]


def spec(path: str, **more: t.Any) -> Entry:
    found: Entry = {"name": "clip", "source": f"hf://org/clip@main/{path}", "paths": [], "sha256": None, "size": None}
    return {**found, "optional": False, "hf_cache": True, **more}


def locked(host: Host, *models: Entry, **more: t.Any) -> list[Entry]:
    settings = ModelResolution(host.forge.hub_url, None, {}, False, ())
    arguments: dict[str, t.Any] = {"kept": {}, "upgrade": (), "report": lambda _line: None, **more}
    return resolve_models(models, settings=settings, **arguments)


def cached(host: Host, path: str, revision: str = "main") -> pathlib.Path:
    """Where the library has a file, offline."""
    hub = host.layout.root / "data/cache/huggingface/hub"
    found = huggingface_hub.hf_hub_download(
        "org/clip", path, revision=revision, cache_dir=hub, local_files_only=True, token=False
    )
    return pathlib.Path(found)


def staged(host: Host, text: str) -> str:
    repository = host.forge.hub("org/clip")
    repository.file("config.json", text, lfs=False)
    repository.file("sub dir/model.safetensors", seed=text)
    return repository.commit()


def test_the_library_finds_a_repository(host: Host) -> None:
    commit = staged(host, "one")
    entries = locked(host, spec(""))
    assert [each["name"] for each in entries] == ["clip/config.json", "clip/sub dir/model.safetensors", "org/clip@main"]
    context = host.context(*entries, hf_endpoint=host.forge.hub_url)
    converge(context)
    host.forge.forget_requests()
    assert cached(host, "config.json").read_text() == "one"
    assert cached(host, "sub dir/model.safetensors", commit).stat().st_size == entries[1]["size"]
    hub = host.layout.root / "data/cache/huggingface/hub"
    folder = huggingface_hub.snapshot_download("org/clip", cache_dir=hub, local_files_only=True, token=False)
    assert pathlib.Path(folder).name == commit
    report = huggingface_hub.scan_cache_dir(hub)
    assert report.warnings == []
    assert host.forge.requests == []
    with pytest.raises(LocalEntryNotFoundError):
        cached(host, "none.json")


def test_a_branch_changes_with_the_switch_and_comes_back(host: Host) -> None:
    staged(host, "one")
    first = host.context(*locked(host, spec("config.json", name="config.json")), hf_endpoint=host.forge.hub_url)
    switch(first)
    staged(host, "two")
    entries = locked(host, spec("config.json", name="config.json"))
    second = host.context(*entries, core="2", hf_endpoint=host.forge.hub_url)
    converge(second)
    assert cached(host, "config.json").read_text() == "one"
    switch(second)
    assert cached(host, "config.json").read_text() == "two"
    assert look(second).changes == ()
    switch(first)
    assert cached(host, "config.json").read_text() == "one"


def test_what_is_in_the_cache_goes_with_the_last_lock_that_names_it(host: Host) -> None:
    commit = staged(host, "one")
    switch(host.context(*locked(host, spec("config.json")), hf_endpoint=host.forge.hub_url))
    assert cached(host, "config.json", commit).is_file()
    switch(host.context(core="2"))
    with pytest.raises(LocalEntryNotFoundError):
        cached(host, "config.json", commit)


def test_a_library_moves_a_branch_on_without_a_trace_in_the_store(host: Host) -> None:
    staged(host, "one")
    context = host.context(*locked(host, spec("config.json")), hf_endpoint=host.forge.hub_url)
    switch(context)
    store = {path: path.read_bytes() for path in host.layout.store.rglob("*") if path.is_file()}
    commit = staged(host, "two")
    hub = host.layout.hf_home / "hub"
    # huggingface_hub replaces the file since 2.0; before, it wrote into it.
    (hub / "models--org--clip/refs/main").write_text(commit)
    found = huggingface_hub.hf_hub_download("org/clip", "config.json", cache_dir=hub, endpoint=host.forge.hub_url)
    assert pathlib.Path(found).read_text() == "two"
    assert {path: path.read_bytes() for path in host.layout.store.rglob("*") if path.is_file()} == store
    assert [change.action for change in look(context).changes] == ["replace"]
    converge(context)
    assert cached(host, "config.json").read_text() == "one"


def test_a_library_that_follows_no_hub_finds_a_file_in_its_own_cache(host: Host) -> None:
    content = b"weights"
    place = "$XDG_CACHE_HOME/torch/hub/checkpoints/x.pth"
    model = entry("x.pth", f"data:,{content.decode()}", content, [place])
    context = host.context(model)
    switch(context)
    found = host.layout.root / "data/cache/torch/hub/checkpoints/x.pth"
    assert found.read_bytes() == content
    assert look(context).changes == ()
    switch(host.context(core="2"))
    assert not os.path.lexists(found)


def test_with_a_target_it_is_in_both_places(host: Host) -> None:
    commit = staged(host, "one")
    model = spec("config.json", paths=["$MODELS_DIR/clip/config.json"], source=f"hf://org/clip@{commit}/config.json")
    [only] = locked(host, model)
    assert only["paths"] == [
        "$MODELS_DIR/clip/config.json",
        f"$HF_HOME/hub/models--org--clip/snapshots/{commit}/config.json",
    ]


def test_a_branch_needs_no_network(host: Host) -> None:
    staged(host, "one")
    [_file, branch] = locked(host, spec("config.json"))
    converge(host.context(branch, offline=True))
    assert (host.layout.hf_home / "hub/models--org--clip/refs/main").read_text() == branch["url"].removeprefix("data:,")


def test_one_branch_at_two_commits(host: Host) -> None:
    staged(host, "one")
    [old, _branch] = locked(host, spec("config.json", name="config"))
    staged(host, "two")
    model = spec("sub dir/model.safetensors", name="model")
    with pytest.raises(
        FleetError, match=r"config,model are locked at different commits.*comfy_lock_upgrade=config,model"
    ):
        locked(host, spec("config.json", name="config"), model, kept={old["source"]: [old]})


def test_an_entry_of_the_lock_that_is_its_own_content_is_checked(host: Host) -> None:
    wrong = entry("org/clip@main", "data:,other", b"content", ["$HF_HOME/hub/models--org--clip/refs/main"])
    with pytest.raises(FleetError):
        converge(host.context(wrong))
