# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of source with no token, a wrong one and the right one, against a server that checks it.

The logs of the servers are read: no token reached another host than its own, and none is in what the host wrote.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import shutil
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import KeyPair
from ansible_collections.comfyops.fleet.plugins.module_utils.models.permission import refusals
from tests.support.s3 import s3_server
from tests.unit.models.conftest import Host, converge, entry, look

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import locks

# The store of S3 runs in this process, and leaves sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
RIGHT, WRONG = "r1ghtful-s3cret", "m1staken-s3cret"


@dataclasses.dataclass(frozen=True)
class Source:
    """A model that is not for everybody. none and wrong: what is said to who has no token, or a wrong one."""

    model: locks.Document
    none: str
    wrong: str
    right_token: str = RIGHT
    wrong_token: str = WRONG
    settings: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


def hub(host: Host) -> Source:
    repository = host.forge.hub("org/gated", gated_token=RIGHT)
    repository.unknown_tokens.add(WRONG)
    file = repository.file("model.safetensors")
    url = f"https://huggingface.co/org/gated/resolve/{repository.commit()}/model.safetensors"
    return Source(
        entry("model.safetensors", url, file.content.data),
        none="It needs HF_TOKEN and acceptance of the licence at https://huggingface.co/org/gated",
        wrong="The token was not accepted: it is mistyped, expired or revoked",
        settings={"hf_endpoint": host.forge.hub_url},
    )


def hub_without_access(host: Host) -> Source:
    return dataclasses.replace(
        hub(host),
        wrong_token="another-s3cret",
        wrong="its account has no access yet: accept the licence at https://huggingface.co/org/gated",
    )


def civitai(host: Host) -> Source:
    version = host.forge.civitai(77)
    version.token = RIGHT
    file = version.file("c.safetensors")
    return Source(
        entry("c.safetensors", "https://civitai.com/api/download/models/77", file.content.data),
        none="It needs CIVITAI_TOKEN. Set CIVITAI_TOKEN to a token",
        wrong="The token was not accepted",
        settings={"civitai_endpoint": host.forge.civitai_url},
    )


def https(host: Host) -> Source:
    return Source(
        host.model("plain.safetensors", token=RIGHT, redirects=True),
        none="It is not for everybody. Put a token for 127.0.0.1:",
        wrong="The token was not accepted",
    )


def google(host: Host) -> Source:
    stored = host.forge.stored("models", "a/g.safetensors", readers=frozenset({RIGHT}))
    url = f"{host.forge.storage_url}/models/a/g.safetensors?generation={stored.generation}"
    return Source(
        entry("g.safetensors", url, stored.content.data),
        none="It is not for everybody. Put a token for 127.0.0.1:",
        wrong="it may not read this",
    )


def google_with_keys(host: Host) -> Source:
    stored = host.forge.stored("models", "a/h.safetensors", readers=frozenset({"GOOGHMAC"}))
    url = f"{host.forge.storage_url}/models/a/h.safetensors?generation={stored.generation}"
    return Source(
        entry("h.safetensors", url, stored.content.data),
        none="It is not for everybody. Put a token for 127.0.0.1:",
        wrong="it may not read this",
        right_token=KeyPair("GOOGHMAC", RIGHT).text,
        wrong_token=KeyPair("GOOGOTHER", WRONG).text,
    )


@contextlib.contextmanager
def s3(wrong: t.Literal["secret", "key"]) -> Iterator[Source]:
    """A bucket whose store checks signatures and permissions, as Amazon's does. Its users outlive it here."""
    with s3_server() as (url, client):
        content = bytes(range(256)) * 16
        client.create_bucket(Bucket="models")
        client.put_object(Bucket="models", Key="wan 2/a+b.bin", Body=content)
        keys = {"aws_access_key_id": "root", "aws_secret_access_key": "root", "region_name": "us-east-1"}
        iam = importlib.import_module("boto3").client("iam", endpoint_url=url, **keys)
        iam.create_user(UserName=wrong)
        key = iam.create_access_key(UserName=wrong)["AccessKey"]
        allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::models/*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        policy = iam.create_policy(PolicyName=wrong, PolicyDocument=document)["Policy"]
        iam.attach_user_policy(UserName=wrong, PolicyArn=policy["Arn"])
        post = importlib.import_module("requests").post
        post(f"{url}/moto-api/reset-auth", data=b"0", timeout=10)
        try:
            yield Source(
                entry("b.bin", f"{url}/models/wan%202/a%2Bb.bin", content),
                none="It is not for everybody. Put a token for 127.0.0.1:",
                wrong="The token was not accepted, or it may not read this",
                right_token=KeyPair(key["AccessKeyId"], key["SecretAccessKey"]).text,
                wrong_token=KeyPair(key["AccessKeyId"] if wrong == "secret" else "AKIANOBODY", WRONG).text,
            )
        finally:
            post(f"{url}/moto-api/reset-auth", data=b"inf", timeout=10)


@pytest.mark.parametrize("make", [hub, hub_without_access, civitai, https, google, google_with_keys])
def test_each_kind_of_source(host: Host, make: t.Callable[[Host], Source]) -> None:
    source = make(host)
    run(host, source)
    for request in host.forge.requests:
        told = f"{request.path} {request.headers}"
        assert request.port == "main" or not any(word in told for word in ("s3cret", "authorization")), told
    ports = {"main"} if "google" in make.__name__ else {"main", "blob"}
    assert {request.port for request in host.forge.requests} == ports


@pytest.mark.parametrize("wrong", ["secret", "key"])
def test_s3_which_checks_signatures(host: Host, wrong: t.Literal["secret", "key"]) -> None:
    with s3(wrong) as source:
        run(host, source)
    assert host.forge.requests == []


def run(host: Host, source: Source) -> None:
    """Refused without and with a wrong token, before anything changes and by the download; then it comes."""
    for token, told in ((None, source.none), (source.wrong_token, source.wrong)):
        credentials = {} if token is None else {"127.0.0.1": token}
        context = host.context(source.model, credentials=credentials, **source.settings)
        [refusal] = refusals(context, look(context))
        assert not host.layout.state.exists()
        with pytest.raises(FleetError) as caught:
            converge(context)
        for text in (str(refusal), str(caught.value)):
            assert text.startswith(f"model {source.model['name']}: ")
            assert told in text
            assert "s3cret" not in text
        assert_no_secret(host, token)
        shutil.rmtree(host.layout.state)
    context = host.context(source.model, credentials={"127.0.0.1": source.right_token}, **source.settings)
    assert refusals(context, look(context)) == []
    converge(context)
    assert_no_secret(host, source.right_token)


def assert_no_secret(host: Host, token: str | None) -> None:
    """Nothing that the host wrote has the token, or the secret of the pair: receipts, progress, parts, notes."""
    pair = KeyPair.read(token or "")
    secret = (pair.secret_key if pair else token) or "s3cret"
    written = [path for path in host.layout.root.rglob("*") if path.is_file()]
    assert host.layout.models_progress in written
    assert not [path for path in written if secret.encode() in path.read_bytes()]
