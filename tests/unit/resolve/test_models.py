# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models at lock time, from servers that speak as the Hub, civitai and plain sites do."""

from __future__ import annotations

import base64
import collections.abc as c
import hashlib
import re
import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution, resolve_models
from tests.support.forge import Forge
from tests.support.forge.web import redirect, static

Entry = dict[str, t.Any]
GGUF = b"GGUF" + bytes(3000)


def spec(source: str, name: str = "m.safetensors", **more: t.Any) -> Entry:
    """A model of a normalized spec."""
    found = {"name": name, "source": source, "paths": [f"$MODELS_DIR/loras/{name}"], "sha256": None, "size": None}
    return {**found, "optional": False, **more}


def resolve(forge: Forge, *models: Entry, **more: t.Any) -> list[Entry]:
    """resolve_models on a forge."""
    settings = ModelResolution(
        hf_endpoint=more.pop("hf_endpoint", forge.hub_url),
        civitai_endpoint=forge.civitai_url,
        credentials=more.pop("credentials", {}),
        allow_http=False,
        model_mirrors=more.pop("model_mirrors", ()),
    )
    arguments: dict[str, t.Any] = {"kept": {}, "upgrade": (), "report": lambda _line: None, **more}
    return resolve_models(models, settings=settings, **arguments)


def refused(forge: Forge, model: Entry, **more: t.Any) -> str:
    """The error's text for a single model."""
    with pytest.raises(FleetError) as caught:
        resolve(forge, model, **more)
    assert str(caught.value).startswith("/models/0/source: ")
    return str(caught.value)


def methods(forge: Forge) -> set[str]:
    return {request.method for request in forge.requests}


def test_a_file_of_the_hub_gets_its_commit_and_hash_without_a_download(forge: Forge) -> None:
    repository = forge.hub("org/repo")
    file = repository.file("split files/vae/x.safetensors")
    commit = repository.commit()
    source = "hf://org/repo@main/split files/vae/x.safetensors"
    [entry] = resolve(forge, spec(source, "x.safetensors"))
    assert entry == {
        "name": "x.safetensors",
        "source": source,
        "url": f"https://huggingface.co/org/repo/resolve/{commit}/split%20files/vae/x.safetensors",
        "sha256": file.sha256,
        "size": file.size,
        "paths": ["$MODELS_DIR/loras/x.safetensors"],
        "optional": False,
    }
    assert methods(forge) == {"HEAD"}


def test_a_branch_with_a_slash_and_a_full_commit(forge: Forge) -> None:
    repository = forge.hub("org/repo")
    repository.file("x.safetensors", seed="old")
    old = repository.commit("refs/pr/1")
    repository.file("x.safetensors", seed="new")
    repository.commit()
    [one, two] = resolve(
        forge, spec("hf://org/repo@refs%2Fpr%2F1/x.safetensors"), spec(f"hf://org/repo@{old}/x.safetensors", "y.sft")
    )
    assert one["url"] == two["url"] == f"https://huggingface.co/org/repo/resolve/{old}/x.safetensors"


def test_a_small_file_of_the_hub_that_has_no_hash_there_is_read(forge: Forge) -> None:
    repository = forge.hub("org/repo")
    repository.file("config.json", '{"a": 1}', lfs=False)
    commit = repository.commit()
    [entry] = resolve(forge, spec("hf://org/repo@main/config.json", "config.json"))
    assert entry["sha256"] == hashlib.sha256(b'{"a": 1}').hexdigest()
    assert entry["size"] == 8
    assert any(request.method == "GET" and commit in request.path for request in forge.requests)


def test_gated_repositories(forge: Forge) -> None:
    repository = forge.hub("org/gated", gated_token="secret")
    repository.unknown_tokens.add("mistyped")
    file = repository.file("x.safetensors")
    repository.commit()
    model = spec("hf://org/gated@main/x.safetensors")
    page = "https://huggingface.co/org/gated"
    ways = {
        "": f"org/gated is gated. It needs HF_TOKEN and acceptance of the licence at {page}. Set HF_TOKEN to a token",
        "outsider": f"was accepted, but its account has no access yet: accept the licence at {page} with it",
        "mistyped": "The token was not accepted: it is mistyped, expired or revoked. Set HF_TOKEN to a token",
    }
    for token, expected in ways.items():
        text = refused(forge, model, credentials={"127.0.0.1": token} if token else {})
        assert expected in text
        assert not token or token not in text.replace("is mistyped, expired", "")
    forge.forget_requests()
    [entry] = resolve(forge, model, credentials={"127.0.0.1": "secret"})
    assert entry["sha256"] == file.sha256
    assert all("authorization" not in request.headers for request in forge.requests if request.port == "blob")


def test_a_token_of_the_environment_goes_nowhere_by_itself(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    repository = forge.hub("org/repo")
    repository.file("x.safetensors")
    repository.commit()
    resolve(forge, spec("hf://org/repo@main/x.safetensors"))
    assert all("authorization" not in request.headers for request in forge.requests)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("hf://org/none@main/x.safetensors", "there is no repository org/none, or it is private"),
        ("hf://org/repo@v9/x.safetensors", "org/repo has no revision 'v9'"),
        ("hf://org/repo@main/y.safetensors", "org/repo has no file 'y.safetensors' at main"),
    ],
)
def test_what_the_hub_does_not_have(forge: Forge, source: str, reason: str) -> None:
    repository = forge.hub("org/repo")
    repository.file("x.safetensors")
    repository.commit()
    assert reason in refused(forge, spec(source))


def test_a_hub_that_can_not_be_reached(forge: Forge) -> None:
    text = refused(forge, spec("hf://org/repo@main/x.safetensors"), hf_endpoint=f"http://127.0.0.1:{closed_port()}")
    assert "did not answer" in text
    assert "comfy_hf_endpoint" in text


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_a_hub_over_plain_http_is_not_asked(forge: Forge) -> None:
    text = refused(forge, spec("hf://org/repo@main/x.safetensors"), hf_endpoint="http://hub.example")
    assert "comfy_hf_endpoint: http://hub.example is plain http" in text


def test_a_page_that_is_no_hub(forge: Forge) -> None:
    forge.fault("html", "/hub/*", methods=("HEAD", "GET"))
    assert "does not answer as the Hub does" in refused(forge, spec("hf://org/repo@main/x.safetensors"))


def test_civitai_tells_everything(forge: Forge) -> None:
    version = forge.civitai(128713)
    file = version.file("style.safetensors", size=5001)
    version.token = "secret"
    [entry] = resolve(forge, spec("civitai://128713"))
    assert entry["url"] == f"https://civitai.com/api/download/models/128713?fileId={file.number}"
    assert (entry["sha256"], entry["size"]) == (file.sha256, 5001)
    assert not any("download" in request.path for request in forge.requests)


def test_the_query_chooses_among_civitais_files(forge: Forge) -> None:
    version = forge.civitai(7)
    version.file("whole.safetensors")
    pickled = version.file("whole.ckpt", file_format="PickleTensor", content_kind="bytes")
    vae = version.file("whole.vae.safetensors", kind="VAE")
    [one, two] = resolve(
        forge,
        spec("civitai://7?format=PickleTensor", "a.ckpt"),
        spec("civitai://7?type=VAE&format=SafeTensor", "b.sft"),
    )
    assert one["url"] == f"https://civitai.com/api/download/models/7?format=PickleTensor&fileId={pickled.number}"
    assert (one["sha256"], two["sha256"]) == (pickled.sha256, vae.sha256)
    text = refused(forge, spec("civitai://7?type=Config"))
    assert "model version 7 has no file of type Config; it has\n" in text
    assert f"\n  fileId={vae.number}: whole.vae.safetensors (VAE, SafeTensor)" in text


def test_size_and_precision_choose_too(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    version = forge.civitai(8)
    full, pruned = version.file("full.safetensors"), version.file("pruned.safetensors")
    described = version._description

    def with_metadata(file: t.Any) -> Entry:
        more = {"size": "full", "fp": "fp32"} if file is full else {"size": "pruned", "fp": "fp16"}
        found = described(file)
        return {**found, "metadata": {"format": "SafeTensor", **more}}

    monkeypatch.setattr(version, "_description", with_metadata)
    [one, two] = resolve(forge, spec("civitai://8?fp=fp16", "a.sft"), spec("civitai://8?size=full", "b.sft"))
    assert (one["sha256"], two["sha256"]) == (pruned.sha256, full.sha256)


def test_one_of_civitais_files_by_its_id(forge: Forge) -> None:
    version = forge.civitai(7)
    version.file("whole.safetensors")
    other = version.file("pruned.safetensors")
    [entry] = resolve(forge, spec(f"civitai://7?fileId={other.number}"))
    assert (entry["sha256"], entry["url"].endswith(f"/7?fileId={other.number}")) == (other.sha256, True)
    assert "has no file of fileId 99; it has" in refused(forge, spec("civitai://7?fileId=99"))


def test_several_files_of_civitai_that_fit(forge: Forge) -> None:
    version = forge.civitai(7)
    version.file("whole.safetensors")
    clip = version.file("clip.safetensors", kind="Text Encoder")
    t5 = version.file("t5.safetensors", kind="Text Encoder")
    text = refused(forge, spec("civitai://7?type=Text+Encoder"))
    assert "model version 7 has 2 files of type Text Encoder and none of them is the primary one; it has\n" in text
    assert f"fileId={t5.number}: t5.safetensors (Text Encoder, SafeTensor)" in text
    assert "whole.safetensors" not in text
    assert f"Choose one: civitai://7?fileId={clip.number}" in text


def test_the_number_of_a_model_in_place_of_its_version(forge: Forge) -> None:
    forge.civitai(70).file("x.safetensors")
    forge.civitai(71).file("x.safetensors")
    text = refused(forge, spec("civitai://7"))
    assert "7 is no model version but a model, with the versions 71 (version 71), 70 (version 70)" in text


def test_a_version_that_is_not_for_download(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    version = forge.civitai(71)
    version.file("x.safetensors")
    described = version.description
    monkeypatch.setattr(version, "description", lambda: {**described(), "usageControl": "Generation"})
    assert "model version 71 is not for download" in refused(forge, spec("civitai://71"))


def test_a_version_of_another_model_than_the_spec_says(forge: Forge) -> None:
    file = forge.civitai(71).file("x.safetensors")
    [entry] = resolve(forge, spec("civitai://71?model=7"))
    assert entry["url"] == f"https://civitai.com/api/download/models/71?fileId={file.number}"
    assert "model version 71 is one of model 7, not of 9" in refused(forge, spec("civitai://71?model=9"))


def test_civitai_versions_that_are_not_there_or_have_no_hash(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "answers 404" in refused(forge, spec("civitai://404"))
    version = forge.civitai(9)
    version.file("x.safetensors")
    described = version._description
    monkeypatch.setattr(version, "_description", lambda file: {**described(file), "hashes": {}})
    assert "civitai has no SHA256 of x.safetensors" in refused(forge, spec("civitai://9"))
    monkeypatch.setattr(version, "_description", lambda file: {**described(file), "sizeKB": 3.9})
    assert resolve(forge, spec("civitai://9"))[0]["size"] is None, "a rounded size says nothing"


def announcing(monkeypatch: pytest.MonkeyPatch, headers: c.Callable[[bytes], dict[str, str]]) -> None:
    """Let the forge's plain models be served with further headers, for who asks for digests."""

    def serve(request: t.Any, path: Path, etag: str) -> t.Any:
        asked = {"want-repr-digest", "x-amz-checksum-mode"} <= request.headers.keys()
        return static(request, path, etag, headers=headers(path.read_bytes()) if asked else {})

    monkeypatch.setattr("tests.support.forge.models.static", serve)


def in_base64(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        lambda content: {"Repr-Digest": f"sha-512=:AAAA:, sha-256=:{in_base64(content)}:"},
        lambda content: {"Content-Digest": f"sha-256=:{in_base64(content)}:"},
        lambda content: {"Digest": f"SHA-256={in_base64(content)}"},
        lambda content: {"X-Checksum-Sha256": hashlib.sha256(content).hexdigest().upper()},
        lambda content: {"x-amz-checksum-sha256": in_base64(content)},
        lambda content: {"x-amz-meta-sha256": hashlib.sha256(content).hexdigest()},
        lambda content: {"x-goog-meta-sha256": hashlib.sha256(content).hexdigest()},
        lambda content: {"X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"'},
    ],
    ids=[
        "Repr-Digest",
        "Content-Digest",
        "Digest",
        "X-Checksum-Sha256",
        "x-amz-checksum-sha256",
        "x-amz-meta-sha256",
        "x-goog-meta-sha256",
        "X-Linked-Etag",
    ],
)
def test_digests_that_servers_announce(
    forge: Forge, headers: c.Callable[[bytes], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    announcing(monkeypatch, headers)
    model = forge.model("big.safetensors", size=11_000_000)
    [entry] = resolve(forge, spec(model.url))
    assert (entry["url"], entry["sha256"], entry["size"]) == (model.url, model.sha256, model.size)
    assert methods(forge) == {"HEAD"}


@pytest.mark.parametrize(
    "headers",
    [
        lambda content: {"x-amz-checksum-sha256": f"{in_base64(content)}-3"},
        lambda content: {"x-amz-checksum-sha256": in_base64(content), "x-amz-checksum-type": "COMPOSITE"},
        lambda content: {"Content-Digest": f"sha-256=:{in_base64(content)}:", "Content-Range": "bytes 0-0/11000000"},
        lambda content: {"ETag": f'"{hashlib.md5(content).hexdigest()}"', "x-goog-hash": f"md5={in_base64(content)}"},
    ],
    ids=["of parts", "composite", "of a part", "md5"],
)
def test_a_digest_of_something_else_is_none_of_the_file(
    forge: Forge, headers: c.Callable[[bytes], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    announcing(monkeypatch, headers)
    assert "nobody says its sha256" in refused(forge, spec(forge.model("big.safetensors", size=11_000_000).url))


def test_nobody_knows_the_hash_of_a_large_file(forge: Forge) -> None:
    text = refused(forge, spec(forge.model("big.safetensors", size=11_000_000).url))
    assert "nobody says its sha256, neither the spec nor the server" in text
    assert '"checksum": "sha256:' in text
    assert "comfy_lock_models=download, which reads 11.0 MB on this machine" in text
    assert "comfy_lock_models=<host>" in text
    assert methods(forge) == {"HEAD"}


def test_a_small_file_is_read(forge: Forge) -> None:
    model = forge.model("small.safetensors")
    assert resolve(forge, spec(model.url))[0]["sha256"] == model.sha256


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"<html><title>Sign in</title></html>", "an HTML page ('Sign in')"), (b'{"error": 1}', "a JSON document")],
)
def test_a_page_is_not_locked_as_a_model(forge: Forge, content: bytes, what: str) -> None:
    page = forge.model("page.safetensors", content)
    assert f"gives {what}" in refused(forge, spec(page.url))


def test_a_page_does_not_give_a_model_its_size(forge: Forge) -> None:
    model = forge.model("page.safetensors")
    forge.fault("html", "/models/page.safetensors", methods=("GET", "HEAD"))
    assert "gives an HTML page in place of the model" in refused(forge, spec(model.url, sha256=model.sha256))


def test_the_specs_checksum_and_size_need_no_request(forge: Forge) -> None:
    [entry] = resolve(forge, spec("https://models.example/x.safetensors", sha256="a" * 64, size=5))
    assert (entry["sha256"], entry["size"]) == ("a" * 64, 5)
    assert forge.requests == []


def test_the_specs_checksum_and_the_servers_size(forge: Forge) -> None:
    model = forge.model("big.safetensors", size=11_000_000)
    [entry] = resolve(forge, spec(model.url, sha256=model.sha256))
    assert (entry["sha256"], entry["size"]) == (model.sha256, 11_000_000)


def test_a_mirror_knows_the_size_where_the_source_is_out_of_reach(forge: Forge) -> None:
    model = forge.model("x.safetensors")
    url = f"http://127.0.0.1:{closed_port()}/x.safetensors"
    [entry] = resolve(forge, spec(url, sha256=model.sha256), model_mirrors=(forge.mirror_url,))
    assert (entry["url"], entry["size"]) == (url, model.size)


@pytest.mark.parametrize("status", [405, 501, 403])
def test_a_server_that_does_not_know_head(forge: Forge, status: int) -> None:
    model = forge.model("big.safetensors", size=11_000_000)
    forge.fault("status", "/models/*", status=status, methods=("HEAD",))
    [entry] = resolve(forge, spec(model.url, sha256=model.sha256))
    assert entry["size"] == 11_000_000
    assert sum(request.sent for request in forge.requests if request.method == "GET") == 1


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"sha256": "b" * 64}, "the spec says sha256 " + "b" * 64 + ", the source says "),
        ({"size": 17}, "the spec says size 17, the source says 4096"),
    ],
)
def test_a_spec_and_a_source_that_disagree(forge: Forge, more: Entry, text: str) -> None:
    repository = forge.hub("org/repo")
    repository.file("x.safetensors")
    repository.commit()
    forge.civitai(3).file("x.safetensors")
    for source in ("hf://org/repo@main/x.safetensors", "civitai://3", forge.model("x.safetensors").url):
        if source.startswith("http") and "sha256" in more:
            continue
        assert text in refused(forge, spec(source, **more))


def test_faults_of_plain_sites(forge: Forge) -> None:
    gated = forge.model("gated.safetensors", token="secret")
    assert re.search(r"answers 401 .*comfy_credentials", refused(forge, spec(gated.url)))
    assert "answers 404" in refused(forge, spec(f"{forge.base_url}/models/none.safetensors"))
    assert "cannot be reached" in refused(forge, spec(f"http://127.0.0.1:{closed_port()}/x.safetensors"))
    assert "plain http" in refused(forge, spec("http://models.example/x.safetensors"))
    forge.model("circle.safetensors")
    forge.fault("redirect-loop", "/models/circle.safetensors", methods=("HEAD",))
    assert "in a circle" in refused(forge, spec(f"{forge.base_url}/models/circle.safetensors"))


def test_a_token_stays_with_its_host(forge: Forge) -> None:
    model = forge.model("gated.safetensors", token="secret", redirects=True)
    resolve(forge, spec(model.url), credentials={"127.0.0.1": "secret"})
    assert {request.port for request in forge.requests if "authorization" in request.headers} == {"main"}
    assert {request.port for request in forge.requests} == {"main", "blob"}


def test_a_redirect_to_plain_http_elsewhere(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    model = forge.model("x.safetensors", redirects=True)
    monkeypatch.setattr("tests.support.forge.models.redirect", lambda *_arguments: redirect("http://evil.example/x"))
    assert "plain http" in refused(forge, spec(model.url))


def test_a_file_of_the_control_node(forge: Forge, tmp_path: Path) -> None:
    path = tmp_path / "my model.gguf"
    path.write_bytes(GGUF)
    [entry] = resolve(forge, spec(path.as_uri()))
    expected = (path.as_uri(), hashlib.sha256(GGUF).hexdigest(), len(GGUF))
    assert (entry["url"], entry["sha256"], entry["size"]) == expected
    path.unlink()
    text = refused(forge, spec(path.as_uri()))
    assert "it is not on the control node, and the spec does not say its sha256" in text
    assert "comfy_lock_models=<host>" in text
    [entry] = resolve(forge, spec(path.as_uri(), sha256="a" * 64))
    assert (entry["sha256"], entry["size"]) == ("a" * 64, None)
    path.mkdir()
    assert "can not be read (Is a directory)" in refused(forge, spec(path.as_uri()))


def test_all_faults_at_once_in_the_specs_order(forge: Forge) -> None:
    models = [spec(f"civitai://{number}", f"{number}.sft") for number in range(1, 6)]
    forge.civitai(3).file("x.safetensors")
    with pytest.raises(Failures) as caught:
        resolve(forge, *models)
    assert [fault.where for fault in caught.value.faults] == [f"/models/{number}/source" for number in (0, 1, 3, 4)]


def test_busy_sites_are_asked_again(forge: Forge) -> None:
    forge.civitai(7).file("x.safetensors")
    repository = forge.hub("org/repo")
    repository.file("a/config.json", "{}", lfs=False)
    repository.commit()
    model = forge.model("x.safetensors")
    for path in ("/civitai/*", "/models/*", "/hub/api/*", "/hub/org/repo/resolve/*"):
        forge.fault("status", path, status=503, times=1, methods=("GET", "HEAD"))
    folder = spec("hf://org/repo@main/a/", "a", paths=["$MODELS_DIR/a/"])
    assert len(resolve(forge, spec("civitai://7", "c.sft"), spec(model.url), folder)) == 3


def test_entries_come_in_the_specs_order_and_are_asked_side_by_side(forge: Forge) -> None:
    models = [spec(forge.model(f"{number}.safetensors").url, f"{number}.sft") for number in range(8)]
    forge.fault("delay", "/models/*", methods=("HEAD",), seconds=0.2)
    entries = resolve(forge, *models)
    assert [entry["name"] for entry in entries] == [model["name"] for model in models]
    starts = [request.started for request in forge.requests if request.method == "HEAD"]
    assert max(starts) - min(starts) < 0.8


def kept_and_moved(forge: Forge) -> tuple[Entry, Entry]:
    """A model of the Hub that has moved on since it was locked."""
    repository = forge.hub("org/repo")
    repository.file("x.safetensors", seed="old")
    repository.commit()
    model = spec("hf://org/repo@main/x.safetensors")
    [entry] = resolve(forge, model)
    repository.file("x.safetensors", seed="new")
    repository.commit()
    forge.forget_requests()
    return model, entry


def test_what_is_locked_stays_and_asks_nobody(forge: Forge) -> None:
    model, entry = kept_and_moved(forge)
    moved = {**model, "name": "y.sft", "paths": ["$MODELS_DIR/vae/y.sft"], "optional": True}
    [again] = resolve(forge, moved, kept={entry["source"]: [entry]})
    assert again == {**entry, "name": "y.sft", "paths": ["$MODELS_DIR/vae/y.sft"], "optional": True}
    assert resolve(forge, {**model, "sha256": entry["sha256"]}, kept={entry["source"]: [entry]}) == [entry]
    assert forge.requests == []


@pytest.mark.parametrize("upgrade", [("m.safetensors",), ("all",)])
def test_only_an_upgrade_moves(forge: Forge, upgrade: tuple[str, ...]) -> None:
    model, entry = kept_and_moved(forge)
    assert resolve(forge, model, kept={entry["source"]: [entry]}, upgrade=("other",)) == [entry]
    [again] = resolve(forge, model, kept={entry["source"]: [entry]}, upgrade=upgrade)
    assert again["sha256"] != entry["sha256"]
    assert again["url"] != entry["url"]


def test_what_no_longer_fits_the_spec_is_asked_again(forge: Forge) -> None:
    model, entry = kept_and_moved(forge)
    wanted = resolve(forge, model)[0]["sha256"]
    [again] = resolve(forge, {**model, "sha256": wanted}, kept={entry["source"]: [entry]})
    assert again["sha256"] == wanted


def test_it_says_what_it_asks(forge: Forge) -> None:
    lines: list[str] = []
    resolve(forge, spec(f"{forge.model('x.safetensors').url}?secret=1"), report=lines.append)
    assert lines == [f"m.safetensors: asking {forge.base_url}/models/x.safetensors"]
