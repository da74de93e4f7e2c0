# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each of a lock's distributions comes from on this host, and the credentials for it."""

from __future__ import annotations

import collections.abc as c
import re
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX, INDEX, Package

# The default index; without a URL of its own it is uv's.
# What package indexes call the user whose password is a token.
TOKEN_USER = "__token__"
# What stands for the password where the user is the token; netrc has no empty one.
NO_PASSWORD = "x-oauth-basic"
_UNSAFE = re.compile(r"[\s\"'#]")


def index_name(package: Package) -> str | None:
    """The name of the index that ``package`` comes from; None when it comes from elsewhere."""
    return package.index or DEFAULT_INDEX if package.source == INDEX else None


def index_url(context: Context, name: str) -> str | None:
    """Where the index ``name`` is reached from here, without a user in it; None: uv's own default index.

    Raises FleetError when nobody says where it is.
    """
    url = _configured(context, name)
    if url is None and name != DEFAULT_INDEX:
        raise FleetError(
            f"nobody says where the package index {name!r} is",
            remedy=f"Set comfy_python_indexes['{name}'], or its url in the spec's python.indexes, and lock again",
        )
    return _without_user(url) if url else None


def shown_index(context: Context, name: str) -> str:
    """The index for a message: its name, and where it is if that is said."""
    url = index_url(context, name)
    return f"{name} ({url})" if url else name


def netrc(context: Context) -> str:
    """The credentials of all hosts in the form of netrc(5); uv sends each to its own host only.

    They are comfy_credentials (``token`` or ``user:password`` by host name) and users in URLs of indexes.
    Raises FleetError for one that the form can not express.
    """
    known = dict(context.settings.credentials)
    for name in _names(context.target.packages):
        parts = urllib.parse.urlsplit(_configured(context, name) or "")
        if parts.hostname and parts.username:
            password = parts.password or NO_PASSWORD
            known.setdefault(parts.hostname, f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(password)}")
    return "".join(netrc_entry(host, value) for host, value in sorted(known.items()) if value)


def netrc_entry(host: str, value: str) -> str:
    """The line of netrc(5) for ``token`` or ``user:password``. Raises FleetError for one that it cannot express."""
    user, password = value.split(":", 1) if ":" in value else (TOKEN_USER, value)
    if any(_UNSAFE.search(part) for part in (host, user, password)):
        raise FleetError(
            f"the credentials for {host!r} have a blank, a quote or # in them",
            where="comfy_credentials",
            remedy="Make a token without such characters",
        )
    return f"machine {host} login {user} password {password}\n"


def missing_indexes(context: Context) -> list[FleetError]:
    """One fault for each index that the lock names and nobody locates."""
    faults = []
    for name in sorted(_names(context.target.packages)):
        try:
            index_url(context, name)
        except FleetError as error:
            faults.append(error)
    return faults


def _configured(context: Context, name: str) -> str | None:
    return context.settings.python_indexes.get(name) or context.target.indexes.get(name)


def _without_user(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _names(packages: c.Iterable[Package]) -> set[str]:
    return {name for name in map(index_name, packages) if name is not None}
