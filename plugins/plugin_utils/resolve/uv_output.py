# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``uv pip compile`` writes: the annotated list (requirements.txt) and the lock of PEP 751 (pylock.toml)."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import datetime
import re
import tomllib
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?(?:==(?P<version>\S+)| @ (?P<url>\S+))")
_ORIGIN = "# from "


@dataclasses.dataclass(frozen=True)
class Listed:
    """A package of the annotated list. version is None for one of a URL, index_url for one of none.

    requesters are uv's words: ``-r <file>`` or the name of a package.
    """

    name: str
    version: str | None
    requesters: tuple[str, ...]
    index_url: str | None


@dataclasses.dataclass(frozen=True)
class Wheel:
    """A file that fits, by its decoded name; size in bytes. sha256 and size are None where the index does not say.

    index: the name of the one that it was routed from, None for what uv found itself. uploaded: the day (UTC) on which
    the index got it, None where it does not say.
    """

    file: str
    url: str
    sha256: str | None
    size: int | None
    index: str | None = None
    uploaded: datetime.date | None = None


@dataclasses.dataclass(frozen=True)
class Pinned:
    """A package of the PEP 751 lock with its files; direct: named by URL."""

    name: str
    version: str
    direct: bool
    wheels: tuple[Wheel, ...]


def read_list(text: str) -> dict[str, Listed]:
    """The packages of an annotated list, by name. Raises FleetError for what is none."""
    packages: dict[str, Listed] = {}
    name = ""
    for line in text.splitlines():
        words = line.strip().removeprefix("#").strip()
        if not line[:1].isspace():
            match = _ENTRY.match(line)
            if match is None:
                raise FleetError(f"uv wrote a list that cannot be read: {line!r}")
            name = match["name"]
            packages[name] = Listed(name, match["version"], (), None)
        elif line.strip().startswith(_ORIGIN):
            packages[name] = dataclasses.replace(packages[name], index_url=line.strip().removeprefix(_ORIGIN))
        elif requester := words.removeprefix("via").strip():
            found = packages[name]
            if requester != name:
                packages[name] = dataclasses.replace(found, requesters=(*found.requesters, requester))
    return packages


def read_pylock(text: str) -> dict[str, Pinned]:
    """The packages of a PEP 751 lock, by name. Raises FleetError for what is none."""
    try:
        packages = tomllib.loads(text).get("packages", [])
        return {package["name"]: _pinned(package) for package in packages}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise FleetError(f"uv wrote a lock that cannot be read: {error}") from error


def day_of(uploaded: str | None) -> datetime.date | None:
    """The day of an upload time as indexes write it (RFC 3339, in UTC); None for none, and for what is no time."""
    try:
        return datetime.datetime.fromisoformat(uploaded).date() if uploaded else None
    except ValueError:
        return None


def _pinned(package: c.Mapping[str, t.Any]) -> Pinned:
    archive = package.get("archive")
    files = [archive] if archive else package.get("wheels", [])
    wheels = tuple(_wheel(file) for file in files)
    return Pinned(package["name"], package["version"], bool(archive), wheels)


def _wheel(file: c.Mapping[str, t.Any]) -> Wheel:
    url = str(file.get("url") or file["path"])
    name = file.get("name") or urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    uploaded = file.get("upload-time")
    day = uploaded.date() if isinstance(uploaded, datetime.datetime) else None
    return Wheel(name, url, file.get("hashes", {}).get("sha256"), file.get("size"), uploaded=day)
