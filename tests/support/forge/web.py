# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side of the forge: requests, answers, byte ranges, and the log of what was asked.

Every service takes a ``Request`` and gives a ``Response``. Only this file touches sockets, so a fault that is switched
on works in the same way for every service.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import http.server
import itertools
import json
import re
import select
import socket
import socketserver
import threading
import time
import typing as t
import urllib.parse

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.support.forge.faults import Fault

CHUNK = 64 * 1024
# What is asked of the forge itself, not of one of its services.
OWN_INTERFACE = "/forge/"
# How long a look at the log waits for answers that are under way.
SETTLE_SECONDS = 1.0
# The request headers that tests ask about. Everything else (Host aside, which has its own field) is noise.
LOGGED_HEADERS = (
    "accept",
    "authorization",
    "cookie",
    "git-protocol",
    "if-none-match",
    "if-range",
    "range",
    "user-agent",
)


@dataclasses.dataclass(frozen=True)
class Request:
    """One request as the services see it.

    ``path`` is still percent-encoded and without the query; header names are in lower case; ``port`` says which of the
    forge's two ports it came in by, ``main`` or ``blob``.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    port: str
    faults: tuple[Fault, ...] = ()

    @property
    def parts(self) -> list[str]:
        """The decoded segments of the path, without empty ones."""
        return [urllib.parse.unquote(part) for part in self.path.split("/") if part]

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one, the last."""
        return dict(urllib.parse.parse_qsl(self.query_string, keep_blank_values=True))

    @property
    def token(self) -> str | None:
        """The bearer token, or the password of basic authentication (RFC 7617), or None."""
        scheme, _space, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return value.strip()
        if scheme.lower() != "basic":
            return None
        try:
            user, _colon, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return password or user

    def has_fault(self, kind: str) -> bool:
        """Whether a fault of that kind is switched on for this request."""
        return any(fault.kind == kind for fault in self.faults)


@dataclasses.dataclass(frozen=True)
class Delivery:
    """How an answer's bytes leave: what faults change on the wire. All None is an honest answer."""

    announced_length: int | None = None
    close_after: int | None = None
    stall_after: int | None = None
    stall_seconds: float = 3600.0
    bytes_per_second: int | None = None


@dataclasses.dataclass(frozen=True)
class Response:
    """One answer. ``length`` is None where it is not known beforehand (then it goes out in chunks).

    ``position`` and ``whole`` say which part of a larger content the body is: the first byte's offset and the content's
    full size.
    """

    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: Iterable[bytes] = ()
    length: int | None = 0
    position: int = 0
    whole: int | None = None
    delivery: Delivery = Delivery()


@dataclasses.dataclass(frozen=True)
class LoggedRequest:
    """What the log keeps of a request: ``path`` with its query, as sent; ``sent`` counts body bytes.

    ``connection`` numbers the TCP connections, ``started`` and ``seconds`` are relative to the forge's start.
    """

    method: str
    host: str
    port: str
    path: str
    headers: Mapping[str, str]
    status: int
    sent: int
    connection: int
    started: float
    seconds: float


class RequestLog:
    """The requests answered so far, in memory and as JSON lines in a file; counts connections too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)
        self.in_flight = 0
        self._requests: list[LoggedRequest] = []
        self._connections = itertools.count(1)
        self._start = time.monotonic()
        self.connections = 0
        self._path.touch()

    def connected(self) -> int:
        """Counts one more connection and gives its number."""
        with self._lock:
            self.connections = next(self._connections)
            return self.connections

    def now(self) -> float:
        """Seconds since the forge started."""
        return time.monotonic() - self._start

    def begin(self) -> None:
        """Notes that a request is being answered."""
        with self._lock:
            self.in_flight += 1

    def end(self, entry: LoggedRequest) -> None:
        """Keeps a request that has been answered, unless it was one to the forge's own interface."""
        line = json.dumps(dataclasses.asdict(entry), sort_keys=True)
        with self._lock:
            if not entry.path.startswith(OWN_INTERFACE):
                self._requests.append(entry)
                with self._path.open("a", encoding="utf-8") as stream:
                    stream.write(line + "\n")
            self.in_flight -= 1
            self._settled.notify_all()

    def snapshot(self) -> list[LoggedRequest]:
        """A copy of the requests so far.

        A client has its answer a moment before the answer is kept, so this waits a little for those under way.
        """
        with self._settled:
            self._settled.wait_for(lambda: self.in_flight == 0, SETTLE_SECONDS)
            return list(self._requests)

    def clear(self) -> None:
        """Forgets requests and connections, in memory and in the file."""
        with self._settled:
            self._settled.wait_for(lambda: self.in_flight == 0, SETTLE_SECONDS)
            self._requests.clear()
            self._connections = itertools.count(1)
            self.connections = 0
            self._path.write_text("", encoding="utf-8")


def text(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A plain text answer."""
    return data(message.encode() + b"\n", "text/plain; charset=utf-8", status=status, headers=headers)


def document(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return data(json.dumps(value).encode(), "application/json", status=status, headers=headers)


def data(body: bytes, content_type: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer made of bytes at hand."""
    return Response(status, {"Content-Type": content_type, **(headers or {})}, (body,), len(body), 0, len(body))


def redirect(location: str, headers: Mapping[str, str] | None = None, status: int = 302) -> Response:
    """A redirect."""
    return Response(status, {"Location": location, **(headers or {})})


def static(
    request: Request,
    path: Path,
    etag: str,
    content_type: str = "application/octet-stream",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A file with conditional requests and one byte range (RFC 9110 sections 13 and 14)."""
    size = path.stat().st_size
    common = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Type": content_type, **(headers or {})}
    if request.headers.get("if-none-match", "").strip() in (f'"{etag}"', "*"):
        return Response(304, common)
    wanted = _wanted_range(request, size, etag)
    if wanted is None:
        return Response(200, common, _slice(path, 0, size), size, 0, size)
    first, last = wanted
    if first > last:
        return Response(416, {**common, "Content-Range": f"bytes */{size}"})
    part = {**common, "Content-Range": f"bytes {first}-{last}/{size}"}
    return Response(206, part, _slice(path, first, last + 1), last + 1 - first, first, size)


def _wanted_range(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """First and last byte of the range asked for; None for all; first > last where it cannot be satisfied."""
    header = request.headers.get("range")
    condition = request.headers.get("if-range")
    if header is None or request.method != "GET" or request.has_fault("no-range"):
        return None
    if condition is not None and condition.strip() != f'"{etag}"':
        return None
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    start, end = match.groups()
    if not start:
        return (max(size - int(end), 0), size - 1) if int(end) else (size, size - 1)
    return int(start), min(int(end), size - 1) if end else size - 1


def _slice(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        remaining = end - start
        while remaining > 0:
            block = stream.read(min(CHUNK, remaining))
            if not block:
                return
            remaining -= len(block)
            yield block


class ConnectionDroppedError(Exception):
    """Raised by an answering function that wants the connection closed without an answer."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One listening port. It serves from construction of its thread (``start``) until ``close``."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(
        self, address: tuple[str, int], port_name: str, answer: Callable[[Request], Response], log: RequestLog
    ) -> None:
        self.port_name = port_name
        self.answer = answer
        self.log = log
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Binds without the look-up of the host's full name that http.server does, which waits for a name server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def start(self) -> None:
        """Begins to serve in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stops listening and ends every open connection."""
        self.stopping.set()
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        self.close_connections()

    def close_connections(self) -> None:
        """Ends every open connection, as a network does that goes away."""
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def get_request(self) -> tuple[socket.socket, t.Any]:
        """Accepts a connection and remembers it, so that ``close`` can end it."""
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: t.Any) -> None:
        """Forgets a connection that ends."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Clients that go away in the middle are part of the tests: only other errors are worth a traceback."""
        if not self.stopping.is_set():
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads requests from one connection and sends the answers."""

    protocol_version = "HTTP/1.1"
    server_version = "forge"
    sys_version = ""
    # Header and body are two writes: without this the second waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """Numbers the connection."""
        super().setup()
        self.number = self.server.log.connected()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it so
        """Says nothing on standard error: the request log has it all."""

    def handle(self) -> None:
        """Serves the connection until it ends, however it ends."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_GET(self) -> None:
        """Answers a request of any method."""
        started = self.server.log.now()
        target = urllib.parse.urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, target.path, target.query, headers, self._read_body(), self.server.port_name)
        status, sent = 0, _Counter()
        self.server.log.begin()
        try:
            response = self.server.answer(request)
            status = response.status
            self._send(response, sent)
        except ConnectionDroppedError:
            self.close_connection = True
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            self._log(headers, status, sent.bytes, started)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - names that http.server looks up

    def _log(self, headers: Mapping[str, str], status: int, sent: int, started: float) -> None:
        log = self.server.log
        kept = {name: headers[name] for name in LOGGED_HEADERS if name in headers}
        host = headers.get("host", "")
        seconds = log.now() - started
        port = self.server.port_name
        log.end(LoggedRequest(self.command, host, port, self.path, kept, status, sent, self.number, started, seconds))

    def _read_body(self) -> bytes:
        """The request's body; git sends large ones in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        blocks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            blocks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(blocks)

    def _send(self, response: Response, sent: _Counter) -> None:
        delivery = response.delivery
        length = response.length if delivery.announced_length is None else delivery.announced_length
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        chunked = length is None and not bodiless
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif length is not None and response.status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if bodiless:
            return
        for block in self._paced(response.body, delivery):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
            sent.bytes += len(block)
        if chunked and not self.close_connection:
            self.wfile.write(b"0\r\n\r\n")
        if delivery.close_after is not None or delivery.announced_length is not None:
            self.close_connection = True

    def _paced(self, body: Iterable[bytes], delivery: Delivery) -> Iterator[bytes]:
        """The body as it may leave: cut where a fault closes or stalls the connection, and no faster than its rate."""
        rate = delivery.bytes_per_second
        limit = delivery.close_after if delivery.stall_after is None else delivery.stall_after
        started, passed = time.monotonic(), 0
        for block in _pieces(body, CHUNK if rate is None else max(1, min(CHUNK, rate // 50))):
            piece = block if limit is None else block[: limit - passed]
            if piece:
                yield piece
            passed += len(piece)
            if rate is not None and self.server.stopping.wait(max(0.0, passed / rate - time.monotonic() + started)):
                raise ConnectionAbortedError("the forge is closing")
            if limit is not None and passed >= limit:
                break
        if delivery.stall_after is not None:
            self._stall(delivery.stall_seconds)

    def _stall(self, seconds: float) -> None:
        """Sends nothing more until the client gives up, the time is over or the forge closes."""
        end = time.monotonic() + seconds
        self.close_connection = True
        while time.monotonic() < end and not self.server.stopping.wait(0.05):
            readable, _writable, _broken = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return


class _Counter:
    """The body bytes of one answer that have been handed to the socket."""

    def __init__(self) -> None:
        self.bytes = 0


def _pieces(body: Iterable[bytes], size: int) -> Iterator[bytes]:
    for block in body:
        for start in range(0, len(block), size):
            yield block[start : start + size]
