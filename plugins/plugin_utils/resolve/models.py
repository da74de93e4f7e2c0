# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models at lock time: an immutable URL, the size and the sha256, from what each source says of itself.

Nothing is downloaded where the source tells; small files of which it does not are read once. Where nobody tells, the
lock is refused, or the files are read as the user has said.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import hashlib
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown, token_for
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import reached
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import (
    model_buckets,
    model_civitai,
    model_folders,
    model_hub,
    model_plain,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.cloud_credentials import CloudCredentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_cache import cached_path, references
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_facts import Facts
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_unhashed import Reader, Unhashed, refuse
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import path_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import comparable

Entry = dict[str, t.Any]
_PARALLEL = 8
_BLOCK = 1 << 20
_BUCKETS = ("gs", "s3")


@dataclasses.dataclass(frozen=True)
class ModelResolution:
    """How sources are reached from the control node. credentials: host name to token or key pair.

    read: gets the sha256 of files of which nobody says it; by default the lock is refused. cloud: credentials of
    object stores, for hosts that ``credentials`` does not have.
    """

    hf_endpoint: str | None
    civitai_endpoint: str | None
    credentials: c.Mapping[str, str] = dataclasses.field(repr=False)
    allow_http: bool
    model_mirrors: tuple[str, ...]
    read: Reader = refuse
    cloud: CloudCredentials = dataclasses.field(default_factory=lambda: CloudCredentials({}), repr=False)

    @property
    def access(self) -> Access:
        """For requests."""
        return Access(self.credentials, self.allow_http)

    def ways(self, url: str) -> c.Iterator[Access]:
        """How a store may be asked for a URL: as everybody may, and then with what the control node has for it."""
        yield self.access
        credential = None if token_for(url, self.credentials) else self.cloud.credential(url)
        if credential is not None:
            yield Access({**self.credentials, urllib.parse.urlsplit(url).netloc: credential}, self.allow_http)


@dataclasses.dataclass(frozen=True)
class _Found:
    """A file of the spec's model ``number``; relative: its path below the folder where the source is one."""

    number: int
    facts: Facts
    relative: str | None = None


def resolve_models(
    models: c.Sequence[Entry],
    *,
    kept: c.Mapping[str, c.Sequence[Entry]],
    upgrade: c.Collection[str],
    settings: ModelResolution,
    report: c.Callable[[str], None],
) -> list[Entry]:
    """The lock's entries of a normalized spec's models, in its order; all are asked at once.

    A folder or pattern becomes an entry for each of its files, in the order of their paths; entries of the Hub's cache
    that models with hf_cache need come last. kept: entries of an earlier
    lock by source; what still fits is taken, without any request, unless ``upgrade`` names the model (or says ``all``).
    Raises FleetError, or Failures with the faults of all models.
    """

    def find(number: int) -> list[_Found] | FleetError:
        model = models[number]
        before = () if {"all", model["name"]} & set(upgrade) else kept.get(model["source"], ())
        if before and all(_fits(entry, model) for entry in before):
            return [_kept(number, model, entry) for entry in before]
        report(f"{model['name']}: asking {shown(model['source'])}")
        try:
            return _found(number, model, settings)
        except FleetError as error:
            return _placed(error, number)

    with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
        results = list(pool.map(find, range(len(models))))
    raise_all([fault for result in results if isinstance(result, FleetError) for fault in _single(result)])
    found = [each for result in results if not isinstance(result, FleetError) for each in result]
    read = _read(found, models, settings)
    entries = [_entry(models[each.number], each) for each in read]
    entries += references(
        [entry for entry, each in zip(entries, read, strict=True) if models[each.number].get("hf_cache")]
    )
    _refuse_shared_paths(entries)
    return entries


def _single(error: FleetError) -> list[FleetError]:
    return error.faults if isinstance(error, Failures) else [error]


def _placed(error: FleetError, number: int) -> FleetError:
    """The fault with the spec's place of its model."""
    if isinstance(error, Failures):
        return Failures([_placed(fault, number) for fault in error.faults])
    where = f"/models/{number}/source"
    return FleetError(error.what, where=f"{where}: {error.where}" if error.where else where, remedy=error.remedy)


def _fits(before: Entry, model: Entry) -> bool:
    return model["sha256"] in (None, before["sha256"]) and model["size"] in (None, before["size"])


def _kept(number: int, model: Entry, entry: Entry) -> _Found:
    folder = model_folders.is_folder(model["source"])
    relative = model_folders.relative_path(model["source"], entry["url"]) if folder else None
    return _Found(number, Facts(entry["url"], entry["sha256"], entry["size"]), relative)


def _found(number: int, model: Entry, settings: ModelResolution) -> list[_Found]:
    source = model["source"]
    if model_folders.is_folder(source):
        files = model_folders.expand(source, settings.hf_endpoint, settings.access)
        return [_Found(number, facts, model_folders.relative_path(source, facts.url)) for facts in files]
    return [_Found(number, _agreed(model, _facts(model, settings)))]


def _facts(model: Entry, settings: ModelResolution) -> Facts:
    source = model["source"]
    scheme = source.partition(":")[0]
    if scheme == "hf":
        return model_hub.facts(source, settings.hf_endpoint, settings.access)
    if scheme == "civitai":
        return model_civitai.facts(source, settings.civitai_endpoint, settings.access)
    if scheme == "file":
        return _local(model)
    wanted = model_plain.Wanted(model["name"], _file_name(model), model["sha256"], model["size"])
    if scheme in _BUCKETS:
        return model_buckets.facts(source, wanted, settings.ways)
    return model_plain.facts(source, wanted, settings.model_mirrors, settings.ways)


def _agreed(model: Entry, facts: Facts) -> Facts:
    """What the spec says and what the source says must be the same."""
    for what, said, found in (("sha256", model["sha256"], facts.sha256), ("size", model["size"], facts.size)):
        if said is not None and found is not None and said != found:
            raise FleetError(
                f"the spec says {what} {said}, the source says {found}",
                where=shown(model["source"]),
                remedy="Correct the spec, or the source if the file was replaced there",
            )
    sha256 = facts.sha256 if facts.sha256 is not None else model["sha256"]
    return dataclasses.replace(facts, sha256=sha256, size=facts.size if facts.size is not None else model["size"])


def _read(found: list[_Found], models: c.Sequence[Entry], settings: ModelResolution) -> list[_Found]:
    """The same with the sha256 of those files of which nobody says it."""
    unhashed = {
        index: Unhashed(
            name=models[each.number]["name"],
            where=f"/models/{each.number}/source",
            file_name=_file_name(models[each.number]),
            url=each.facts.url,
            asked=reached(each.facts.url, settings.hf_endpoint, settings.civitai_endpoint),
            size=each.facts.size,
            state=each.facts.state,
        )
        for index, each in enumerate(found)
        if each.facts.sha256 is None
    }
    if not unhashed:
        return found
    read = dict(zip(unhashed, settings.read(list(unhashed.values())), strict=True))
    return [
        dataclasses.replace(
            each, facts=dataclasses.replace(each.facts, sha256=read[index].sha256, size=read[index].size)
        )
        if index in read
        else each
        for index, each in enumerate(found)
    ]


def _entry(model: Entry, found: _Found) -> Entry:
    relative = found.relative
    return {
        "name": model["name"] if relative is None else f"{model['name']}/{relative}",
        "source": model["source"],
        "url": found.facts.url,
        "sha256": found.facts.sha256,
        "size": found.facts.size,
        "paths": [
            *(path if relative is None else f"{path}{relative}" for path in model["paths"]),
            *([cached_path(found.facts.url)] if model.get("hf_cache") else []),
        ],
        "optional": model["optional"],
    }


def _refuse_shared_paths(entries: c.Iterable[Entry]) -> None:
    """Files of folders are known here only, so that two may want one path."""
    owners: dict[str, Entry] = {}
    faults = []
    for entry in entries:
        for path in entry["paths"]:
            earlier = owners.setdefault(comparable(path), entry)
            if earlier is not entry:
                faults.append(
                    FleetError(
                        f"{entry['name']} of {shown(entry['source'])} and {earlier['name']} of "
                        f"{shown(earlier['source'])} both go there",
                        where=path,
                        remedy="Give one of the two another target in the spec",
                    )
                )
    raise_all(faults)


def _local(model: Entry) -> Facts:
    """A file of the control node; where it is on hosts alone, what the spec says of it."""
    source, known = model["source"], Facts(model["source"], model["sha256"], model["size"])
    if known.sha256 is not None and known.size is not None:
        return known
    path = path_of(source)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return Facts(source, digest.hexdigest(), path.stat().st_size)
    except FileNotFoundError:
        return known
    except OSError as error:
        raise FleetError(
            f"can not be read ({error.strerror})", where=source, remedy="It is read on the control node"
        ) from error


def _file_name(model: Entry) -> str:
    return str((*model["paths"], model["name"])[0].rpartition("/")[2])
