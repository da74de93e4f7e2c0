# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of the lab's hosts.

Each host's systemd manages the group it is started in as if it were alone there. Two hosts in one group would stop
each other's services, so every host gets a group of its own below the one that the lab was started in.
Sources: cgroups(7), systemd's "The New Control Group Interfaces".
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .errors import LabError


def own() -> list[Path]:
    """The directories of this process's group in the hierarchies that systemd uses: its named one, and version 2.

    Raises LabError when there is none.
    """
    groups = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, group = line.split(":", 2)
        groups[controllers] = group.lstrip("/")
    candidates = [place / groups[controllers] for controllers, place in _mount_points() if controllers in groups]
    found = [directory for directory in candidates if directory.is_dir()]
    if not found:
        raise LabError(
            "no control group hierarchy for systemd is mounted (neither cgroup version 2 nor name=systemd); "
            "the lab's hosts cannot boot without: run it on a machine or in a container with /sys/fs/cgroup"
        )
    return found


def _mount_points() -> list[tuple[str, Path]]:
    """(controllers as in /proc/PID/cgroup, mount point) of version 2 and of systemd's named hierarchy."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _separator, after = line.partition(" - ")
        kind, _source, options = after.split(" ", 2)
        mount_point = Path(before.split(" ")[4])
        if kind == "cgroup2":
            found.append(("", mount_point))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found.append(("name=systemd", mount_point))
    return found


def join(group: Path) -> None:
    """Make ``group`` if it is not there, and move this process into it."""
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text("0")


def remove(group: Path) -> None:
    """Remove an empty ``group`` and all groups below it; nothing happens when it is not there."""
    for directory, _directories, _files in os.walk(group, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            Path(directory).rmdir()
