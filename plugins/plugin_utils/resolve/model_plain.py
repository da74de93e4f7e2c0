# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models behind plain URLs, objects of buckets among them: what their server says in the headers of an answer."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import hashlib
import http.client

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, Answer, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.models.content import HEAD, impostor
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import advice, mirror_url
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import (
    SMALL,
    Facts,
    announced_sha256,
    state_of,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.patience import patiently

# RFC 9530 section 4, and Amazon S3's GetObject.
ASK_FOR_DIGESTS = {"Want-Repr-Digest": "sha-256=9", "x-amz-checksum-mode": "ENABLED"}
_NO_HEAD = (403, 405, 501)
Ways = c.Callable[[str], c.Iterable[Access]]
"""The ways in which a URL may be asked for, tried in their order where a server refuses."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the spec says of a model: the name of its file (for what may be in it), sha256 and size, None: nothing."""

    name: str
    file_name: str
    sha256: str | None
    size: int | None


def facts(url: str, wanted: Wanted, mirrors: tuple[str, ...], ways: Ways) -> Facts:
    """The spec's checksum is enough where its size is known; else the server is asked, or a mirror that has it.

    Raises FleetError with what to do. The sha256 is None where neither spec nor server says it.
    """
    if wanted.sha256 is not None and wanted.size is not None:
        return Facts(url, wanted.sha256, wanted.size)
    asked = [url] + ([mirror_url(base, wanted.sha256) for base in mirrors] if wanted.sha256 else [])
    faults: list[HttpFault] = []
    for each in asked:
        try:
            found, _answer = announced(each, wanted, ways, ASK_FOR_DIGESTS)
        except HttpFault as fault:
            faults.append(fault)
        else:
            return dataclasses.replace(found, url=url, sha256=found.sha256 or wanted.sha256)
    raise FleetError(faults[0].what, remedy=advice(faults[0], url, url, wanted.name))


def announced(url: str, wanted: Wanted, ways: Ways, asked: c.Mapping[str, str]) -> tuple[Facts, Answer]:
    """As ``_announced``, in the first way that is not refused."""
    refused: HttpFault | None = None
    for access in ways(url):
        try:
            return patiently(functools.partial(_announced, url, wanted, access, asked))
        except HttpFault as fault:
            refused = fault
            if not fault.denied:
                break
    raise refused or HttpFault(f"{shown(url)} was not asked")


def _announced(url: str, wanted: Wanted, access: Access, asked: c.Mapping[str, str]) -> tuple[Facts, Answer]:
    """What is behind a URL, as its server says it, and the answer; a small file is read where it does not.

    asked: the headers that ask for more than is usual. Raises HttpFault, and FleetError for what is no model.
    """
    with _head(url, access, asked) as answer:
        size = _whole_size(answer)
        sha256 = announced_sha256(answer.hops)
        kind = answer.headers.get_content_type() if "Content-Type" in answer.headers else ""
    # The head of a text: so what is declared decides.
    _refuse(impostor(b"-", kind, wanted.file_name), url)
    if sha256 is None and wanted.sha256 is None and size is not None and size <= SMALL:
        with request(url, access) as small:
            content = small.read_all(SMALL)
        _refuse(impostor(content[:HEAD], kind, wanted.file_name), url)
        sha256 = hashlib.sha256(content).hexdigest()
    return Facts(url, sha256, size, state_of(answer.headers)), answer


def _head(url: str, access: Access, asked: c.Mapping[str, str]) -> Answer:
    """Ask for the headers alone; of a server that does not know that, with one byte."""
    try:
        return request(url, access, method="HEAD", headers=asked)
    except HttpFault as fault:
        if fault.status not in _NO_HEAD:
            raise
    return request(url, access, headers={**asked, "Range": "bytes=0-0"})


def _whole_size(answer: Answer) -> int | None:
    if answer.status != http.client.PARTIAL_CONTENT:
        return answer.length
    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _refuse(found: str | None, url: str) -> None:
    if found is not None:
        raise FleetError(
            f"gives {found} in place of the model",
            where=shown(url),
            remedy="Correct the source; if it is a log-in page, set HF_TOKEN, CIVITAI_TOKEN or comfy_credentials",
        )
