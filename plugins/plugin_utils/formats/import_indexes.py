# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Package indexes of requirement lists: PyTorch's, which versions such as ``2.9.0+cu130`` tell too, and others.

pip takes each package from whichever index has the highest version; a spec says which package comes from which.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_entries import Candidate
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_lists import (
    DECISION,
    DROPPED,
    KEPT,
    Account,
    Statement,
    without_users,
)

Index = dict[str, t.Any]

_PYTORCH: t.Final = "https://download.pytorch.org/whl/"
_BUILD = re.compile(r"cpu|cu\d{2,3}|rocm\d+(\.\d+)*|xpu")
_OF_PYTORCH = re.compile(rf"https://.+/whl/(?P<build>{_BUILD.pattern})/?")
# They are chosen together.
_FAMILY: t.Final = ("torch", "torchaudio", "torchvision")
# What else of PyTorch's index has such versions.
_OTHERS: t.Final = frozenset(
    {"fbgemm-gpu", "torch-tensorrt", "torchao", "torchcodec", "torchdata", "torchrec", "torchtext", "xformers"}
)


@dataclasses.dataclass(frozen=True)
class Bound:
    """Indexes with their packages, and what became of lines by their number."""

    indexes: list[Index]
    accounts: dict[int, Account]

    def of(self, candidate: Candidate) -> str | None:
        """The name of the index that a candidate comes from, None for the default one."""
        found = (str(index["name"]) for index in self.indexes if candidate.name in index["packages"])
        return None if candidate.entry else next(found, None)


def bind(candidates: c.Sequence[Candidate], statements: c.Sequence[Statement]) -> Bound:
    """The indexes that candidates need. statements: lines that name indexes, with one option each."""
    accounts: dict[int, Account] = {}
    urls: dict[str, str] = {}
    for statement in statements:
        url = statement.options[0][1]
        build = _OF_PYTORCH.fullmatch(url)
        if build and "@" not in url:
            urls[build["build"]] = url.rstrip("/")
            accounts[statement.number] = statement.account(KEPT, f"python.indexes, pytorch-{build['build']}")
        else:
            accounts[statement.number] = _undecided(statement, url)
    wanted = {candidate.name: named for candidate in candidates if (named := _build(candidate))}
    family = next((wanted[name] for name in _FAMILY if name in wanted), None) or next(reversed(urls), None)
    if family:
        wanted = {**dict.fromkeys(_FAMILY, family), **wanted}
    for candidate in candidates:
        if candidate.name not in wanted and (fault := _local_version(candidate)):
            accounts[candidate.statement.number] = fault
    for statement in statements:
        build = _OF_PYTORCH.fullmatch(statement.options[0][1])
        if build and build["build"] not in wanted.values() and accounts[statement.number].outcome == KEPT:
            why = "other lines want other builds of torch"
            accounts[statement.number] = statement.account(DROPPED, why)
    indexes = [
        {
            "name": f"pytorch-{build}",
            "url": urls.get(build, f"{_PYTORCH}{build}"),
            "packages": sorted(name for name, other in wanted.items() if other == build),
        }
        for build in sorted(set(wanted.values()))
    ]
    return Bound(indexes, accounts)


def _undecided(statement: Statement, url: str) -> Account:
    host = urllib.parse.urlsplit(url).hostname or "index"
    entry = json.dumps({"name": host, "url": without_users(url).replace("***@", ""), "packages": ["..."]})
    what = "which packages come from there? Add to python.indexes, with their names:"
    mirror = "; or, if it is a mirror of the default index, set comfy_python_indexes and leave it out of the spec"
    return statement.account(DECISION, f"{what} {entry}{mirror}")


def _local(candidate: Candidate) -> str | None:
    """The local part of the one version that is wanted."""
    from packaging.version import InvalidVersion, Version

    if candidate.entry is not None:
        return None
    pins = [each.version for each in candidate.requirement.specifier if each.operator in ("==", "===")]
    try:
        return Version(pins[0]).local if len(pins) == 1 else None
    except InvalidVersion:
        return None


def _build(candidate: Candidate) -> str | None:
    """The build of PyTorch's index that a candidate's version names."""
    local = _local(candidate)
    known = candidate.name in _FAMILY or candidate.name in _OTHERS
    return local if local and known and _BUILD.fullmatch(local) else None


def _local_version(candidate: Candidate) -> Account | None:
    local = _local(candidate)
    if local is None:
        return None
    entry = json.dumps({"name": candidate.requirement.name, "url": "...", "sha256": "..."})
    what = f"the build +{local} is in no public index: name its wheel, {entry}, or its repository"
    return candidate.statement.account(DECISION, what)
