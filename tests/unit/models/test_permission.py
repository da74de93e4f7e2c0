# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sources refuse is known before anything changes, each refusal with its own message."""

from __future__ import annotations

import socket
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import KeyPair
from ansible_collections.comfyops.fleet.plugins.module_utils.models import permission
from ansible_collections.comfyops.fleet.plugins.module_utils.models.permission import refusals
from tests.unit.models.conftest import Host, converge, entry, look

HUB = "https://huggingface.co"


def refused(host: Host, *models: t.Any, **settings: t.Any) -> list[str]:
    context = host.context(*models, **settings)
    return [str(fault) for fault in refusals(context, look(context))]


def gated(host: Host) -> t.Any:
    repository = host.forge.hub("org/gated", gated_token="rightful")
    repository.unknown_tokens.add("mistyped")
    file = repository.file("a/x.safetensors")
    return entry("x.safetensors", f"{HUB}/org/gated/resolve/{repository.commit()}/a/x.safetensors", file.content.data)


def test_a_gated_repository(host: Host) -> None:
    model = gated(host)
    ways = {
        "": f"It needs HF_TOKEN and acceptance of the licence at {HUB}/org/gated. Set HF_TOKEN to a token",
        "mistyped": "The token was not accepted: it is mistyped, expired or revoked. Set HF_TOKEN to a token",
        "outsider": f"but its account has no access yet: accept the licence at {HUB}/org/gated with it",
    }
    for token, expected in ways.items():
        [text] = refused(host, model, hf_endpoint=host.forge.hub_url, credentials={"127.0.0.1": token})
        assert text.startswith("model x.safetensors: ")
        assert expected in text
        assert not token or token not in text.replace("is mistyped,", "")
    assert refused(host, model, hf_endpoint=host.forge.hub_url, credentials={"127.0.0.1": "rightful"}) == []
    host.forge.forget_requests()
    assert refused(host, model, offline=True) == []
    assert host.forge.requests == []


def test_one_byte_is_asked_for_and_the_token_stays(host: Host) -> None:
    model = gated(host)
    refused(host, model, hf_endpoint=host.forge.hub_url, credentials={"127.0.0.1": "rightful"})
    assert sum(request.sent for request in host.gets("/blob/")) == 1
    assert not [request for request in host.gets("/blob/") if "authorization" in request.headers]


def test_civitai(host: Host) -> None:
    version = host.forge.civitai(77)
    version.token = "rightful"
    content = version.file("c.safetensors").content.data
    model = entry("c.safetensors", "https://civitai.com/api/download/models/77?fileId=770", content)
    endpoint = host.forge.civitai_url
    [text] = refused(host, model, civitai_endpoint=endpoint)
    assert "It needs CIVITAI_TOKEN. Set CIVITAI_TOKEN to a token" in text
    [text] = refused(host, model, civitai_endpoint=endpoint, credentials={"127.0.0.1": "other"})
    assert "The token was not accepted: it is mistyped or deleted" in text
    assert refused(host, model, civitai_endpoint=endpoint, credentials={"127.0.0.1": "rightful"}) == []


def test_a_log_in_page(host: Host) -> None:
    model = host.model("x.safetensors")
    host.forge.fault("html", "/models/x.safetensors")
    [text] = refused(host, model)
    assert "gives an HTML page in place of the model" in text
    assert "It may be a log-in page. Put a token for 127.0.0.1:" in text


def test_object_stores(host: Host) -> None:
    stored = host.forge.stored("models", "x.pt", b"content", readers=frozenset({"GOOGHMAC", "token"}))
    model = entry("x.pt", f"{host.forge.storage_url}/models/x.pt?generation={stored.generation}", b"content")
    [text] = refused(host, model)
    assert "answers 401" in text
    [text] = refused(host, model, credentials={"127.0.0.1": KeyPair("OTHER", "s3cret").text})
    assert "The token was not accepted, or it may not read this" in text
    assert "s3cret" not in text
    for credential in ("token", KeyPair("GOOGHMAC", "s3cret").text):
        assert refused(host, model, credentials={"127.0.0.1": credential}) == []
    converge(host.context(model, credentials={"127.0.0.1": KeyPair("GOOGHMAC", "s3cret").text}))
    assert host.file("loras/x.pt").read_bytes() == b"content"
    assert not [request for request in host.forge.requests if "s3cret" in str(request.headers)]


def test_all_at_once_and_only_what_is_missing(host: Host) -> None:
    models = [host.model(f"{number}.safetensors", token="rightful" if number else None) for number in range(4)]
    converge(host.context(models[0]))
    models[3]["optional"] = True
    assert len(refused(host, *models)) == 2
    assert not host.layout.partial.exists() or not list(host.layout.partial.iterdir())
    mirror = (host.forge.mirror_url,)
    assert refused(host, *models, model_mirrors=mirror) == []


def test_a_silent_mirror_is_not_waited_for_with_each_model(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "TIMEOUT_SECONDS", 0.3)
    models = [host.model(f"{number}.safetensors") for number in range(permission.PARALLEL * 4)]
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        begin = time.monotonic()
        assert refused(host, *models, model_mirrors=(f"http://127.0.0.1:{server.getsockname()[1]}",)) == []
        assert time.monotonic() - begin < 3 * 0.3


def test_what_is_gone_and_what_may_pass(host: Host) -> None:
    models = [host.model(f"{number}.safetensors") for number in range(3)]
    host.forge.fault("status", "/models/0.safetensors", status=404)
    host.forge.fault("status", "/models/1.safetensors", status=503)
    host.forge.fault("drop", "/models/2.safetensors")
    [text] = refused(host, *models)
    assert "model 0.safetensors" in text
    assert "answers 404" in text


def test_a_file_that_is_not_on_the_host(host: Host) -> None:
    path = host.directory / "x.safetensors"
    model = entry("x.safetensors", path.as_uri(), b"content")
    [text] = refused(host, model)
    assert f"{path} is not on this host" in text
    path.write_bytes(b"content")
    assert refused(host, model) == []
