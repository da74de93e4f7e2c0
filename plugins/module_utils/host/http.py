# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests with the standard library: redirects that keep secrets at home, and faults that say what happened.

Nothing is asked twice here; whoever asks decides what to try again by L(HttpFault.transient). http.client and not
urllib, because the many requests of a large file share a connection.
"""

from __future__ import annotations

import base64
import collections.abc as c
import contextlib
import dataclasses
import email.message
import email.utils
import functools
import http.client
import socket
import ssl
import string
import time
import urllib.parse
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.key_pair import KeyPair, signed_headers
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import origin, refusal, shown, token_for

USER_AGENT = "comfyops.fleet/1"
_SUCCESS = range(200, 300)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_TRANSIENT = frozenset({408, 421, 425, 429, 500, 502, 503, 504})
_UNAUTHORIZED = frozenset({401, 403})


@dataclasses.dataclass(frozen=True)
class Access:
    """What a request may do. credentials: host name (and port) to token. timeout: seconds to connect, between bytes.

    basic: credentials with a colon are ``user:password`` and sent so (RFC 7617), as package indexes want them. proxies:
    those of the environment are used.
    """

    credentials: c.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    allow_http: bool = False
    timeout: float = 30.0
    basic: bool = False
    proxies: bool = True

    def authorization(self, url: str) -> str | None:
        """The header of that name for the URL's host; None for a key pair, with which each request is signed."""
        token = token_for(url, self.credentials)
        if token and KeyPair.read(token):
            return None
        if token and self.basic and ":" in token:
            return f"Basic {base64.b64encode(token.encode()).decode()}"
        return token and f"Bearer {token}"

    def identification(self, method: str, url: str, headers: c.Mapping[str, str]) -> dict[str, str]:
        """The headers by which a request to the URL's host says who asks; none where nothing is known for it."""
        pair = KeyPair.read(token_for(url, self.credentials) or "")
        if pair is not None:
            return signed_headers(method, url, headers, pair)
        authorization = self.authorization(url)
        return {} if authorization is None else {"Authorization": authorization}


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


class Session:
    """Connections that are kept for the next request to their origin. For one thread, in ``with``.

    It remembers where a URL has led to, so that the ranges of one file do not each ask for the way. proxies: those of
    the environment are used.
    """

    def __init__(self, proxies: bool = True) -> None:
        self._proxies = proxies
        self._connections: dict[tuple[str, str, int | None], http.client.HTTPConnection] = {}
        self.places: dict[str, str] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exception: object) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def ask(self, url: str, method: str, headers: c.Mapping[str, str], timeout: float) -> http.client.HTTPResponse:
        """One request, and its answer as it is. Raises OSError and http.client.HTTPException."""
        place = origin_of(url)
        kept = self._connections.get(place)
        if kept is not None:
            # A server may have closed what was kept; only then is the request made again.
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError, http.client.CannotSendRequest):
                return self._exchange(kept, url, method, headers)
            kept.close()
        connection = self._connections[place] = _connection(url, timeout, self._proxy(url))
        return self._exchange(connection, url, method, headers)

    def _proxy(self, url: str) -> urllib.parse.SplitResult | None:
        return _proxy(urllib.parse.urlsplit(url)) if self._proxies else None

    def _exchange(
        self, connection: http.client.HTTPConnection, url: str, method: str, headers: c.Mapping[str, str]
    ) -> http.client.HTTPResponse:
        proxy = self._proxy(url) if url.startswith("http:") else None
        return _exchange(connection, url, method, headers, proxy)

    def drop(self, url: str) -> None:
        """Close the connection to a URL's origin: what is left of its answer is not wanted."""
        connection = self._connections.pop(origin_of(url), None)
        if connection is not None:
            connection.close()

    def cut(self) -> None:
        """From another thread: end what waits for bytes on these connections, as if the server had gone."""
        for connection in list(self._connections.values()):
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)


class Answer:
    """A 2xx answer whose body is still to be read. hops: the headers of each answer on the way, this one's last.

    Its end is that of its session, or of its connection where not all was read.
    """

    def __init__(
        self,
        url: str,
        response: http.client.HTTPResponse,
        hops: c.Sequence[email.message.Message],
        session: Session,
        own: bool,
    ) -> None:
        self.url = url
        self.status = response.status
        self.headers: email.message.Message = response.headers
        self.hops = tuple(hops)
        self._response = response
        self._left = self.length
        self._session = session
        self._own = own

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._response.close()
        if self._own:
            self._session.__exit__()
        elif self._left != 0:
            self._session.drop(self.url)

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

    def read_into(self, buffer: memoryview) -> int:
        """As L(read), into memory that is there already: what one call of the system gives; 0 at the end."""
        wanted = len(buffer) if self._left is None else min(len(buffer), self._left)
        if wanted == 0 or self._left is None:
            block = self.read(wanted) if wanted else b""
            buffer[: len(block)] = block
            return len(block)
        try:
            # http.client gives the stream away at its end, also where that is too early.
            count = 0 if self._response.isclosed() else self._response.fp.readinto1(buffer[:wanted])
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(self.url, error, "broke off") from error
        self._left -= count
        return count

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


def request(
    url: str,
    access: Access,
    *,
    method: str = "GET",
    headers: c.Mapping[str, str] | None = None,
    session: Session | None = None,
) -> Answer:
    """Ask for a URL and follow redirects; a token goes to the first URL's own scheme, host and port only.

    session: has connections from before. Raises HttpFault for an answer that is not 2xx, for none, for redirects in a
    circle or to what may not be asked.
    """
    used = session or Session(access.proxies)
    try:
        place = used.places.get(url)
        if place is not None:
            # Where it led to may be signed for some time only: then the way is asked for again.
            with contextlib.suppress(HttpFault):
                return _follow(url, place, access, method, headers or {}, used, session is None)
            del used.places[url]
        return _follow(url, url, access, method, headers or {}, used, session is None)
    except BaseException:
        if session is None:
            used.__exit__()
        raise


def _follow(
    url: str, place: str, access: Access, method: str, headers: c.Mapping[str, str], session: Session, own: bool
) -> Answer:
    first, seen, hops = origin_of(url), [place], list[email.message.Message]()
    while True:
        reason = refusal(place, access.allow_http)
        same = origin_of(place) == first
        if reason:
            redirected = len(seen) > 1
            raise HttpFault(reason, redirected=redirected, remedy="Use https, or set comfy_policy.allow_http")
        identified = access.identification(method, place, headers) if same else {}
        response = _ask(session, place, method, {**headers, **identified}, access.timeout)
        hops.append(response.headers)
        if response.status not in _REDIRECTS:
            break
        session.drop(place)
        place = _next_url(place, response.headers, seen)
    if response.status not in _SUCCESS:
        session.drop(place)
        raise _fault(place, response, bool(identified), redirected=not same)
    session.places[url] = place
    return Answer(place, response, hops, session, own)


def origin_of(url: str) -> tuple[str, str, int | None]:
    """The URL's origin; HttpFault where it is no URL."""
    try:
        return origin(url)
    except ValueError as error:
        raise HttpFault(f"{shown(url)} is no URL ({error})") from error


@functools.cache
def _trust() -> ssl.SSLContext:
    """The machine's certificate authorities, or those of SSL_CERT_FILE."""
    return ssl.create_default_context()


def _connection(url: str, timeout: float, proxy: urllib.parse.SplitResult | None) -> http.client.HTTPConnection:
    """A connection that is not open yet, by way of a proxy if there is one."""
    parts = urllib.parse.urlsplit(url)
    host, port = (proxy.hostname, proxy.port) if proxy else (parts.hostname, parts.port)
    if parts.scheme == "http":
        return http.client.HTTPConnection(host or "", port, timeout=timeout)
    connection = http.client.HTTPSConnection(host or "", port, timeout=timeout, context=_trust())
    if proxy:
        connection.set_tunnel(parts.hostname or "", parts.port, _proxy_headers(proxy))
    return connection


def _proxy(parts: urllib.parse.SplitResult) -> urllib.parse.SplitResult | None:
    """The environment's proxy for a URL (HTTPS_PROXY, NO_PROXY)."""
    address = urllib.request.getproxies().get(parts.scheme)
    if not address or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return urllib.parse.urlsplit(address if "://" in address else f"http://{address}")


def _proxy_headers(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    user = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


def _exchange(
    connection: http.client.HTTPConnection,
    url: str,
    method: str,
    headers: c.Mapping[str, str],
    proxy: urllib.parse.SplitResult | None,
) -> http.client.HTTPResponse:
    """proxy: one that is asked for the whole URL, as it is with plain HTTP."""
    parts = urllib.parse.urlsplit(url)
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    if proxy:
        target, headers = url, {**headers, "Host": parts.netloc.rpartition("@")[2], **_proxy_headers(proxy)}
    try:
        connection.request(method, target, headers=dict(headers))
        return connection.getresponse()
    except BaseException:
        connection.close()
        raise


def _ask(
    session: Session, url: str, method: str, headers: c.Mapping[str, str], timeout: float
) -> http.client.HTTPResponse:
    # Without "identity" a proxy on the way may compress, and offsets would be those of other bytes.
    sent = {"Accept-Encoding": "identity", **headers, "User-Agent": USER_AGENT}
    try:
        return session.ask(url, method, sent, timeout)
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


def _fault(url: str, response: http.client.HTTPResponse, sent_token: bool, *, redirected: bool) -> HttpFault:
    status = response.status
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
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    if isinstance(error, ssl.SSLCertVerificationError):
        return HttpFault(
            f"the certificate of {host} is not trusted: {error.verify_message}",
            remedy="Install its certificate authority on this machine, or set SSL_CERT_FILE",
        )
    if isinstance(error, TimeoutError):
        return HttpFault(f"{shown(url)} {how}: nothing came from {host} in time", transient=True)
    return HttpFault(
        f"{shown(url)} {how}: {error}", transient=not isinstance(error, (ValueError, http.client.InvalidURL))
    )
