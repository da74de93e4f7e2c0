# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serves a host's models to the other hosts of its site, while a run of the playbook lasts.

GET /news; GET /sha256/<first two digits>/<sha256>, with ranges, as comfy_model_mirrors have it. Whoever asks needs the
token of the run. Bounded: so many files at a time, so many bytes per second; it ends by itself when nobody asks.
"""

from __future__ import annotations

import hmac
import http.server
import os
import pathlib
import re
import socket
import threading
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.models.pace import Pace
from ansible_collections.comfyops.fleet.plugins.module_utils.seed.news import NEWS_PATH, Contents

# A run that was killed closes no doors: after so long without a request they close by themselves. Between the opening
# and the first request lies the installation of the packages.
IDLE_SECONDS = 3600.0
_CLIENT_SECONDS = 30.0
_STEP = 8 << 20
_MODEL = re.compile(r"/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Server(http.server.ThreadingHTTPServer):
    """On a socket that listens already. uploads: files that are sent at a time; rate: bytes per second in all."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, listener: socket.socket, contents: Contents, token: str, uploads: int, rate: int | None = None
    ) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.contents = contents
        self.token = token
        self.uploads = threading.BoundedSemaphore(uploads)
        self.pace = Pace(rate) if rate else None
        self.asked = time.monotonic()

    def serve(self, idle: float = IDLE_SECONDS) -> None:
        """Answer until nobody has asked for so many seconds."""
        threading.Thread(target=self._end_when_idle, args=(idle,), daemon=True).start()
        self.serve_forever()

    def _end_when_idle(self, idle: float) -> None:
        while (left := self.asked + idle - time.monotonic()) > 0:
            time.sleep(left)
        self.shutdown()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nobody's fault; there is nowhere to say it either."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection of another host."""

    protocol_version = "HTTP/1.1"
    timeout = _CLIENT_SECONDS
    server: Server

    def do_GET(self) -> None:
        """Answer, to those who have the token."""
        said = self.headers.get("Authorization", "").encode()
        model = _MODEL.fullmatch(self.path)
        if not hmac.compare_digest(said, f"Bearer {self.server.token}".encode()):
            self._say(http.HTTPStatus.UNAUTHORIZED)
            return
        self.server.asked = time.monotonic()
        if self.path == NEWS_PATH:
            self._say(http.HTTPStatus.OK, self.server.contents.news().text().encode())
        elif model and (path := self.server.contents.file(model[2])):
            self._send(path, model[2])
        else:
            self._say(http.HTTPStatus.NOT_FOUND)

    def log_message(self, *_args: object) -> None:
        """Nobody reads it."""

    def _say(self, status: http.HTTPStatus, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, path: pathlib.Path, sha256: str) -> None:
        if not self.server.uploads.acquire(blocking=False):
            self._say(http.HTTPStatus.SERVICE_UNAVAILABLE, Retry_After="1")
            return
        try:
            with path.open("rb") as file:
                self._send_range(file, os.fstat(file.fileno()).st_size, f'"{sha256}"')
        except OSError:
            # The other host has gone, or this one's disk has failed: what is missing is asked for elsewhere.
            self.close_connection = True
        finally:
            self.server.uploads.release()

    def _send_range(self, file: t.BinaryIO, size: int, tag: str) -> None:
        """The file, or the one range of it that is asked for (RFC 9110 section 14.2)."""
        asked = _RANGE.fullmatch(self.headers.get("Range", "")) if self.headers.get("If-Range", tag) == tag else None
        start = int(asked[1]) if asked else 0
        end = min(size, int(asked[2]) + 1) if asked and asked[2] else size
        if asked and start >= end:
            self._say(http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, Content_Range=f"bytes */{size}")
            return
        self.send_response(http.HTTPStatus.PARTIAL_CONTENT if asked else http.HTTPStatus.OK)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", tag)
        self.end_headers()
        self._send_bytes(file, start, end)

    def _send_bytes(self, file: t.BinaryIO, start: int, end: int) -> None:
        pace = self.server.pace
        while start < end:
            step = min(_STEP, end - start)
            start += self.connection.sendfile(file, start, step if pace is None else pace.take(step))
            self.server.asked = time.monotonic()
