# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real nginx on loopback, as mirrors and plain file servers are."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_MAIN = """
daemon off; pid {directory}/pid; error_log {directory}/error.log; worker_processes 2; {user}
events {{ }}
http {{
  access_log {directory}/access.log; sendfile on; default_type application/octet-stream;
  client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
  uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
  {servers}
}}
"""
_START_SECONDS = 10.0


class Nginx:
    """One server process group. Its address stays when it is stopped and started again."""

    def __init__(self, directory: pathlib.Path, servers: str) -> None:
        """servers: ``server`` blocks and what else belongs into ``http``, with ``{address}`` where it listens."""
        directory.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self._log = directory / "access.log"
        self._configuration = directory / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        text = servers.replace("{address}", self.address)
        self._configuration.write_text(_MAIN.format(directory=directory, user=user, servers=text))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers.

        Raises:
            RuntimeError: it does not.
        """
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
        self._process = subprocess.Popen([program, "-e", "stderr", "-c", str(self._configuration)])
        host, _colon, port = self.address.partition(":")
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
                return
            time.sleep(0.02)
        raise RuntimeError("nginx does not answer")

    def stop(self) -> None:
        """End it at once: connections break."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def requests(self) -> list[tuple[str, int, int]]:
        """What it has answered, but for the look at its port: path, status, bytes of the body."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        parts = [line.split('"') for line in lines if '"GET ' in line]
        return [(part[1].split()[1], int(part[2].split()[0]), int(part[2].split()[1])) for part in parts]


@contextlib.contextmanager
def nginx(directory: pathlib.Path, servers: str) -> Iterator[Nginx]:
    """Runs nginx for as long as this lasts."""
    server = Nginx(directory, servers)
    server.start()
    try:
        yield server
    finally:
        server.stop()
