# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package indexes of a spec: which package comes from which, and where each is reached from here."""

from __future__ import annotations

import base64
import collections.abc as c
import dataclasses
import json
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

DEFAULT: t.Final = "pypi"
# The name of the project file that binds packages to indexes: uv shows it as who asks for them.
PROJECT: t.Final = "comfyops-fleet-indexes"

Section = c.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Indexes:
    """Indexes by name. urls: as the spec says; reached: from this machine (None: uv's own default).

    bound: the index that a package, by its canonical name, must come from.
    """

    urls: c.Mapping[str, str | None]
    reached: c.Mapping[str, str | None]
    bound: c.Mapping[str, str]

    def of(self, package: str) -> str:
        """The name of the index that a package must come from."""
        return self.bound.get(package, DEFAULT)

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
        url = self.reached[name]
        return f"{name} ({without_credentials(url)})" if url else f"{name} (uv's default index)"

    def gives(self, package: str, url: str) -> bool:
        """Whether an index at ``url`` is the one that a package must come from; two names may share one address."""
        wanted = self.reached[self.of(package)]
        return wanted is None or without_credentials(url) == without_credentials(wanted)

    def with_default(self, url: str) -> Indexes:
        """The same, now that it is known where uv's own default is."""
        if self.reached[DEFAULT] is not None:
            return self
        return dataclasses.replace(self, reached={**self.reached, DEFAULT: url})

    def authorization(self, url: str) -> str | None:
        """The Authorization header for a file on the host of an index that is reached with user name and password."""
        for reached in self.reached.values():
            parts = urllib.parse.urlsplit(reached or "")
            user, at_sign, host = parts.netloc.rpartition("@")
            if at_sign and (parts.scheme, host) == urllib.parse.urlsplit(url)[:2]:
                return f"Basic {base64.b64encode(urllib.parse.unquote(user).encode()).decode()}"
        return None


def without_credentials(url: str) -> str:
    """A URL without user name and password, and without the slash at its end."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def read_indexes(
    section: Section, packages: c.Sequence[Section], index_urls: c.Mapping[str, str]
) -> tuple[Indexes, list[FleetError]]:
    """The indexes of a normalized spec (its ``python`` and ``python_packages``), and what contradicts itself in them.

    index_urls: where indexes are reached from here, by name.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    own = section.get("indexes") or []
    urls: dict[str, str | None] = {DEFAULT: None, **{index["name"]: index["url"] for index in own}}
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
    reached = {name: index_urls.get(name, url) for name, url in urls.items()}
    return Indexes(urls, reached, bound), faults


def _fault(what: str, choices: c.Iterable[str]) -> FleetError:
    return FleetError(what, where="python_packages", remedy=f"Name one of {', '.join(choices)}")


def project_file(indexes: Indexes, packages: c.Iterable[str]) -> str | None:
    """A pyproject.toml that binds ``packages`` for uv, or None when none of them is bound.

    uv takes a binding only from the sources of a project's own dependencies, so the file names them as such: the bare
    names of what is asked for anyway, which adds nothing to the resolution.
    """
    names = {package: indexes.of(package) for package in sorted(packages) if indexes.of(package) != DEFAULT}
    if not names:
        return None
    numbers = {name: f"index-{number}" for number, name in enumerate(sorted(set(names.values())))}
    parts = ["[project]", f"name = {_toml(PROJECT)}", 'version = "0"', f"dependencies = {_toml(list(names))}"]
    for name, number in numbers.items():
        url = indexes.reached[name]
        parts += ["[[tool.uv.index]]", f"name = {_toml(number)}", f"url = {_toml(url)}", "explicit = true"]
    parts += ["[tool.uv.sources]"]
    parts += [f"{package} = {{ index = {_toml(numbers[name])} }}" for package, name in names.items()]
    return "\n".join(parts) + "\n"


def _toml(value: object) -> str:
    """Text and lists of text: what JSON writes for them is TOML as well."""
    return json.dumps(value)
