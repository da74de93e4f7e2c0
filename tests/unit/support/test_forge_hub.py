# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge's Hub, with the real huggingface_hub as its client, and the forge's civitai-like site."""

from __future__ import annotations

import json
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.errors
import pytest

if t.TYPE_CHECKING:
    from tests.support.forge import Forge


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> t.Any:
    """The client, without a token of the user and with a cache of its own."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    return huggingface_hub


def test_files_are_downloaded_by_branch_and_commit(forge: Forge, hub: t.Any) -> None:
    repository = forge.hub("org/loras")
    large = repository.file("style/x.safetensors", size=100_000)
    repository.file("README.md", "# loras\n", lfs=False)
    first = repository.commit()
    repository.file("README.md", "# more loras\n", lfs=False)
    second = repository.commit()
    for revision in ("main", first):
        path = hub.hf_hub_download("org/loras", "style/x.safetensors", revision=revision, endpoint=forge.hub_url)
        assert Path(path).read_bytes() == large.content.data
    read = {
        revision: Path(
            hub.hf_hub_download("org/loras", "README.md", revision=revision, endpoint=forge.hub_url)
        ).read_text()
        for revision in ("main", first, second)
    }
    assert read == {"main": "# more loras\n", first: "# loras\n", second: "# more loras\n"}
    metadata = hub.get_hf_file_metadata(f"{forge.hub_url}/org/loras/resolve/main/style/x.safetensors")
    assert (metadata.commit_hash, metadata.etag, metadata.size) == (second, large.sha256, 100_000)
    assert metadata.location.startswith(forge.blob_url)


def test_a_snapshot_and_the_tree_have_all_files(forge: Forge, hub: t.Any, tmp_path: Path) -> None:
    repository = forge.hub("org/set")
    files = [repository.file(path, size=1000) for path in ("a.safetensors", "vae/b.safetensors", "vae/deep/c.bin")]
    commit = repository.commit()
    target = tmp_path / "snapshot"
    hub.snapshot_download("org/set", local_dir=target, endpoint=forge.hub_url, allow_patterns=["vae/*"])
    assert {path.name for path in target.iterdir()} == {".cache", "vae"}
    assert {path.relative_to(target).as_posix() for path in target.glob("vae/**/*.*")} == {
        "vae/b.safetensors",
        "vae/deep/c.bin",
    }
    api = hub.HfApi(endpoint=forge.hub_url)
    information = api.model_info("org/set", files_metadata=True)
    assert information.sha == commit
    assert [(it.rfilename, it.lfs.sha256) for it in information.siblings] == [(it.path, it.sha256) for it in files]
    top = [entry.path for entry in api.list_repo_tree("org/set")]
    assert sorted(top) == ["a.safetensors", "vae"]
    below = [entry.path for entry in api.list_repo_tree("org/set", "vae", recursive=True)]
    assert sorted(below) == ["vae/b.safetensors", "vae/deep", "vae/deep/c.bin"]
    (entry,) = api.get_paths_info("org/set", ["vae/b.safetensors", "no"], revision=commit)
    assert (entry.size, entry.lfs.sha256) == (1000, files[1].sha256)


def test_a_gated_repository_needs_the_right_token_which_stays_at_the_hub(forge: Forge, hub: t.Any) -> None:
    file = forge.hub("org/gated", gated_token="hf_right").file("x.safetensors", size=1000)
    forge.hub("org/gated").commit()
    for token, status in ((False, 401), ("hf_wrong", 403)):
        with pytest.raises(hub.errors.GatedRepoError, match=str(status)):
            hub.hf_hub_download("org/gated", "x.safetensors", token=token, endpoint=forge.hub_url)
    path = hub.hf_hub_download("org/gated", "x.safetensors", token="hf_right", endpoint=forge.hub_url)
    assert Path(path).read_bytes() == file.content.data
    at_blobs = [request for request in forge.requests if request.port == "blob"]
    assert at_blobs
    assert not [request for request in at_blobs if "authorization" in request.headers]


def test_what_is_not_there_is_told_by_kind(forge: Forge, hub: t.Any) -> None:
    repository = forge.hub("org/set")
    repository.file("a.safetensors")
    repository.commit()
    wrong = [
        (("org/none", "a.safetensors", "main"), hub.errors.RepositoryNotFoundError),
        (("org/set", "b.safetensors", "main"), hub.errors.RemoteEntryNotFoundError),
        (("org/set", "a.safetensors", "0" * 40), hub.errors.RevisionNotFoundError),
    ]
    for (name, path, revision), error in wrong:
        with pytest.raises(error):
            hub.hf_hub_download(name, path, revision=revision, endpoint=forge.hub_url)
    repository.remove("a.safetensors")
    repository.commit()
    with pytest.raises(hub.errors.RemoteEntryNotFoundError):
        hub.hf_hub_download("org/set", "a.safetensors", endpoint=forge.hub_url)


def fetch(url: str, **headers: str) -> tuple[str, bytes]:
    """Where a URL leads to, and what is there."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        body: bytes = answer.read()
        return answer.url, body


def test_a_civitai_version_tells_its_files_and_gives_the_one_selected(forge: Forge) -> None:
    version = forge.civitai(4711)
    vae = version.file("vae.safetensors", size=5000)
    pickle = version.file("vae.ckpt", size=600, content_kind="bytes", file_format="PickleTensor")
    described = json.loads(fetch(f"{forge.civitai_url}/api/v1/model-versions/4711")[1])
    assert described["id"] == 4711
    first, second = described["files"]
    assert first["hashes"]["SHA256"] == vae.sha256.upper()
    assert (first["primary"], second["primary"]) == (True, False)
    assert first["sizeKB"] * 1024 == 5000
    assert (first["name"], second["metadata"]["format"]) == ("vae.safetensors", "PickleTensor")
    where, body = fetch(first["downloadUrl"])
    assert (where.startswith(forge.blob_url), body) == (True, vae.content.data)
    assert fetch(second["downloadUrl"])[1] == pickle.content.data
    for missing in ("api/v1/model-versions/1", "api/download/models/x", "api/download/models/4711?type=VAE", "api"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(f"{forge.civitai_url}/{missing}")


def test_a_civitai_download_may_need_a_token_in_header_or_query(forge: Forge) -> None:
    version = forge.civitai(5)
    version.token = "right"
    file = version.file("x.safetensors")
    for url in (version.download_url, f"{version.download_url}?token=wrong"):
        with pytest.raises(urllib.error.HTTPError, match="401") as raised:
            fetch(url)
        assert json.loads(raised.value.read())["error"] == "Unauthorized"
        raised.value.close()
    assert fetch(f"{version.download_url}?token=right")[1] == file.content.data
    # With the header urllib passes the token on to the second host, which refuses it.
    with pytest.raises(urllib.error.HTTPError, match="400"):
        fetch(version.download_url, Authorization="Bearer right")
