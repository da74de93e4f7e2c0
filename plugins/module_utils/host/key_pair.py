# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key pairs of object stores, and requests signed with them: AWS Signature Version 4.

Amazon S3 and what is compatible with it take it, and Google Cloud Storage with HMAC keys ("simple migration" of its XML
API). Source: docs.aws.amazon.com, IAM user guide, "Create a signed AWS API request". A signature is made for each
request, on the machine that sends it, so that no download outlives one.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import datetime
import hashlib
import hmac
import json
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_ALGORITHM = "AWS4-HMAC-SHA256"
_NO_BODY = hashlib.sha256(b"").hexdigest()
_UNRESERVED = "-._~"
_DEFAULT_REGION = "us-east-1"
_REGION_IN_HOST = re.compile(r"(^|\.)s3[.-](dualstack[.-])?(?P<region>[a-z]+(-[a-z]+)+-[0-9]+)\.")
_FIELDS = ("access_key", "secret_key", "session_token", "region")


@dataclasses.dataclass(frozen=True)
class KeyPair:
    """An access key with its secret. region: None where the host's name says it, or the store does not care."""

    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    session_token: str | None = dataclasses.field(default=None, repr=False)
    region: str | None = None

    @classmethod
    def read(cls, credential: str) -> KeyPair | None:
        """The key pair that a credential is; None where it is a token."""
        if not credential.startswith("{"):
            return None
        try:
            fields = json.loads(credential)
            found = cls(**fields)
        except (ValueError, TypeError):
            return None
        return found if all(isinstance(value, str) for value in fields.values()) else None

    @property
    def text(self) -> str:
        """As a credential."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        return json.dumps({name: value for name, value in fields.items() if value is not None})


def as_texts(credentials: c.Mapping[str, t.Any]) -> dict[str, str]:
    """Credentials by host name as the user gives them, each as one text: a token, or a key pair.

    Raises FleetError for a value that is neither; the message does not repeat it.
    """
    found = {}
    for host, value in credentials.items():
        if isinstance(value, c.Mapping):
            pair = KeyPair.read(json.dumps(dict(value)))
            if pair is None:
                raise FleetError(
                    "is neither a token nor a key pair",
                    where=f"comfy_credentials['{host}']",
                    remedy="Write a text, or a mapping with access_key and secret_key (and session_token, region)",
                )
            found[host] = pair.text
        else:
            found[host] = str(value)
    return found


def signed_headers(
    method: str, url: str, headers: c.Mapping[str, str], pair: KeyPair, now: datetime.datetime | None = None
) -> dict[str, str]:
    """The headers that sign a request without a body. headers: those of it; ``x-amz-...`` among them are signed too."""
    time = (now or datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
    parts = urllib.parse.urlsplit(url)
    added = {"x-amz-date": time, "x-amz-content-sha256": _NO_BODY}
    if pair.session_token is not None:
        added["x-amz-security-token"] = pair.session_token
    signed = {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-amz-")}
    signed |= {"host": parts.netloc.rpartition("@")[2], **added}
    names = ";".join(sorted(signed))
    lines = [f"{name}:{' '.join(signed[name].split())}\n" for name in sorted(signed)]
    request = "\n".join([method, _path(parts.path), _query(parts.query), "".join(lines), names, _NO_BODY])
    scope = f"{time[:8]}/{_region(parts.hostname or '', pair)}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, time, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.new(_key(pair.secret_key, scope), text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={pair.access_key}/{scope}"
    return {**added, "Authorization": f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"}


def _key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _region(host: str, pair: KeyPair) -> str:
    found = _REGION_IN_HOST.search(host)
    return pair.region or (found["region"] if found else _DEFAULT_REGION)


def _path(path: str) -> str:
    """S3 encodes each byte of a key once, all but the unreserved characters and ``/``."""
    return urllib.parse.quote(urllib.parse.unquote_to_bytes(path or "/"), safe=f"/{_UNRESERVED}")


def _query(query: str) -> str:
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    encoded = sorted(tuple(urllib.parse.quote(each, safe=_UNRESERVED) for each in pair) for pair in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)
