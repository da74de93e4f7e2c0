# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User names and passwords for package indexes and files: of comfy_python_indexes, comfy_credentials and netrc."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import netrc
import os
import pathlib
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import origin, token_for
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.indexes import (
    NO_PASSWORD,
    TOKEN_USER,
    netrc_entry,
)

_NAMES: t.Final = (".netrc", "_netrc")


def index_access(urls: c.Iterable[str], access: Access) -> Access:
    """How indexes are asked: with what a URL itself says, else ``access``, else what the user's netrc file has.

    urls: where indexes are reached. Raises FleetError for a netrc file that cannot be read.
    """
    known = {**_of_netrc(), **access.credentials}
    for url in urls:
        parts = urllib.parse.urlsplit(url)
        _scheme, host, port = origin(url)
        token = token_for(url, access.credentials)
        if parts.username:
            user, password = (urllib.parse.unquote(part) for part in (parts.username, parts.password or ""))
            known[f"{host}:{port}"] = f"{user}:{password}"
        elif token and ":" not in token:
            known[f"{host}:{port}"] = f"{TOKEN_USER}:{token}"
    return dataclasses.replace(access, credentials=known, basic=True)


def netrc_for_uv(access: Access, default_index: str | None) -> str:
    """The credentials in the form of netrc(5), which knows hosts and no ports.

    default_index: the one index that uv asks itself, whose own credentials go before others of its host. Raises
    FleetError where the form cannot express them.
    """
    known = {host: value for host, value in access.credentials.items() if ":" not in host and value}
    asked = urllib.parse.urlsplit(default_index or "").hostname
    if asked and (value := token_for(str(default_index), access.credentials)):
        known[asked] = value
    entries = []
    for host, value in sorted(known.items()):
        # Those of other hosts may be for git or models: uv has no use for them.
        with contextlib.nullcontext() if host == asked else contextlib.suppress(FleetError):
            entries.append(netrc_entry(host, f"{value}{NO_PASSWORD}" if value.endswith(":") else value))
    return "".join(entries)


def _of_netrc() -> dict[str, str]:
    """The hosts of the user's netrc file; its default entry would go to any host, and is for none here."""
    named = os.environ.get("NETRC")
    paths = [pathlib.Path(named)] if named else [pathlib.Path.home() / name for name in _NAMES]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return {}
    try:
        found = netrc.netrc(path).hosts
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError) as error:
        raise FleetError(f"cannot be read: {error}", where=str(path), remedy="Correct it, or move it away") from error
    return {
        host.lower(): f"{user}:{password}" for host, (user, _account, password) in found.items() if host != "default"
    }
