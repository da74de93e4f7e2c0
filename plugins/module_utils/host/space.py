# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on a host's file systems, known before the first byte is written."""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import errno
import os
import pathlib
import stat

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Need, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout

# What every file system keeps free beside the plan: receipts, logs, directory entries.
RESERVE = 32 * 1024 * 1024
_THOUSAND = 1000
# stat(2): what st_blocks counts.
_BLOCK = 512


def nearest_existing(path: pathlib.Path) -> pathlib.Path:
    """The path itself or its nearest parent that exists."""
    for candidate in (path, *path.parents):
        if candidate.exists():
            return candidate
    return pathlib.Path("/")


def shortages(needs: c.Iterable[Need], freed: c.Mapping[int, int] | None = None) -> list[FleetError]:
    """One fault for each file system that has less room than ``needs`` take together there.

    freed: bytes by device that come free before.
    """
    wanted: dict[int, int] = {}
    places: dict[int, pathlib.Path] = {}
    remedies: dict[int, set[str]] = {}
    for need in needs:
        place = nearest_existing(need.directory)
        device = place.stat().st_dev
        wanted[device] = wanted.get(device, 0) + need.size
        places.setdefault(device, place)
        remedies.setdefault(device, set()).update({need.remedy} - {""})
    return [
        fault
        for device, size in wanted.items()
        if size
        for fault in _shortage(places[device], size, (freed or {}).get(device, 0), remedies[device])
    ]


def freed(doomed: c.Iterable[pathlib.Path]) -> dict[int, int]:
    """The bytes on disk, by device, that come free when these files and directories go.

    A file counts when all of its names go: the others keep it. What goes away while it is looked at does not count.
    """
    names: collections.Counter[tuple[int, int]] = collections.Counter()
    statuses: dict[tuple[int, int], os.stat_result] = {}
    for path in (inside for top in doomed for inside in _with_content(top)):
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(path)
            key = status.st_dev, status.st_ino
            names[key] += 1
            statuses[key] = status
    free: dict[int, int] = {}
    for key, status in statuses.items():
        # A directory's links are those of its content.
        if stat.S_ISDIR(status.st_mode) or names[key] >= status.st_nlink:
            free[status.st_dev] = free.get(status.st_dev, 0) + status.st_blocks * _BLOCK
    return free


def _with_content(top: pathlib.Path) -> c.Iterator[str]:
    yield str(top)
    if top.is_symlink():
        return
    for parent, directories, files in os.walk(top):
        yield from (f"{parent}/{name}" for name in (*directories, *files))


def reduced(needs: c.Iterable[Need], freed: c.Mapping[int, int]) -> c.Iterator[Need]:
    """The needs, less the bytes by device that come free before."""
    left = dict(freed)
    for need in needs:
        device = nearest_existing(need.directory).stat().st_dev
        taken = min(need.size, left.get(device, 0))
        left[device] = left.get(device, 0) - taken
        yield need._replace(size=need.size - taken)


def _shortage(place: pathlib.Path, size: int, freed: int, remedies: c.Iterable[str]) -> list[FleetError]:
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    if free + freed >= size + RESERVE:
        return []
    more = f", {human(freed)} more when what can go is gone" if freed else ""
    ways = ("Free some room, or put comfy_root, comfy_models_dir or comfy_cache_dir on a larger file system",)
    return [
        FleetError(
            f"{human(size + RESERVE)} are needed and {human(free)} are free{more}",
            where=str(place),
            remedy="; ".join((*ways, *sorted(remedies))),
        )
    ]


def human(size: float) -> str:
    """A number of bytes as people read it: ``1.5 GB`` (decimal units, as disks are sold)."""
    for unit, decimals in (("B", 0), ("kB", 1), ("MB", 1), ("GB", 1)):
        if round(abs(size), decimals) < _THOUSAND:
            return f"{size:.{decimals}f} {unit}"
        size /= _THOUSAND
    return f"{size:.1f} TB"


def disk_fault(error: OSError, where: str) -> FleetError:
    """The fault of a file that could not be read or written; where: what it was for."""
    remedy = "Look at the file system, its mount and the kernel's log (dmesg), then run it again"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "Free some room there and run it again: what has come is kept"
    elif error.errno in (errno.EACCES, errno.EPERM):
        remedy = f"Another user has made it: run as that one, or give it to user id {os.geteuid()} (as root: chown -R)"
    path = f"{error.filename}: " if error.filename else ""
    return FleetError(f"{path}{error.strerror or error}", where=where, remedy=remedy)


def unwritable(root: pathlib.Path, variable: str = "comfy_root") -> list[FleetError]:
    """A fault when this user can not write below ``root``, which ``variable`` says, with the two ways out."""
    place = nearest_existing(root)
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return []
    return [
        FleetError(
            f"user id {os.geteuid()} may not write here{_why(place)}",
            where=str(place),
            remedy=f"Either give {root} to that user (once, as root: install -d -o USER {root}), or set {variable} to "
            "a directory of its own; become is yours to set in the inventory",
        )
    ]


def unreadable(layout: Layout) -> list[FleetError]:
    """A fault for each directory that this user may not look into: what is there would seem not to be there."""
    inside = (layout.builds, layout.envs, layout.state, layout.store, layout.models)
    # One that is closed closes what is in it.
    return _closed((layout.root,)) or _closed(inside)


def _closed(directories: c.Iterable[pathlib.Path]) -> list[FleetError]:
    faults = []
    for directory in directories:
        try:
            os.scandir(directory).close()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            faults.append(
                FleetError(
                    f"user id {os.geteuid()} may not look here",
                    where=str(directory),
                    remedy="Run as the user who made it (ansible_user, become), or let this one read it",
                )
            )
        except OSError as error:
            faults.append(disk_fault(error, str(directory)))
    return faults


def _why(place: pathlib.Path) -> str:
    return ", the file system is mounted read-only" if os.statvfs(place).f_flag & os.ST_RDONLY else ""


def obstacles(layout: Layout, plan: Plan) -> list[FleetError]:
    """All that stands in a plan's way: its own obstacles, too little room, a root that can not be written."""
    if not plan.changes:
        return list(plan.obstacles)
    return [*plan.obstacles, *unwritable(layout.root), *shortages(plan.needs)]
