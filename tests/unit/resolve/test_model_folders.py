# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders and patterns of the Hub become files, with names and paths that one can tell beforehand."""

from __future__ import annotations

import hashlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import model_folders
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution, resolve_models
from tests.support.forge import Forge

Entry = dict[str, t.Any]
FILES = (
    "model_index.json",
    "transformer/config.json",
    "transformer/part-1.safetensors",
    "transformer/part-2.safetensors",
    "transformer/sub/part-3.safetensors",
    "vae/vae.safetensors",
    ".gitattributes",
    "transformer/.hidden/x.safetensors",
)


@pytest.fixture
def commit(forge: Forge) -> str:
    """A repository as diffusers has them, at one commit."""
    repository = forge.hub("org/repo")
    for path in FILES:
        repository.file(
            path, None if path.endswith(".safetensors") else f"text of {path}", lfs=path.endswith("tensors")
        )
    return repository.commit()


def spec(path: str, target: str = "$MODELS_DIR/diffusers/repo/", **more: t.Any) -> Entry:
    found = {"name": "repo", "source": f"hf://org/repo@main/{path}", "paths": [target], "sha256": None, "size": None}
    return {**found, "optional": False, **more}


def resolve(forge: Forge, *models: Entry, **more: t.Any) -> list[Entry]:
    settings = ModelResolution(forge.hub_url, None, more.pop("credentials", {}), False, ())
    arguments: dict[str, t.Any] = {"kept": {}, "upgrade": (), "report": lambda _line: None, **more}
    return resolve_models(models, settings=settings, **arguments)


def found(forge: Forge, path: str) -> list[str]:
    """The files of org/repo that a path stands for."""
    facts = model_folders.expand(
        f"hf://org/repo@main/{path}", forge.hub_url, ModelResolution(None, None, {}, False, ()).access
    )
    return [each.url.partition("/resolve/")[2].partition("/")[2] for each in facts]


def test_a_folder_becomes_its_files(forge: Forge, commit: str) -> None:
    entries = resolve(forge, spec("transformer/"))
    names = ["config.json", "part-1.safetensors", "part-2.safetensors", "sub/part-3.safetensors"]
    assert [entry["name"] for entry in entries] == [f"repo/{name}" for name in names]
    assert [entry["paths"] for entry in entries] == [[f"$MODELS_DIR/diffusers/repo/{name}"] for name in names]
    base = f"https://huggingface.co/org/repo/resolve/{commit}/transformer"
    assert [entry["url"] for entry in entries] == [f"{base}/{name}" for name in names]
    text = b"text of transformer/config.json"
    assert (entries[0]["sha256"], entries[0]["size"]) == (hashlib.sha256(text).hexdigest(), len(text))
    assert {entry["source"] for entry in entries} == {"hf://org/repo@main/transformer/"}
    assert not any("/resolve/" in request.path and "safetensors" in request.path for request in forge.requests)


@pytest.mark.usefixtures("commit")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", [1, 2, 3, 4, 5, 6]),
        ("vae/", [6]),
        ("*", [1]),
        ("*.json", [1]),
        ("**", [1, 2, 3, 4, 5, 6]),
        ("**/*.json", [1, 2]),
        ("transformer/*.safetensors", [3, 4]),
        ("transformer/**/*.safetensors", [3, 4, 5]),
        ("*/part-[12].safetensors", [3, 4]),
        ("transformer/part-[!1].safetensors", [4]),
        ("transformer/.hidden/*", [8]),
        (".git*", [7]),
        ("trans*/sub/", [5]),
    ],
)
def test_patterns(forge: Forge, path: str, expected: list[int]) -> None:
    assert found(forge, path) == sorted(FILES[number - 1] for number in expected)


def test_the_paths_of_a_pattern_begin_behind_its_folder(forge: Forge, commit: str) -> None:
    entries = resolve(forge, spec("*/sub/*.safetensors"), spec("transformer/*.safetensors", "$MODELS_DIR/x/"))
    assert entries[0]["paths"] == ["$MODELS_DIR/diffusers/repo/transformer/sub/part-3.safetensors"]
    assert entries[1]["paths"] == ["$MODELS_DIR/x/part-1.safetensors"]
    assert commit in entries[1]["url"]


@pytest.mark.parametrize("mirror", [False, True])
def test_long_listings_come_in_pages(forge: Forge, commit: str, mirror: bool) -> None:
    repository = forge.hub("org/repo")
    repository.page_size = 2
    # A mirror that passes on where the Hub itself has the next page: the token must not go there.
    repository.next_page_origin = "https://huggingface.co" if mirror else None
    forge.forget_requests()
    assert len(resolve(forge, spec("transformer/"), credentials={"127.0.0.1": "secret"})) == 4
    pages = [request for request in forge.requests if "/tree/" in request.path]
    assert len(pages) > 2
    assert all(commit in request.path for request in pages)


def test_a_dataset(forge: Forge) -> None:
    repository = forge.hub("datasets/org/set")
    repository.file("a/x.safetensors")
    commit = repository.commit()
    [entry] = resolve(forge, {**spec("a/"), "source": "hf://datasets/org/set@main/a/"})
    assert entry["url"] == f"https://huggingface.co/datasets/org/set/resolve/{commit}/a/x.safetensors"
    assert entry["name"] == "repo/x.safetensors"


def test_what_is_locked_stays_with_other_names_and_targets(forge: Forge, commit: str) -> None:
    entries = resolve(forge, spec("transformer/"))
    repository = forge.hub("org/repo")
    repository.file("transformer/new.safetensors")
    assert repository.commit() != commit
    forge.forget_requests()
    kept = {entries[0]["source"]: entries}
    moved = resolve(forge, spec("transformer/", "$MODELS_DIR/y/", name="other", optional=True), kept=kept)
    assert forge.requests == []
    assert [entry["url"] for entry in moved] == [entry["url"] for entry in entries]
    assert moved[3]["paths"] == ["$MODELS_DIR/y/sub/part-3.safetensors"]
    assert (moved[3]["name"], moved[3]["optional"]) == ("other/sub/part-3.safetensors", True)
    again = resolve(forge, spec("transformer/"), kept=kept, upgrade=["repo"])
    assert [entry["name"] for entry in again][1] == "repo/new.safetensors"


def refused(forge: Forge, *models: Entry, **more: t.Any) -> str:
    with pytest.raises(FleetError) as caught:
        resolve(forge, *models, **more)
    return str(caught.value)


@pytest.mark.usefixtures("commit")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none/", "org/repo has no file 'none/' at main"),
        ("transformer/*.ckpt", "org/repo has no file that is transformer/*.ckpt at main"),
        ("[z-a].pt", "is no pattern"),
    ],
)
def test_nothing_to_lock(forge: Forge, path: str, reason: str) -> None:
    text = refused(forge, spec(path))
    assert text.startswith("/models/0/source: ")
    assert reason in text


def test_a_repository_and_a_revision_that_are_not_there(forge: Forge) -> None:
    model = {**spec("x/"), "source": "hf://org/none@main/x/"}
    assert "there is no repository org/none, or it is private. Check the repository's name" in refused(forge, model)
    forge.hub("org/repo").commit()
    model = {**spec("x/"), "source": "hf://org/repo@v9/x/"}
    assert "org/repo has no revision 'v9'" in refused(forge, model)


def test_two_models_that_want_one_path(forge: Forge, commit: str) -> None:
    assert commit
    text = refused(forge, spec("transformer/"), spec("transformer/*.json", name="twin"))
    assert "$MODELS_DIR/diffusers/repo/config.json: twin/config.json of " in text
    assert "and repo/config.json of " in text


def test_a_path_of_the_repository_that_hosts_must_not_have(forge: Forge) -> None:
    repository = forge.hub("org/repo")
    repository.file("a/nul.safetensors")
    repository.commit()
    assert "'a/nul.safetensors' is no path for a model" in refused(forge, spec("a/"))


def test_a_small_file_that_is_another_than_the_commits(
    forge: Forge, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    assert commit
    monkeypatch.setattr("tests.support.forge.hub.HubFile.blob_id", "0" * 40)
    assert "that are not the 31 of the file at that commit" in refused(forge, spec("transformer/"))


def test_a_gated_folder(forge: Forge) -> None:
    repository = forge.hub("org/gated", gated_token="secret")
    repository.file("a/config.json", "{}", lfs=False)
    repository.commit()
    model = {**spec("a/"), "source": "hf://org/gated@main/a/"}
    assert "acceptance of the licence at https://huggingface.co/org/gated" in refused(forge, model)
    assert len(resolve(forge, model, credentials={"127.0.0.1": "secret"})) == 1
