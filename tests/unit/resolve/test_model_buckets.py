# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of buckets: S3 by moto, Google's by an emulator and by the forge, with credentials in their usual places."""

from __future__ import annotations

import collections.abc as c
import hashlib
import importlib
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.comfyops.fleet.plugins.lookup.model_credentials import found
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import KeyPair
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import model_buckets
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.cloud_credentials import CloudCredentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution, resolve_models
from tests.support.forge import Forge
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, s3_server

Entry = dict[str, t.Any]
# The servers run in this process, and leave sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
BIG = bytes(11_000_000)
BIG_SHA256 = hashlib.sha256(BIG).hexdigest()
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@pytest.fixture(scope="module")
def s3() -> c.Iterator[tuple[str, t.Any]]:
    """A store with the buckets ``models`` (with versions) and ``public``."""
    with s3_server() as (url, client):
        client.create_bucket(Bucket="models")
        client.put_bucket_versioning(Bucket="models", VersioningConfiguration={"Status": "Enabled"})
        client.create_bucket(Bucket="public", ACL="public-read")
        yield url, client


def spec(source: str, **more: t.Any) -> Entry:
    found = {"name": "m.pt", "source": source, "paths": ["$MODELS_DIR/loras/m.pt"], "sha256": None, "size": None}
    return {**found, "optional": False, **more}


def resolve(
    model: Entry, environ: c.Mapping[str, str] | None = None, credentials: c.Mapping[str, str] | None = None
) -> Entry:
    cloud = CloudCredentials(environ or {})
    settings = ModelResolution(None, None, credentials or {}, False, (), cloud=cloud)
    [entry] = resolve_models([model], kept={}, upgrade=(), settings=settings, report=lambda _line: None)
    return entry


def refused(model: Entry, *arguments: c.Mapping[str, str]) -> str:
    with pytest.raises(FleetError) as caught:
        resolve(model, *arguments)
    return str(caught.value)


def test_an_object_of_s3_with_its_version_and_checksum(s3: tuple[str, t.Any]) -> None:
    url, client = s3
    first = client.put_object(Bucket="models", Key="wan 2/a+b.pt", Body=BIG, ChecksumAlgorithm="SHA256")
    client.put_object(Bucket="models", Key="wan 2/a+b.pt", Body=b"newer", ChecksumAlgorithm="SHA256")
    environ = {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": url}
    source = f"s3://models/wan%202/a+b.pt?endpoint={url}"
    newest = resolve(spec(source), environ)
    assert newest["sha256"] == hashlib.sha256(b"newer").hexdigest()
    entry = resolve(spec(f"{source}&versionId={first['VersionId']}"), environ)
    assert entry["url"] == f"{url}/models/wan%202/a%2Bb.pt?versionId={first['VersionId']}"
    assert (entry["sha256"], entry["size"]) == (BIG_SHA256, len(BIG))
    # What is locked gives these bytes, to who has the key, whatever comes later.
    pair = KeyPair(ACCESS_KEY, SECRET_KEY).text
    with request(newest["url"], Access({"127.0.0.1": pair}), headers={"Range": "bytes=1-3"}) as answer:
        assert answer.read_all(100) == b"ewe"


def test_a_multipart_etag_is_no_digest(s3: tuple[str, t.Any]) -> None:
    url, client = s3
    upload = client.create_multipart_upload(
        Bucket="public", Key="big.pt", ACL="public-read", ChecksumAlgorithm="SHA256"
    )
    upload = {key: upload[key] for key in ("Bucket", "Key", "UploadId")}
    part = client.upload_part(**upload, PartNumber=1, Body=BIG, ChecksumAlgorithm="SHA256")
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    source = f"s3://public/big.pt?endpoint={url}"
    assert "nobody says its sha256" in refused(spec(source))
    assert resolve(spec(source, sha256=BIG_SHA256))["url"] == f"{url}/public/big.pt"


def test_who_uploads_may_say_the_sha256(s3: tuple[str, t.Any]) -> None:
    url, client = s3
    client.put_object(Bucket="public", Key="said.pt", Body=BIG, ACL="public-read", Metadata={"sha256": BIG_SHA256})
    entry = resolve(spec(f"s3://public/said.pt?endpoint={url}"))
    assert entry["sha256"] == BIG_SHA256


def test_what_s3_does_not_give(s3: tuple[str, t.Any], tmp_path: Path) -> None:
    url, client = s3
    client.put_object(Bucket="models", Key="private.pt", Body=b"x")
    source = f"s3://models/private.pt?endpoint={url}"
    host = url.removeprefix("http://")
    text = refused(spec(source), {"HOME": str(tmp_path)})
    assert "answers 403" in text
    assert f"It is not for everybody. Put a token for {host} into comfy_credentials (a key pair where" in text
    # Amazon's credentials are not for whoever a spec names.
    assert "It is not for everybody" in refused(spec(source), ENVIRONMENT)
    text = refused(spec(f"s3://models/none.pt?endpoint={url}"), {**ENVIRONMENT, "AWS_ENDPOINT_URL": url})
    assert "the bucket models has no object 'none.pt'. Correct the source" in text
    assert SECRET_KEY not in text


def test_credentials_of_amazon_in_a_profile(s3: tuple[str, t.Any], tmp_path: Path) -> None:
    url, client = s3
    client.put_object(Bucket="models", Key="mine.pt", Body=b"x")
    file = tmp_path / ".aws" / "credentials"
    file.parent.mkdir()
    keys = f"aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    file.write_text(f"[default]\nregion = x\n[work]\n{keys}")
    model = spec(f"s3://models/mine.pt?endpoint={url}")
    environ = {"HOME": str(tmp_path), "AWS_ENDPOINT_URL_S3": url}
    assert resolve(model, {**environ, "AWS_PROFILE": "work"})["size"] == 1
    assert "answers 403" in refused(model, environ)
    file.write_text("no ini")
    assert f"{file}: cannot be read (MissingSectionHeaderError)" in refused(model, environ)
    pair = KeyPair(ACCESS_KEY, SECRET_KEY).text
    assert resolve(model, {}, {url.removeprefix("http://"): pair})["size"] == 1


def test_where_buckets_of_amazon_are(s3: tuple[str, t.Any]) -> None:
    url, client = s3
    client.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert model_buckets.bucket_region("far-away", url) == "eu-central-1"
    with pytest.raises(FleetError, match=r"no bucket 'nowhere'.*\?endpoint=https"):
        model_buckets.bucket_region("nowhere", url)
    found = {
        "far-away": "https://far-away.s3.eu-central-1.amazonaws.com/a/x%20y.pt",
        "with.dots": "https://s3.eu-central-1.amazonaws.com/with.dots/a/x%20y.pt",
    }
    for bucket, expected in found.items():
        assert model_buckets.read_source(f"s3://{bucket}/a/x%20y.pt").url("eu-central-1", None) == expected
    inland = model_buckets.read_source("s3://bucket/x.pt?region=cn-north-1")
    assert inland.url(inland.region, "v1") == "https://bucket.s3.cn-north-1.amazonaws.com.cn/x.pt?versionId=v1"


def test_an_emulator_of_google() -> None:
    server = importlib.import_module("gcp_storage_emulator.server").create_server(
        "127.0.0.1", 0, in_memory=True, default_bucket="models"
    )
    server.start()
    try:
        port = server._api._httpd.socket.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        upload = importlib.import_module("requests").post(
            f"{url}/upload/storage/v1/b/models/o?uploadType=media&name=a/x.pt", data=b"content", timeout=10
        )
        assert upload.ok
        entry = resolve(spec(f"gs://models/a/x.pt?endpoint={url}"))
    finally:
        server.stop()
    assert (entry["sha256"], entry["size"]) == (hashlib.sha256(b"content").hexdigest(), 7)
    assert entry["url"] == f"{url}/models/a/x.pt"


def test_an_object_of_google_at_its_generation(forge: Forge) -> None:
    old = forge.stored("models", "a/x y.pt", BIG, metadata={"sha256": BIG_SHA256})
    new = forge.stored("models", "a/x y.pt")
    source = f"gs://models/a/x%20y.pt?endpoint={forge.storage_url}"
    entry = resolve(spec(source))
    assert entry["url"] == f"{forge.storage_url}/models/a/x%20y.pt?generation={new.generation}"
    assert entry["sha256"] == new.sha256
    pinned = resolve(spec(source.replace("?", f"#{old.generation}?")))
    assert (pinned["sha256"], pinned["size"]) == (BIG_SHA256, len(BIG))
    assert "has no object 'none.pt'" in refused(spec(f"gs://models/none.pt?endpoint={forge.storage_url}"))
    assert "in version 17" in refused(spec(source.replace("?", "#17?")))


def test_what_the_lookup_gives(tmp_path: Path) -> None:
    environ = {**ENVIRONMENT, "HOME": str(tmp_path), "AWS_ENDPOINT_URL_S3": "https://store.example:9000"}
    cloud = CloudCredentials(environ)
    urls = [
        "https://models.example/x.pt",
        "https://bucket.s3.eu-central-1.amazonaws.com/x.pt",
        "https://store.example:9000/bucket/x.pt?versionId=1",
        "https://given.s3.amazonaws.com/x.pt",
        "https://s3.evil.example/bucket/x.pt",
        "file:///x.pt",
        "data:,text",
    ]
    pairs = found(urls, {"given.s3.amazonaws.com": "a token"}, cloud)
    assert set(pairs) == {"bucket.s3.eu-central-1.amazonaws.com", "store.example:9000"}
    assert {KeyPair.read(text) for text in pairs.values()} == {KeyPair(ACCESS_KEY, SECRET_KEY)}


def test_a_signature_does_not_follow_a_redirect(forge: Forge) -> None:
    model = forge.model("x.pt", redirects=True)
    pair = KeyPair(ACCESS_KEY, SECRET_KEY, "a session")
    with request(model.url, Access({"127.0.0.1": pair.text})) as answer:
        assert hashlib.sha256(answer.read_all(10_000)).hexdigest() == model.sha256
    carried = {each.port: each.headers.get("authorization", "") for each in forge.requests}
    assert ACCESS_KEY in carried["main"]
    assert carried["blob"] == ""
    assert SECRET_KEY not in carried["main"]


def service_account(forge: Forge, directory: Path) -> Path:
    """The file of a service account, as Google's console gives it."""
    rsa = importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    forms = importlib.import_module("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    )
    document = {
        "type": "service_account",
        "client_email": "reader@project.iam.example",
        "private_key": key.decode(),
        "token_uri": f"{forge.storage_url}/token",
    }
    file = directory / "account.json"
    file.write_text(json.dumps(document))
    return file


def test_credentials_of_google(forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = forge.stored("models", "x.pt", readers=frozenset({forge.buckets.service_token, "GOOGHMAC"}))
    model = spec(f"gs://models/x.pt?endpoint={forge.storage_url}")
    assert "answers 401" in refused(model)
    assert "It is not for everybody" in refused(model)
    file = service_account(forge, tmp_path)
    # google-auth reads the process's own environment.
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    environ = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(file),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": forge.storage_url,
    }
    assert resolve(model, environ)["sha256"] == stored.sha256
    assert len(forge.buckets.assertions) == 1
    assert "It is not for everybody" in refused(model, {"GOOGLE_APPLICATION_CREDENTIALS": str(file)})
    host = forge.base_url.removeprefix("http://")
    assert resolve(model, {}, {host: KeyPair("GOOGHMAC", "secret").text})["sha256"] == stored.sha256
    text = refused(model, {}, {host: KeyPair("OTHER", "s3cret").text})
    assert "may not read this" in text
    assert "s3cret" not in text
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    logged_in = tmp_path / "gcloud" / "application_default_credentials.json"
    logged_in.parent.mkdir()
    elsewhere = {**environ, "GOOGLE_APPLICATION_CREDENTIALS": "", "CLOUDSDK_CONFIG": str(logged_in.parent)}
    assert "It is not for everybody" in refused(model, elsewhere)
    logged_in.write_text(file.read_text())
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(logged_in.parent))
    assert resolve(model, elsewhere)["sha256"] == stored.sha256
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    file.write_text("{}")
    assert "GOOGLE_APPLICATION_CREDENTIALS: Google's credentials cannot be used" in refused(model, environ)
