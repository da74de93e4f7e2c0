# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens a host's doors for its site, and closes them: a process of its own, recorded so that the next run finds it.

It is forked from the module and goes on after it: nothing has to be installed for it, and nothing is left of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import ipaddress
import json
import os
import pathlib
import platform
import signal
import socket
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import boot_id, start_time
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.seed.news import Contents
from ansible_collections.comfyops.fleet.plugins.module_utils.seed.server import Server

_PATIENCE_SECONDS = 5.0
_READY = b"ready"


@dataclasses.dataclass(frozen=True)
class Doors:
    """address: where the site's other hosts reach this one. port: 0 for any. rate: bytes per second, None: no limit."""

    address: str
    token: str = dataclasses.field(repr=False)
    port: int = 0
    uploads: int = 4
    rate: int | None = None


def open_doors(layout: Layout, sha256s: frozenset[str], doors: Doors) -> str:
    """Serve the models of these sha256 in the background, and give the URL. Raises FleetError."""
    close_doors(layout)
    listener = _listen(doors.address, doors.port)
    port = listener.getsockname()[1]
    contents = Contents(layout, sha256s)
    with listener:
        _in_background(layout, lambda: Server(listener, contents, doors.token, doors.uploads, doors.rate).serve())
    host = f"[{doors.address}]" if ":" in doors.address else doors.address
    return f"http://{host}:{port}"


def close_doors(layout: Layout) -> bool:
    """End what serves; gives whether anything did."""
    try:
        record: dict[str, t.Any] = json.loads(layout.seed_record.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    pid = int(record["pid"])
    served = record == _identity(pid)
    if served:
        _end(pid, record)
    layout.seed_record.unlink(missing_ok=True)
    return served


def _end(pid: int, record: dict[str, t.Any]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while _identity(pid) == record and time.monotonic() < deadline:
            time.sleep(0.01)
        if _identity(pid) == record:
            os.kill(pid, signal.SIGKILL)


def _identity(pid: int) -> dict[str, t.Any]:
    """What names one process for good."""
    return {"machine": platform.node(), "boot_id": boot_id(), "pid": pid, "start_time": start_time(pid)}


def _listen(address: str, port: int) -> socket.socket:
    """A socket at the address, where it is one of this machine's; else (behind address translation) at all of them.

    At all of them, too, for a name that is a loopback address here alone: Debian's /etc/hosts says so of the own name.
    """
    try:
        family, _kind, _protocol, _name, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise FleetError(
            f"{address} is no address ({error})",
            where="comfy_seed_address",
            remedy="Set comfy_seed_address of this host to the address at which the other hosts of its site reach it",
        ) from error
    here = str(place[0])
    is_own_name = address not in (here, "localhost") and ipaddress.ip_address(here.partition("%")[0]).is_loopback
    return _bound("" if is_own_name else here, port, family)


def _bound(address: str, port: int, family: int) -> socket.socket:
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL and address:
            return _bound("", port, family)
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise FleetError(
                f"port {port} is not free ({error.strerror})",
                where="comfy_seed_port",
                remedy="Set comfy_seed_port to another, or leave it out for any that is free",
            ) from error
        raise FleetError(f"nothing can listen at {address} ({error.strerror})", where="comfy_seed_address") from error


def _in_background(layout: Layout, serve: t.Callable[[], None]) -> None:
    """Run ``serve`` in a process that has nothing to do with this one any more; return once it is recorded."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        # Whatever happens, this copy of the module must not go on as the module.
        try:
            os.close(reading)
            os.setsid()
            if not os.fork():
                _detached(layout, serve, writing)
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    if said != _READY:
        why = said.decode("utf-8", "replace")
        raise FleetError(f"the process that serves could not begin: {why}", where="comfy_seed")


def _detached(layout: Layout, serve: t.Callable[[], None], writing: int) -> None:
    try:
        record = _identity(os.getpid())
        write_text(layout.seed_record, json.dumps(record))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nowhere, standard)
        os.chdir("/")
        os.write(writing, _READY)
    except OSError as error:
        os.write(writing, str(error).encode())
        return
    finally:
        os.close(writing)
    with contextlib.suppress(OSError):
        # What ps and top call it (proc(5)).
        pathlib.Path("/proc/self/comm").write_text("comfy_seed", "ascii")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    serve()
    # Nobody has asked for long: nobody will close them either.
    layout.seed_record.unlink(missing_ok=True)
