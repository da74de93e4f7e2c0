# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a model at lock time, and the headers in which servers say it."""

from __future__ import annotations

import base64
import binascii
import collections.abc as c
import dataclasses
import email.message
import hashlib
import re

# Up to this many bytes a file is read at lock where nobody says its sha256.
SMALL = 10 * 1024 * 1024
_HEX = re.compile(r"[0-9a-f]{64}")
# The Hub's, that of file servers such as Artifactory, and what people let buckets say of their objects.
_HEX_HEADERS = ("X-Linked-Etag", "X-Checksum-Sha256", "X-Amz-Meta-Sha256", "X-Goog-Meta-Sha256")
_AMAZON, _AMAZON_KIND = "X-Amz-Checksum-Sha256", "X-Amz-Checksum-Type"
# RFC 9530 (Repr-Digest, Content-Digest) and RFC 3230 (Digest).
_DIGESTS = {
    "Repr-Digest": re.compile(r"sha-256=:([^:]+):"),
    "Content-Digest": re.compile(r"sha-256=:([^:]+):"),
    "Digest": re.compile(r"sha-256=([A-Za-z0-9+/=]+)", re.I),
}
_ETAG_OF_PARTS = re.compile(r'"?[0-9a-f]{32}-[0-9]+"?')
_OF_A_PART = "Content-Range"


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a model's file.

    url: as immutable as its site has it. sha256: in hex; None where nobody says it. size: in bytes; None: not known
    before the download. state: what the server calls this state of the file (its ETag or date), empty where nothing.
    """

    url: str
    sha256: str | None
    size: int | None
    state: str = ""


def state_of(headers: email.message.Message) -> str:
    """What a server calls this state of a file: its strong ETag, or else its date; empty where it says neither."""
    etag = headers.get("ETag", "").strip()
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def announced_sha256(hops: c.Sequence[email.message.Message]) -> str | None:
    """The sha256 of the whole file in the headers of an answer or of a redirect that led to it."""
    for headers in hops:
        found = _in_hex(headers) or _in_base64(headers)
        if found:
            return found
    return None


def _in_hex(headers: email.message.Message) -> str | None:
    for name in _HEX_HEADERS:
        value = headers.get(name, "").strip('"').lower()
        if _HEX.fullmatch(value):
            return value
    return None


def _is_of_the_whole(headers: email.message.Message) -> bool:
    """Whether Amazon's checksum is of the object; of one that came in parts it usually is of their checksums."""
    kind = headers.get(_AMAZON_KIND, "").upper()
    return kind == "FULL_OBJECT" or (not kind and not _ETAG_OF_PARTS.fullmatch(headers.get("ETag", "")))


def _in_base64(headers: email.message.Message) -> str | None:
    values = [headers.get(_AMAZON, "") if _is_of_the_whole(headers) else ""]
    # A digest of the content is one of the part where a part was asked for.
    names = [name for name in _DIGESTS if name == "Repr-Digest" or _OF_A_PART not in headers]
    values += [found[1] for name in names if (found := _DIGESTS[name].search(headers.get(name, "")))]
    for value in values:
        try:
            decoded = base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            continue
        if len(decoded) == hashlib.sha256().digest_size:
            return decoded.hex()
    return None
