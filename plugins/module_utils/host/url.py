# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs as far as secrets and plain HTTP are concerned: what of one may be shown, asked, and told."""

from __future__ import annotations

import collections.abc as c
import ipaddress
import urllib.parse

_PORTS = {"http": 80, "https": 443}


def shown(url: str) -> str:
    """The URL as messages may have it: without user, password, query (signatures are there) and fragment."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port (RFC 6454): what a secret must not leave. Raises ValueError for a port that is none."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme)


def refusal(url: str, allow_http: bool) -> str | None:
    """Why the URL is not to be asked: it is not HTTP, or plain HTTP to another machine; None when it may be."""
    try:
        scheme, host, _port = origin(url)
    except ValueError as error:
        return f"{shown(url)} is no URL ({error})"
    if scheme not in _PORTS or not host:
        return f"{shown(url)} is neither https nor http"
    if scheme == "http" and not allow_http and not is_loopback(host):
        return f"{shown(url)} is plain http, where anybody between can read and alter what passes"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine (RFC 6761 section 6.3 for names)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_for(url: str, credentials: c.Mapping[str, str]) -> str | None:
    """The token for the URL's host. credentials: host name, or host name and port, to token."""
    _scheme, host, port = origin(url)
    return credentials.get(f"{host}:{port}") or credentials.get(host) or None
