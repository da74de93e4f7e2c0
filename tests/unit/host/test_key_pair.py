# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures are those of Amazon's own examples and of its own library; credentials come in two forms."""

from __future__ import annotations

import datetime
import importlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import KeyPair, as_texts, signed_headers

# docs.aws.amazon.com, Amazon S3 API reference, "Examples: signature calculations".
EXAMPLE = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLE_TIME = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (
            "https://examplebucket.s3.amazonaws.com/?lifecycle",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_amazons_examples(url: str, signature: str) -> None:
    headers = signed_headers("GET", url, {"Range": "bytes=0-9"}, EXAMPLE, EXAMPLE_TIME)
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bucket.s3.eu-central-1.amazonaws.com/a%20b/c~d%2Be.safetensors?versionId=a%2Fb%2Bc", "eu-central-1"),
        ("https://s3.us-gov-west-1.amazonaws.com/my_bucket/%E6%A8%A1.pt", "us-gov-west-1"),
        ("https://s3.us-west-004.backblazeb2.com/bucket/x%3D%281%29.pt", "us-west-004"),
        ("http://127.0.0.1:9000/bucket/x.pt", "us-east-1"),
    ],
)
def test_the_same_as_amazons_library(url: str, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auth, awsrequest, credentials = (
        importlib.import_module(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials")
    )
    pair = KeyPair("AKIA", "secret", "a session")
    request = awsrequest.AWSRequest("GET", url, {"x-amz-checksum-mode": "ENABLED"})
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_arguments: EXAMPLE_TIME.replace(tzinfo=None))
    auth.S3SigV4Auth(credentials.Credentials("AKIA", "secret", "a session"), "s3", region).add_auth(request)
    expected: dict[str, t.Any] = dict(request.headers.items())
    found = signed_headers("GET", url, {"x-amz-checksum-mode": "ENABLED"}, pair, EXAMPLE_TIME)
    assert found["Authorization"] == expected["Authorization"]
    assert found["x-amz-security-token"] == "a session"


def test_a_region_that_is_given_counts() -> None:
    pair = KeyPair("AKIA", "secret", region="auto")
    headers = signed_headers("GET", "https://s3.eu-central-1.example/x", {}, pair, EXAMPLE_TIME)
    assert "/20130524/auto/s3/" in headers["Authorization"]


def test_credentials_as_users_give_them() -> None:
    pair = {"access_key": "AKIA", "secret_key": "s3cret", "region": "auto"}
    texts = as_texts({"huggingface.co": "hf_x", "store.example:9000": pair})
    assert texts["huggingface.co"] == "hf_x"
    assert KeyPair.read(texts["store.example:9000"]) == KeyPair("AKIA", "s3cret", region="auto")
    assert KeyPair.read(texts["huggingface.co"]) is None
    assert "s3cret" not in repr(KeyPair.read(texts["store.example:9000"]))


@pytest.mark.parametrize(
    "value", [{"access_key": "AKIA"}, {"access_key": "AKIA", "secret_key": 5}, {"token": "s3cret"}]
)
def test_what_is_no_credential(value: dict[str, t.Any]) -> None:
    with pytest.raises(FleetError) as caught:
        as_texts({"store.example": value})
    assert str(caught.value).startswith("comfy_credentials['store.example']: is neither a token nor a key pair.")
    assert "s3cret" not in str(caught.value)
