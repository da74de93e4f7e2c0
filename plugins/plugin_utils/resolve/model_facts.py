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
_HEX_HEADERS = ("X-Linked-Etag", "X-Checksum-Sha256")
_BASE64_HEADERS = ("X-Amz-Checksum-Sha256",)
# RFC 9530 (Repr-Digest) and RFC 3230 (Digest).
_DIGESTS = {"Repr-Digest": re.compile(r"sha-256=:([^:]+):"), "Digest": re.compile(r"sha-256=([A-Za-z0-9+/=]+)", re.I)}


@dataclasses.dataclass(frozen=True)
class Facts:
    """An immutable URL, sha256 in hex, and size in bytes (None: not known before the download)."""

    url: str
    sha256: str
    size: int | None


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


def _in_base64(headers: email.message.Message) -> str | None:
    values = [headers.get(name, "") for name in _BASE64_HEADERS]
    values += [found[1] for name, pattern in _DIGESTS.items() if (found := pattern.search(headers.get(name, "")))]
    for value in values:
        try:
            decoded = base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            continue
        if len(decoded) == hashlib.sha256().digest_size:
            return decoded.hex()
    return None
