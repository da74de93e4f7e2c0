# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models at lock time: an immutable URL, the size and the sha256, from what each source says of itself.

Nothing is downloaded where the source tells; small files of which it does not are read once.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import hashlib
import http.client
import pathlib
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, Answer, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.models.content import HEAD, impostor
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import advice, mirror_url, reached
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import model_civitai, model_hub
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import SMALL, Facts, announced_sha256

Entry = dict[str, t.Any]
_PARALLEL = 8
_BLOCK = 1 << 20
_LATER = ("gs", "s3", "urn")
# RFC 9530 section 4, and Amazon S3's GetObject.
_ASK_FOR_DIGESTS = {"Want-Repr-Digest": "sha-256=9", "x-amz-checksum-mode": "ENABLED"}
_NO_HEAD = (403, 405, 501)


@dataclasses.dataclass(frozen=True)
class ModelResolution:
    """How sources are reached from the control node. credentials: host name to token."""

    hf_endpoint: str | None
    civitai_endpoint: str | None
    credentials: c.Mapping[str, str] = dataclasses.field(repr=False)
    allow_http: bool
    model_mirrors: tuple[str, ...]

    @property
    def access(self) -> Access:
        """For requests."""
        return Access(self.credentials, self.allow_http)


def resolve_models(
    models: c.Sequence[Entry],
    *,
    kept: c.Mapping[str, Entry],
    upgrade: c.Collection[str],
    settings: ModelResolution,
    report: c.Callable[[str], None],
) -> list[Entry]:
    """The lock's entries of a normalized spec's models, in its order; all are asked at once.

    kept: entries of an earlier lock by source; one that still fits is taken, without any request, unless ``upgrade``
    names the model (or says ``all``). Raises FleetError, or Failures with the faults of all models.
    """

    def resolve(number: int) -> Entry | FleetError:
        model = models[number]
        before = kept.get(model["source"]) if not {"all", model["name"]} & set(upgrade) else None
        if before is not None and _fits(before, model):
            return _entry(model, Facts(before["url"], before["sha256"], before["size"]))
        report(f"{model['name']}: asking {shown(model['source'])}")
        try:
            return _entry(model, _agreed(model, _facts(model, settings)))
        except FleetError as error:
            where = f"/models/{number}/source"
            return FleetError(
                error.what, where=f"{where}: {error.where}" if error.where else where, remedy=error.remedy
            )

    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        results = list(pool.map(resolve, range(len(models))))
    raise_all([result for result in results if isinstance(result, FleetError)])
    return [result for result in results if not isinstance(result, FleetError)]


def _fits(before: Entry, model: Entry) -> bool:
    return model["sha256"] in (None, before["sha256"]) and model["size"] in (None, before["size"])


def _entry(model: Entry, facts: Facts) -> Entry:
    return {
        "name": model["name"],
        "source": model["source"],
        "url": facts.url,
        "sha256": facts.sha256,
        "size": facts.size,
        "paths": list(model["paths"]),
        "optional": model["optional"],
    }


def _agreed(model: Entry, facts: Facts) -> Facts:
    """What the spec says and what the source says must be the same."""
    for what, said, found in (("sha256", model["sha256"], facts.sha256), ("size", model["size"], facts.size)):
        if said is not None and found is not None and said != found:
            raise FleetError(
                f"the spec says {what} {said}, the source says {found}",
                where=shown(model["source"]),
                remedy="Correct the spec, or the source if the file was replaced there",
            )
    return dataclasses.replace(facts, size=facts.size if facts.size is not None else model["size"])


def _facts(model: Entry, settings: ModelResolution) -> Facts:
    source = model["source"]
    scheme = source.partition(":")[0]
    if any(path.endswith("/") for path in model["paths"]):
        raise FleetError("is a folder or a pattern", where=source, remedy="Name its files one by one")
    if scheme == "hf":
        return model_hub.facts(source, settings.hf_endpoint, settings.access)
    if scheme == "civitai":
        return model_civitai.facts(source, settings.civitai_endpoint, settings.access)
    if scheme == "file":
        return _local(source)
    if scheme in _LATER:
        raise FleetError(f"{scheme} sources can not be locked", where=source, remedy="Use https, hf, civitai or file")
    return _plain(model, settings)


def _local(source: str) -> Facts:
    path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlsplit(source).path))
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return Facts(source, digest.hexdigest(), path.stat().st_size)
    except OSError as error:
        raise FleetError(
            f"can not be read ({error.strerror})", where=source, remedy="It is read on the control node"
        ) from error


def _plain(model: Entry, settings: ModelResolution) -> Facts:
    """A plain URL: the spec's checksum is enough where its size is known; else the server is asked."""
    url, sha256 = model["source"], model["sha256"]
    if sha256 is not None and model["size"] is not None:
        return Facts(url, sha256, model["size"])
    asked = [reached(url, settings.hf_endpoint, settings.civitai_endpoint)]
    if sha256 is not None:
        asked += [mirror_url(base, sha256) for base in settings.model_mirrors]
    faults: list[HttpFault] = []
    for each in asked:
        try:
            announced, size = _announced(each, model, settings.access)
        except HttpFault as fault:
            faults.append(fault)
        else:
            return Facts(url, _known(announced or sha256, url), size)
    raise FleetError(faults[0].what, remedy=advice(faults[0], url, asked[0], model["name"]))


def _known(sha256: str | None, url: str) -> str:
    if sha256 is not None:
        return sha256
    raise FleetError(
        "nobody says its sha256, neither the spec nor the server",
        where=shown(url),
        remedy='Put it into the spec: "checksum": "sha256:<64 hex digits>" (sha256sum of a file that you trust)',
    )


def _announced(url: str, model: Entry, access: Access) -> tuple[str | None, int | None]:
    """Sha256 and size of what is behind a URL, as its server says them; a small file is read where it does not."""
    with _head(url, access) as answer:
        size = _whole_size(answer)
        sha256 = announced_sha256(answer.hops)
        kind = answer.headers.get_content_type() if "Content-Type" in answer.headers else ""
    # The head of a text: so what is declared decides.
    _refuse(impostor(b"-", kind, _file_name(model)), url)
    if sha256 is None and model["sha256"] is None and size is not None and size <= SMALL:
        with request(url, access) as answer:
            content = answer.read_all(SMALL)
        _refuse(impostor(content[:HEAD], kind, _file_name(model)), url)
        sha256 = hashlib.sha256(content).hexdigest()
    return sha256, size


def _file_name(model: Entry) -> str:
    return str((*model["paths"], model["name"])[0].rpartition("/")[2])


def _head(url: str, access: Access) -> Answer:
    """Ask for the headers alone; of a server that does not know that, with one byte."""
    try:
        return request(url, access, method="HEAD", headers=_ASK_FOR_DIGESTS)
    except HttpFault as fault:
        if fault.status not in _NO_HEAD:
            raise
    return request(url, access, headers={**_ASK_FOR_DIGESTS, "Range": "bytes=0-0"})


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
