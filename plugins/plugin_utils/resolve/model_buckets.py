# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in buckets: ``s3://`` of Amazon and of whoever speaks S3, ``gs://`` of Google.

What is locked is the object's https URL with its version (generation), where the bucket keeps versions; hosts ask for
it with a signature or token of their own. Google's XML API is asked, which takes key pairs as well as tokens.
"""

from __future__ import annotations

import dataclasses
import http.client
import re
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Answer, HttpFault, Session
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import refusal
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import advice
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import Facts
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_plain import (
    ASK_FOR_DIGESTS,
    Wanted,
    Ways,
    announced,
)

AMAZON = "https://s3.amazonaws.com"
GOOGLE = "https://storage.googleapis.com"
_HOST_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_VERSION_HEADERS = {"s3": ("X-Amz-Version-Id", "versionId"), "gs": ("X-Goog-Generation", "generation")}
# What S3 calls the one version of an object from before its bucket kept versions.
_NO_VERSION = ("", "null")
_NOT_FOUND = 404
_TIMEOUT = 30.0


@dataclasses.dataclass(frozen=True)
class BucketObject:
    """An object as a normalized source names it; key is decoded. kind: ``s3`` or ``gs``."""

    kind: str
    bucket: str
    key: str
    version: str | None
    endpoint: str | None
    region: str | None

    def url(self, region: str | None, version: str | None) -> str:
        """Where it is. region: of a bucket of Amazon's."""
        path = urllib.parse.quote(self.key, safe="/-._~")
        query = f"?{_VERSION_HEADERS[self.kind][1]}={urllib.parse.quote(version, safe='-._~')}" if version else ""
        return f"{self._base(region)}/{path}{query}"

    def _base(self, region: str | None) -> str:
        if self.endpoint or self.kind == "gs":
            return f"{self.endpoint or GOOGLE}/{self.bucket}"
        suffix = "amazonaws.com.cn" if (region or "").startswith("cn-") else "amazonaws.com"
        # A certificate is for one label before the region, and host names know no capitals.
        if _HOST_NAME.fullmatch(self.bucket):
            return f"https://{self.bucket}.s3.{region}.{suffix}"
        return f"https://s3.{region}.{suffix}/{self.bucket}"


def read_source(source: str) -> BucketObject:
    """What a normalized source names."""
    text, _hash, fragment = source.partition("#")
    generation, _mark, query_behind = fragment.partition("?")
    parts = urllib.parse.urlsplit(text)
    query = dict(urllib.parse.parse_qsl(parts.query or query_behind))
    return BucketObject(
        kind=parts.scheme,
        bucket=parts.netloc,
        key=urllib.parse.unquote(parts.path.removeprefix("/")),
        version=query.get("versionId") or generation or None,
        endpoint=query.get("endpoint"),
        region=query.get("region"),
    )


def facts(source: str, wanted: Wanted, ways: Ways) -> Facts:
    """What the store says of an object; the sha256 is None where it does not. Raises FleetError with what to do."""
    found = read_source(source)
    region = found.region
    if found.kind == "s3" and not found.endpoint and not region:
        region = bucket_region(found.bucket)
    url = found.url(region, found.version)
    try:
        said, answer = announced(url, wanted, ways, ASK_FOR_DIGESTS if found.kind == "s3" else {})
    except HttpFault as fault:
        raise _refused(fault, found, url, wanted) from fault
    return dataclasses.replace(said, url=found.url(region, found.version or _version(found, answer)))


def bucket_region(bucket: str, asked: str = AMAZON) -> str:
    """The region of a bucket of Amazon's, which it says to anybody. Raises FleetError where there is no such bucket."""
    url = f"{asked}/{bucket}"
    reason = refusal(url, allow_http=False)
    if reason:
        raise FleetError(reason)
    with Session() as session:
        try:
            answer = session.ask(url, "HEAD", {}, _TIMEOUT)
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise FleetError(
                f"{asked} cannot be reached: {error}", remedy="Check the network, or add ?region=<region> to the source"
            ) from error
    region = answer.headers.get("x-amz-bucket-region")
    if answer.status == _NOT_FOUND or not region:
        raise FleetError(
            f"Amazon has no bucket {bucket!r}",
            remedy="Correct its name; for another store that speaks S3 add ?endpoint=https://<host>",
        )
    return region


def _version(found: BucketObject, answer: Answer) -> str | None:
    version = answer.headers.get(_VERSION_HEADERS[found.kind][0], "")
    return None if version in _NO_VERSION else version


def _refused(fault: HttpFault, found: BucketObject, url: str, wanted: Wanted) -> FleetError:
    remedy = advice(fault, url, url, wanted.name)
    if fault.status == _NOT_FOUND:
        version = f" in version {found.version}" if found.version else ""
        return FleetError(
            f"the bucket {found.bucket} has no object {found.key!r}{version}", remedy="Correct the source"
        )
    return FleetError(fault.what, remedy=remedy)
