# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources that do not give the model: each a clear error, nothing placed, nothing wrong kept."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import typing as t
import zipfile

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.models import store
from tests.unit.models.conftest import Host, converge, entry, look

if t.TYPE_CHECKING:
    from tests.support import locks


def refused(host: Host, *models: locks.Document, **settings: t.Any) -> str:
    """Converge in vain; gives the error's text, having made sure that nothing is there that should not be."""
    context = host.context(*models, **settings)
    with pytest.raises(FleetError) as caught:
        converge(context)
    for model in models:
        assert not host.stored(model).exists()
    assert not host.layout.models.exists(), "nothing is placed"
    assert not (context.home / "extra_model_paths.yaml").exists()
    return str(caught.value)


def parts(host: Host) -> list[str]:
    return sorted(path.name for path in host.layout.partial.iterdir())


def test_no_token(host: Host) -> None:
    gated = host.model("gated.safetensors", token="secret")
    text = refused(host, gated)
    port = host.forge.base_url.rpartition(":")[2]
    assert "model gated.safetensors: " in text
    assert "answers 401" in text
    assert f"Put a token for 127.0.0.1:{port} into comfy_credentials" in text


def test_wrong_token_is_not_repeated_in_the_error(host: Host) -> None:
    text = refused(host, host.model("gated.safetensors", token="secret"), credentials={"127.0.0.1": "mistaken"})
    assert "answers 403" in text
    assert "The token was not accepted" in text
    assert "mistaken" not in text


def test_gated_repository_of_the_hub(host: Host) -> None:
    repository = host.forge.hub("org/gated", gated_token="secret")
    file = repository.file("a/model.safetensors")
    url = f"https://huggingface.co/org/gated/resolve/{repository.commit()}/a/model.safetensors"
    model = entry("model.safetensors", url, file.content.data)
    text = refused(host, model, hf_endpoint=host.forge.hub_url)
    assert "Set HF_TOKEN" in text
    assert "It needs HF_TOKEN and acceptance of the licence at https://huggingface.co/org/gated" in text
    converge(host.context(model, hf_endpoint=host.forge.hub_url, credentials={"127.0.0.1": "secret"}))


def test_civitai_wants_a_token(host: Host) -> None:
    version = host.forge.civitai(77)
    version.token = "secret"
    model = entry(
        "c.safetensors", "https://civitai.com/api/download/models/77", version.file("c.safetensors").content.data
    )
    assert "Set CIVITAI_TOKEN" in refused(host, model, civitai_endpoint=host.forge.civitai_url)
    converge(host.context(model, civitai_endpoint=host.forge.civitai_url, credentials={"127.0.0.1": "secret"}))


def test_storage_that_refuses_is_no_matter_of_a_token(host: Host) -> None:
    model = host.model("signed.safetensors", redirects=True)
    host.forge.fault("status", "/blob/*", status=403)
    text = refused(host, model)
    assert "its storage refuses" in text
    assert "signature" not in text, "signed queries are cut from addresses"


def test_a_file_that_is_gone(host: Host) -> None:
    model = host.model("gone.safetensors")
    host.forge.remove_model("gone.safetensors")
    assert "answers 404" in refused(host, model)


def test_a_host_that_cannot_be_reached(host: Host) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x.safetensors"
        text = refused(host, entry("x.safetensors", url, b"x"))
    assert "cannot be reached" in text
    assert "Check the network" in text


def test_redirects_in_a_circle(host: Host) -> None:
    model = host.model("circle.safetensors")
    host.forge.fault("redirect-loop", "/models/circle.safetensors")
    assert "redirects in a circle" in refused(host, model)


def test_a_page_in_place_of_the_model(host: Host) -> None:
    model = host.model("page.safetensors")
    host.forge.fault("html", "/models/page.safetensors")
    assert "gave an HTML page ('Sign in') in place of the model" in refused(host, model)
    assert parts(host) == []


def test_a_page_does_not_cost_what_is_there_already(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    model = host.model("page.safetensors", size=50_000)
    host.forge.fault("short-body", "/models/page.safetensors", after=20_000, times=1)
    monkeypatch.setattr(store, "ATTEMPTS", 1)
    refused(host, model)
    host.forge.fault("html", "/models/page.safetensors")
    refused(host, model)
    assert (host.layout.partial / f"{model['sha256']}.part").stat().st_size == 20_000


def test_a_page_of_unknown_size(host: Host) -> None:
    model = {**host.model("page.safetensors"), "size": None}
    host.forge.fault("html", "/models/page.safetensors")
    assert "an HTML page" in refused(host, model)


def test_json_in_place_of_the_model(host: Host) -> None:
    wanted = host.model("wanted.safetensors")
    answer = host.forge.model("error.safetensors", json.dumps({"error": "log in first"}).encode())
    assert 'gave a JSON document ({"error": "log in first"})' in refused(host, {**wanted, "url": answer.url})


def test_a_model_that_is_json_by_its_name(host: Host) -> None:
    model = host.model("config.json", content=b'{"a": 1}')
    converge(host.context(model))
    assert host.file("loras/config.json").read_bytes() == b'{"a": 1}'


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"


def test_an_lfs_pointer_in_place_of_the_model(host: Host) -> None:
    wanted = host.model("wanted.bin", size=5000, kind="bytes")
    pointer = host.forge.model("pointer.bin", POINTER)
    assert "a Git LFS pointer" in refused(host, {**wanted, "url": pointer.url})


def test_an_empty_body(host: Host) -> None:
    wanted = host.model("wanted.bin", size=5000, kind="bytes")
    empty = host.forge.model("empty.bin", b"")
    assert "gave an empty body" in refused(host, {**wanted, "url": empty.url})
    assert parts(host) == []


def test_a_file_of_another_size(host: Host) -> None:
    wanted = host.model("wanted.safetensors", size=5000)
    other = host.forge.model("other.safetensors", size=6000)
    assert "has 6000 bytes, the lock says 5000" in refused(host, {**wanted, "url": other.url})


def test_a_length_that_is_a_lie(host: Host) -> None:
    model = {**host.model("lie.safetensors"), "size": None}
    wrong = {**model, "sha256": "0" * 63 + "1"}
    host.forge.fault("lying-length", "/models/lie.safetensors", length=5000)
    assert "broke off after 4096 of 5000 bytes" in refused(host, wrong)
    converge(host.context(model))


def test_a_body_that_always_ends_early(host: Host) -> None:
    model = host.model("short.safetensors", size=50_000)
    host.forge.fault("short-body", "/models/short.safetensors", after=0)
    text = refused(host, model)
    assert "broke off after 0 of 50000 bytes" in text
    assert len(host.gets("/models/")) == 5


def test_other_bytes_of_the_same_size(host: Host) -> None:
    model = host.model("wrong.safetensors")
    host.forge.fault("wrong-content", "/models/wrong.safetensors")
    text = refused(host, model)
    assert f"the lock says {model['sha256']}" in text
    assert "comfy_lock_upgrade=wrong.safetensors" in text
    assert parts(host) == [], "wrong bytes are not kept"
    assert len(host.gets("/models/")) == 1, "asking again would give the same"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xff\xff\xff\x00\x00\x00\x00" + bytes(100), "its safetensors header would have 4294967295 bytes"),
        (b"\x10" + bytes(7) + b"not json at all!" + bytes(84), "its safetensors header can not be read"),
        (b"\x05" + bytes(7) + b"[1,2]", "its safetensors header can not be read"),
        (b"<!DOCTYPE html><title>404</title>", "it is an HTML page ('404')"),
        (POINTER, "it is a Git LFS pointer"),
    ],
)
def test_a_lock_of_something_that_is_no_model(host: Host, content: bytes, reason: str) -> None:
    text = refused(host, host.model("broken.safetensors", content=content))
    assert f"its bytes are those of the lock, but {reason}" in text
    assert parts(host) == []


def test_a_safetensors_file_that_was_cut_before_it_was_locked(host: Host) -> None:
    whole = host.forge.model("whole.safetensors", size=50_000).content.data
    text = refused(host, host.model("cut.safetensors", content=whole[:40_000]))
    assert "its safetensors header covers 50000 bytes, and the file has 40000" in text


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"weights" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "refusal"),
    [
        ("new.ckpt", zipped("archive/data.pkl"), True),
        ("old.pt", b"\x80\x02" + b"l" * 300, True),
        ("named.pkl", b"(lp0\n" * 80, True),
        ("zip.bin", zipped("weights.dat"), False),
        ("raw.bin", b"\x00weights" * 80, False),
    ],
)
def test_pickles_where_the_policy_says_no(host: Host, name: str, content: bytes, refusal: bool) -> None:
    model = host.model(name, content=content)
    if refusal:
        assert "it is a pickle, which runs code when it is loaded" in refused(host, model, pickle="refuse")
        assert parts(host) == []
    converge(host.context(model, pickle="allow" if refusal else "refuse"))


def test_plain_http_to_another_machine_is_never_asked(host: Host) -> None:
    assert "is plain http" in refused(host, entry("x.safetensors", "http://models.example/x.safetensors", b"x"))


def test_all_faults_of_a_batch_at_once_and_what_came_whole_stays(host: Host) -> None:
    gone, page = host.model("gone.safetensors"), host.model("page.safetensors")
    good = [host.model(f"good{number}.safetensors") for number in range(3)]
    host.forge.remove_model("gone.safetensors")
    host.forge.fault("html", "/models/page.safetensors")
    with pytest.raises(Failures) as caught:
        converge(host.context(gone, page, *good))
    assert sorted(fault.where for fault in caught.value.faults) == ["model gone.safetensors", "model page.safetensors"]
    assert all(host.stored(model).exists() for model in good)
    assert not host.layout.models.exists()
    host.forget()
    with pytest.raises(Failures):
        converge(host.context(gone, page, *good))
    assert host.gets("good") == []


def test_an_optional_model_that_cannot_be_had_is_reported_and_forgiven(host: Host) -> None:
    gone = {**host.model("gone.safetensors"), "optional": True}
    good = host.model("good.safetensors")
    host.forge.remove_model("gone.safetensors")
    converge(host.context(gone, good))
    assert host.file("loras/good.safetensors").exists()
    [note] = look(host.context(gone, good)).notes
    assert "optional model gone.safetensors is missing: " in note
    assert "answers 404" in note
    host.forget()
    assert look(host.context(gone, good)).changes == ()
    assert host.forge.requests == []
    host.forge.model("gone.safetensors")
    assert [change.name for change in look(host.context({**gone, "optional": False}, good)).changes]


def test_a_file_source_is_read_from_the_hosts_own_disk(host: Host) -> None:
    content = b"weights" * 100
    source = host.directory / "big disk.bin"
    model = entry("m.bin", source.as_uri(), content)
    assert "is not on this host" in refused(host, model)
    source.write_bytes(content[:-1] + b"!")
    assert f"has sha256 {hashlib.sha256(content[:-1] + b'!').hexdigest()}" in refused(host, model)
    source.write_bytes(content)
    converge(host.context(model, offline=True))
    assert host.file("loras/m.bin").read_bytes() == content
    assert source.read_bytes() == content
