# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which URLs a spec may hold: schemes, hosts, and no secrets in them."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import credentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.limits import MAX_URL
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?", re.ASCII)
_SCP_FORM = re.compile(r"(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@(?P<host>[^:/]+):(?P<path>.+)", re.ASCII)


@dataclasses.dataclass(frozen=True)
class UrlKind:
    """What a URL is for, and what it may be there."""

    name: str
    schemes: tuple[str, ...]
    examples: str
    query: bool = False
    scp_form: bool = False
    path: bool = True


REPOSITORY: t.Final = UrlKind(
    "repository",
    ("https", "http", "ssh", "file"),
    "https://host/path, ssh://git@host/path, git@host:path or file:///absolute/path",
    scp_form=True,
)
MODEL: t.Final = UrlKind(
    "model source",
    ("https", "http", "gs", "s3", "file"),
    "hf://org/repo@revision/path, https://host/path, civitai://<model version id>, gs://bucket/path, s3://bucket/path"
    " or file:///absolute/path",
    query=True,
)
BUCKET_ENDPOINT: t.Final = UrlKind(
    "bucket endpoint", ("https", "http"), "https://host or https://host/path", path=False
)
PACKAGE_INDEX: t.Final = UrlKind(
    "package index", ("https", "http", "file"), "https://host/path or file:///absolute/path", path=False
)
WHEEL: t.Final = UrlKind(
    "wheel or source archive", ("https", "http", "file"), "https://host/path.whl or file:///absolute/path.whl"
)


def url_problem(text: str, kind: UrlKind, *, allow_http: bool) -> Problem | None:
    """Tell what is wrong with a URL of that kind, the gravest first; nothing when it may be used.

    Plain http is for this machine alone unless allow_http. No message repeats a secret.
    """
    if kind.scp_form and (match := _SCP_FORM.fullmatch(text)) and "://" not in text:
        return _odd_characters(text) or _host_problem(match["host"]) or _path_problem(match["path"], kind)
    try:
        parts = urlsplit(text)
        _port = parts.port
    except ValueError as error:
        return Problem(f"is no URL: {error}", f"Write {kind.examples}")
    return (
        _odd_characters(text)
        or _scheme_problem(text, parts, kind)
        or credentials_problem(parts)
        or _place_problem(parts, kind)
        or _query_problem(parts, kind)
        or _http_problem(parts, allow_http)
    )


def credentials_problem(parts: SplitResult) -> Problem | None:
    """Tell whether the URL carries a user name, password, token or signature."""
    user, at_sign, _host = parts.netloc.rpartition("@")
    if at_sign and (parts.scheme != "ssh" or ":" in user):
        return Problem("has credentials in the URL", credentials.REMEDY)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if credentials.is_secret_name(name) or credentials.holds_token(value):
            return Problem(f"has credentials in the URL, as the query parameter {shown(name)}", credentials.REMEDY)
    return None


def is_loopback(host: str | None) -> bool:
    """Tell whether a host name or address can only be this machine (RFC 6761, RFC 1122)."""
    if host is None:
        return False
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def path_segments(path: str) -> list[str]:
    """Give the parts of a URL's path, decoded."""
    return [unquote(segment) for segment in path.split("/")]


def _odd_characters(text: str) -> Problem | None:
    if len(text) > MAX_URL:
        return Problem(f"has {len(text)} characters, more than {MAX_URL}", "Use a shorter URL")
    odd = next((c for c in text if c.isspace() or not c.isprintable() or c in '\\<>"`{}|^'), None)
    if odd is None:
        return None
    return Problem(f"is no URL: it has the character {shown(odd)}", f"Write it as %{ord(odd):02X}, or take it out")


def _scheme_problem(text: str, parts: SplitResult, kind: UrlKind) -> Problem | None:
    if parts.scheme in kind.schemes:
        return None
    reason = f"scheme '{parts.scheme}' is not for a {kind.name}" if "://" in text else f"{shown(text)} is no URL"
    return Problem(reason, f"Write {kind.examples}")


def _place_problem(parts: SplitResult, kind: UrlKind) -> Problem | None:
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            return Problem("is a file URL without an absolute path", "Write file:///absolute/path")
        return _path_problem(parts.path, kind)
    if not parts.hostname or (parts.username or "").startswith("-"):
        return Problem("names no host", f"Write {kind.examples}")
    return _host_problem(parts.hostname) or _path_problem(parts.path, kind)


def _host_problem(host: str) -> Problem | None:
    if _HOST.fullmatch(host) or ":" in host:
        return None
    return Problem(f"has the host {shown(host)}, which is no host name", "Write the host's name in ASCII (punycode)")


def _path_problem(path: str, kind: UrlKind) -> Problem | None:
    segments = path_segments(path)
    if kind.path and not any(segments):
        return Problem("names a host but nothing on it", "Add the path")
    if {".", ".."} & set(segments):
        return Problem("has '.' or '..' in its path", "Write the path that is meant")
    return None


def _query_problem(parts: SplitResult, kind: UrlKind) -> Problem | None:
    if parts.query and not kind.query:
        return Problem("has a query ('?...')", f"Leave it out: a {kind.name} has none")
    if parts.fragment:
        return Problem("has a fragment ('#...')", "Leave it out")
    return None


def _http_problem(parts: SplitResult, allow_http: bool) -> Problem | None:
    if parts.scheme != "http" or allow_http or is_loopback(parts.hostname):
        return None
    return Problem(
        "is plain http: anyone on the way can change what arrives",
        "Write https://, or allow it with policy.allow_http (schema_version 3)",
    )
