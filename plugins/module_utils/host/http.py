# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests with the standard library: redirects that keep secrets at home, and faults that say what happened.

Nothing is asked twice here; whoever asks decides what to try again by L(HttpFault.transient).
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import email.message
import email.utils
import functools
import http.client
import ssl
import string
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import origin, refusal, shown, token_for

USER_AGENT = "comfyops.fleet/1"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_TRANSIENT = frozenset({408, 421, 425, 429, 500, 502, 503, 504})
_UNAUTHORIZED = frozenset({401, 403})


@dataclasses.dataclass(frozen=True)
class Access:
    """What a request may do. credentials: host name to token. timeout: seconds to connect, and between two bytes."""

    credentials: c.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    allow_http: bool = False
    timeout: float = 30.0


class HttpFault(FleetError):
    """A request that did not give what was asked for.

    status: of the answer, None where there was none. transient: trying again may help, after ``retry_after`` seconds if
    the server said so. code: the Hub's X-Error-Code. sent_token: the refused request had one. redirected: another host
    than the one that was asked.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        transient: bool = False,
        retry_after: float | None = None,
        code: str = "",
        sent_token: bool = False,
        redirected: bool = False,
        remedy: str = "",
    ) -> None:
        self.status = status
        self.transient = transient
        self.retry_after = retry_after
        self.code = code
        self.sent_token = sent_token
        self.redirected = redirected
        super().__init__(what, remedy=remedy)

    @property
    def denied(self) -> bool:
        """Whether who asks may not have it."""
        return self.status in _UNAUTHORIZED


class Answer:
    """A 2xx answer whose body is still to be read. hops: the headers of each answer on the way, this one's last."""

    def __init__(self, url: str, response: http.client.HTTPResponse, hops: c.Sequence[email.message.Message]) -> None:
        self.url = url
        self.status = response.status
        self.headers: email.message.Message = response.headers
        self.hops = tuple(hops)
        self._response = response
        self._left = self.length

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._response.close()

    @property
    def length(self) -> int | None:
        """Content-Length: bytes of this body; None where the server does not say."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isdigit() else None

    def read(self, size: int) -> bytes:
        """What has come, at most ``size`` bytes; empty at the end, also where that is too early.

        Raises HttpFault, transient, when the connection breaks or nothing comes for the time-out.
        """
        wanted = size if self._left is None else min(size, self._left)
        if wanted == 0:
            return b""
        try:
            block = self._response.read1(wanted)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self.url, error, "broke off") from error
        if self._left is not None:
            self._left -= len(block)
        return block

    def read_all(self, limit: int) -> bytes:
        """The whole body. Raises HttpFault when it is longer than ``limit`` or ends too early."""
        blocks = []
        while block := self.read(1 << 20):
            blocks.append(block)
            if sum(map(len, blocks)) > limit:
                raise HttpFault(f"{shown(self.url)} gives more than {limit} bytes")
        if self._left:
            raise HttpFault(
                f"{shown(self.url)} broke off: {self._left} bytes of the answer are missing", transient=True
            )
        return b"".join(blocks)


def request(url: str, access: Access, *, method: str = "GET", headers: c.Mapping[str, str] | None = None) -> Answer:
    """Ask for a URL and follow redirects; a token goes to the first URL's own scheme, host and port only.

    Raises HttpFault for an answer that is not 2xx, for none, for redirects in a circle or to what may not be asked.
    """
    first, seen, hops = origin_of(url), [url], list[email.message.Message]()
    while True:
        reason = refusal(url, access.allow_http)
        if reason:
            raise HttpFault(reason, redirected=len(seen) > 1, remedy="Use https, or set comfy_policy.allow_http")
        same = origin_of(url) == first
        token = token_for(url, access.credentials) if same else None
        response = _ask(url, method, headers or {}, token, access.timeout)
        hops.append(response.headers)
        if (response.status or 0) not in _REDIRECTS:
            break
        response.close()
        url = _next_url(url, response.headers, seen)
    if isinstance(response, urllib.error.HTTPError):
        response.close()
        raise _fault(url, response, token is not None, redirected=not same)
    return Answer(url, response, hops)


def origin_of(url: str) -> tuple[str, str, int | None]:
    """The URL's origin; HttpFault where it is no URL."""
    try:
        return origin(url)
    except ValueError as error:
        raise HttpFault(f"{shown(url)} is no URL ({error})") from error


class _RedirectsAreOurs(urllib.request.HTTPRedirectHandler):
    """urllib would send all headers, the token among them, wherever it is led."""

    def redirect_request(self, *_arguments: t.Any, **_options: t.Any) -> None:
        return None


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Proxies of the environment are honoured (HTTPS_PROXY, NO_PROXY)."""
    return urllib.request.build_opener(_RedirectsAreOurs)


def _ask(
    url: str, method: str, headers: c.Mapping[str, str], token: str | None, timeout: float
) -> http.client.HTTPResponse | urllib.error.HTTPError:
    # Without "identity" a proxy on the way may compress, and offsets would be those of other bytes.
    asked = urllib.request.Request(url, method=method, headers={"Accept-Encoding": "identity", **headers})
    asked.add_header("User-Agent", USER_AGENT)
    if token is not None:
        asked.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        return t.cast(http.client.HTTPResponse, _opener().open(asked, timeout=timeout))
    except urllib.error.HTTPError as error:
        return error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(url, error, "cannot be reached") from error


def _next_url(url: str, headers: email.message.Message, seen: list[str]) -> str:
    location = headers.get("Location", "")
    # Servers send raw spaces and UTF-8 there, which a request line can not have.
    following = urllib.parse.urljoin(url, urllib.parse.quote(location, safe=string.punctuation, encoding="iso-8859-1"))
    if not location:
        raise HttpFault(f"{shown(url)} redirects, but not to anywhere")
    if following in seen or len(seen) > _MOST_REDIRECTS:
        raise HttpFault(
            f"{shown(seen[0])} redirects in a circle (by {shown(following)})",
            remedy="Open the address in a browser: the site may want a log-in, or have moved the file",
        )
    seen.append(following)
    return following


def _fault(url: str, response: urllib.error.HTTPError, sent_token: bool, *, redirected: bool) -> HttpFault:
    status = response.code
    return HttpFault(
        f"{shown(url)} answers {status} {response.reason}",
        status=status,
        transient=status in _TRANSIENT,
        retry_after=_retry_after(response.headers),
        code=response.headers.get("X-Error-Code", ""),
        sent_token=sent_token,
        redirected=redirected,
    )


def _retry_after(headers: email.message.Message) -> float | None:
    """Seconds of a Retry-After header, which has seconds or a date (RFC 9110 section 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max(0.0, date.timestamp() - time.time())


def _unreachable(url: str, error: Exception, how: str) -> HttpFault:
    reason = getattr(error, "reason", error)
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    if isinstance(reason, ssl.SSLCertVerificationError):
        return HttpFault(
            f"the certificate of {host} is not trusted: {reason.verify_message}",
            remedy="Install its certificate authority on this machine, or set SSL_CERT_FILE",
        )
    if isinstance(reason, TimeoutError):
        return HttpFault(f"{shown(url)} {how}: nothing came from {host} in time", transient=True)
    return HttpFault(
        f"{shown(url)} {how}: {reason}", transient=not isinstance(error, (ValueError, http.client.InvalidURL))
    )
