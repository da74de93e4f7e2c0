# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of packages: which wheel fits a target best, and what one holds where its index does not say."""

from __future__ import annotations

import collections.abc as c
import hashlib
import http.client
import json
import os
import pathlib
import tempfile
import typing as t
import urllib.error
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import without_credentials

if t.TYPE_CHECKING:
    from packaging.tags import Tag

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_output import Wheel

_TIMEOUT: t.Final = 60.0
_BLOCK: t.Final = 1 << 20
# A wheel is a ZIP archive (PEP 427).
_ZIP_MAGIC: t.Final = b"PK\x03\x04"


class Content(t.NamedTuple):
    """What a file holds: sha256 in lower-case hex, size in bytes."""

    sha256: str
    size: int


def fitting(wheels: c.Iterable[Wheel], tags: c.Sequence[Tag]) -> list[Wheel]:
    """The wheels that one of ``tags`` (the best first) fits, in the order of pip: by tag, then the highest build."""
    from packaging.utils import parse_wheel_filename

    ranks = {tag: rank for rank, tag in enumerate(tags)}
    found = []
    for wheel in wheels:
        _name, _version, build, own = parse_wheel_filename(wheel.file)
        rank = min((ranks[tag] for tag in own if tag in ranks), default=None)
        if rank is not None:
            found.append((rank, build, wheel))
    found.sort(key=lambda each: (each[1], each[2].file), reverse=True)
    return [wheel for _rank, _build, wheel in sorted(found, key=lambda each: each[0])]


def tags_of(file: str) -> list[str]:
    """The tags of a wheel, as its file name has them; each of the three parts may hold several."""
    return file.removesuffix(".whl").split("-")[-3:]


def read_content(url: str, authorization: str | None, cache: pathlib.Path) -> Content:
    """The sha256 and size of the wheel at ``url``, read once; what was found stays in ``cache``.

    authorization: the header of that name, sent to the URL's own host alone. Raises FleetError.
    """
    record = cache / "wheel-contents" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        return Content(known["sha256"], known["size"])
    except (OSError, ValueError, KeyError, TypeError):
        content = _streamed(url, authorization)
    record.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=record.parent, encoding="utf-8", delete=False) as stream:
        json.dump(content._asdict(), stream)
    os.replace(stream.name, record)
    return content


def _streamed(url: str, authorization: str | None) -> Content:
    request = urllib.request.Request(url)
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    digest, size, beginning = hashlib.sha256(), 0, b""
    try:
        with urllib.request.build_opener().open(request, timeout=_TIMEOUT) as answer:
            expected = answer.headers["Content-Length"]
            while block := answer.read(_BLOCK):
                beginning = beginning or block[: len(_ZIP_MAGIC)]
                digest.update(block)
                size += len(block)
    except (OSError, http.client.HTTPException) as error:
        raise _fault(url, f"cannot be read: {error}") from error
    if expected is not None and int(expected) != size:
        raise _fault(url, f"came short: {size} of {expected} bytes")
    if beginning != _ZIP_MAGIC:
        raise _fault(url, f"is no wheel: it begins with {beginning!r}")
    return Content(digest.hexdigest(), size)


def _fault(url: str, what: str) -> FleetError:
    return FleetError(what, where=without_credentials(url), remedy="Lock again, or take the package from elsewhere")
