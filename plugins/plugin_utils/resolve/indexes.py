# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package indexes of a spec: which package comes from which, and where and with what each is reached from here."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import refusal
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_credentials import index_access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import ListedFile, read_project

# Where wheels are from that no index has: built ones, and what the host's image provides.
LOCAL: t.Final = "wheels of this control node"

Section = c.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Indexes:
    """Indexes by name. urls: as the spec says; reached: from this machine (None: uv's own default), without secrets.

    bound: the index that a package, by its canonical name, must come from. access: how they are asked.
    known_metadata: of files by their URL, for whoever reads them more than once.
    """

    urls: c.Mapping[str, str | None]
    reached: c.Mapping[str, str | None]
    bound: c.Mapping[str, str]
    access: Access = dataclasses.field(default_factory=lambda: Access(basic=True), repr=False)
    known_metadata: dict[str, bytes] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    _known: dict[str, list[ListedFile] | None] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def of(self, package: str) -> str:
        """The name of the index that a package must come from."""
        return self.bound.get(package, DEFAULT_INDEX)

    def name_of(self, url: str) -> str | None:
        """The name of the index that a URL is in, the index's own or one below it."""
        place = without_credentials(url)
        found = [
            (len(address), name)
            for name, reached in self.reached.items()
            if reached and f"{place}/".startswith(f"{(address := without_credentials(reached))}/")
        ]
        return max(found)[1] if found else None

    def shown(self, name: str) -> str:
        """An index for messages."""
        if name == LOCAL:
            return f"of the {LOCAL}"
        url = self.reached[name]
        return f"{name} ({without_credentials(url)})" if url else f"{name} (uv's default index)"

    def with_default(self, url: str) -> Indexes:
        """The same, now that it is known where uv's own default is."""
        if self.reached[DEFAULT_INDEX] is not None:
            return self
        return dataclasses.replace(self, reached={**self.reached, DEFAULT_INDEX: url})

    def with_local(self, packages: c.Iterable[str]) -> Indexes:
        """The same, for messages, where these packages are wheels that no index has."""
        return dataclasses.replace(self, bound={**self.bound, **dict.fromkeys(packages, LOCAL)})

    def files_of(self, package: str) -> list[ListedFile] | None:
        """What its index lists of a package, asked once; None where the index has no such project.

        Raises FleetError, which names package, index and URL. Not for what uv alone knows: its default index.
        """
        if package not in self._known:
            try:
                self._known[package] = read_project(str(self.reached[self.of(package)]), package, self.access)
            except FleetError as error:
                raise self._unreadable(package, error) from error
        return self._known[package]

    def _unreadable(self, package: str, error: FleetError) -> FleetError:
        name = self.of(package)
        why = f"which {package} is bound to" if package in self.bound else f"where {package} is looked for"
        ways = f'say where it is reached from here: comfy_python_indexes {{"{name}": "..."}}'
        if isinstance(error, HttpFault) and error.denied:
            host = urllib.parse.urlsplit(self.reached[name] or "").netloc
            ways = f'give its user and password: comfy_credentials {{"{host}": "user:password"}}, or in ~/.netrc'
        return FleetError(
            f"the index {self.shown(name)}, {why}, cannot be read: {error.what}",
            remedy=error.remedy or f"Check its address, or {ways}",
        )


def without_credentials(url: str) -> str:
    """A URL without user name and password, and without the slash at its end."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def read_indexes(
    section: Section, packages: c.Sequence[Section], index_urls: c.Mapping[str, str], access: Access
) -> tuple[Indexes, list[FleetError]]:
    """The indexes of a normalized spec (its ``python`` and ``python_packages``), and what contradicts itself in them.

    index_urls: where indexes are reached from here, by name, with user names and passwords. access: of the run.
    """
    own = section.get("indexes") or []
    urls: dict[str, str | None] = {DEFAULT_INDEX: None, **{index["name"]: index["url"] for index in own}}
    bound, faults = _bound(own, packages, urls)
    reached = {name: index_urls.get(name, url) for name, url in urls.items()}
    for name, url in reached.items():
        why = refusal(url, access.allow_http) if url and not url.startswith("file:") else None
        if why:
            remedy = "Use https, or set comfy_policy.allow_http"
            faults.append(FleetError(f"the index {name} is not asked: {why}", where="python.indexes", remedy=remedy))
    known = index_access([url for url in reached.values() if url], access)
    plain = {name: url and without_credentials(url) for name, url in reached.items()}
    return Indexes(urls, plain, bound, known), faults


def _bound(
    own: c.Sequence[Section], packages: c.Sequence[Section], urls: c.Collection[str]
) -> tuple[dict[str, str], list[FleetError]]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    bound: dict[str, str] = {
        str(canonicalize_name(package)): index["name"] for index in own for package in index["packages"]
    }
    faults = []
    for entry in packages:
        wanted = entry.get("index")
        if wanted is None:
            continue
        package = str(canonicalize_name(Requirement(entry["requirement"]).name))
        given: str = bound.setdefault(package, wanted)
        if wanted not in urls:
            faults.append(_fault(f"{package} is to come from {wanted}, which is none of python.indexes", sorted(urls)))
        elif given != wanted:
            faults.append(_fault(f"{package} is bound to two indexes, {given} and {wanted}", (given, wanted)))
    return bound, faults


def _fault(what: str, choices: c.Iterable[str]) -> FleetError:
    return FleetError(what, where="python_packages", remedy=f"Name one of {', '.join(choices)}")
