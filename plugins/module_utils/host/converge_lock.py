# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One converge at a time on a host, without ``flock``: a file that is made exclusively and says who holds it.

A holder that is dead is taken over: on the same machine it is known by boot id, pid and start time; on another machine
(``comfy_root`` on a network volume) by a heart beat that stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import platform
import threading
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

FILE_NAME = "converge.lock"
_POLL_SECONDS = 0.1
_HEARTBEAT_SECONDS = 10.0
# Six missed beats: the other machine is gone.
_STALE_SECONDS = 60.0


def held_by_another(directory: pathlib.Path) -> bool:
    """Whether a process other than this one holds the lock in ``directory`` and lives.

    What lies about unfinished is then its work, not something that was left behind.
    """
    path = directory / FILE_NAME
    holder = _read(path)
    if holder is None or _dead(path, holder):
        return False
    return holder.get("pid") != os.getpid() or holder.get("machine") != platform.node()


class ConvergeLock:
    """Holds ``<directory>/converge.lock`` while its ``with`` block runs.

    timeout: seconds to wait for another holder; then FleetError says who it is and since when.
    """

    def __init__(self, directory: pathlib.Path, what: str, timeout: float) -> None:
        self._path = directory / FILE_NAME
        self._timeout = timeout
        self._holder = {
            "token": os.urandom(16).hex(),
            "what": what,
            "machine": platform.node(),
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "start_time": start_time(os.getpid()),
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self._released = threading.Event()

    def __enter__(self) -> ConvergeLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._timeout
        while not self._try():
            holder = _read(self._path)
            if holder is not None and _dead(self._path, holder):
                self._take_away(holder)
            elif time.monotonic() >= deadline:
                raise _held(self._path, holder, self._timeout)
            else:
                time.sleep(_POLL_SECONDS)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._released.set()
        if (_read(self._path) or {}).get("token") == self._holder["token"]:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    def _try(self) -> bool:
        """Link a complete file to the name: it is there whole or not at all, and only once."""
        beside = self._path.with_name(f".{FILE_NAME}.{self._holder['token']}")
        beside.write_text(json.dumps(self._holder), "utf-8")
        try:
            os.link(beside, self._path)
        except FileExistsError:
            return False
        except OSError:
            return self._try_exclusive()
        finally:
            beside.unlink()
        return True

    def _try_exclusive(self) -> bool:
        """For file systems without hard links."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(self._holder))
        return True

    def _take_away(self, dead: dict[str, t.Any]) -> None:
        """Remove the dead holder's file, and put it back if it turns out to be somebody else's by now."""
        away = self._path.with_name(f".{FILE_NAME}.{self._holder['token']}.away")
        with contextlib.suppress(FileNotFoundError):
            self._path.rename(away)
            taken = _read(away)
            if taken is not None and taken.get("token") != dead.get("token"):
                with contextlib.suppress(OSError):
                    os.link(away, self._path)
            away.unlink()

    def _beat(self) -> None:
        while not self._released.wait(_HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._path)


def _read(path: pathlib.Path) -> dict[str, t.Any] | None:
    """The holder, or None while the file is not there or is being written."""
    try:
        holder = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return holder if isinstance(holder, dict) else None


def _dead(path: pathlib.Path, holder: dict[str, t.Any]) -> bool:
    if holder.get("machine") != platform.node():
        return _age(path) > _STALE_SECONDS
    if holder.get("boot_id") != boot_id():
        return True
    return start_time(int(holder.get("pid", 0))) != holder.get("start_time")


def _age(path: pathlib.Path) -> float:
    """Seconds since the last heart beat, by the file system's own clock."""
    probe = path.with_name(f".{FILE_NAME}.clock.{os.getpid()}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        with contextlib.suppress(FileNotFoundError):
            probe.unlink()


def _held(path: pathlib.Path, holder: dict[str, t.Any] | None, timeout: float) -> FleetError:
    who = holder or {}
    return FleetError(
        f"another converge holds this host: {who.get('what', 'unknown')} since {who.get('since', 'unknown')} "
        f"(pid {who.get('pid', '?')} on {who.get('machine', '?')}); waited {timeout:.0f} s",
        where=str(path),
        remedy="Wait for it, raise comfy_lock_timeout, or end that process; a dead holder is taken over by itself",
    )


def boot_id() -> str:
    """What names this boot of the kernel (random(4)); empty where there is no /proc."""
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def start_time(pid: int) -> str | None:
    """Field 22 of /proc/<pid>/stat (proc(5)): with the pid it names one process of a boot. None: not running."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]
