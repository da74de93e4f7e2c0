# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written down about a lab, so that other processes find it, and the next one can clean up after a dead one."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from . import cgroups
from .errors import LabError
from .processes import Identity, environment_of, kill_families

DIRECTORY_VARIABLE = "COMFY_LAB_DIRECTORY"


@dataclasses.dataclass(frozen=True)
class Record:
    """A lab that runs: its directory, its keeper, the first process of its namespaces, its control groups."""

    directory: Path
    keeper: Identity
    first: int
    control_groups: tuple[Path, ...]

    def text(self) -> str:
        """As JSON."""
        return json.dumps(dataclasses.asdict(self), default=str, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> Record:
        """The record of a JSON text that ``text()`` gave."""
        data = json.loads(text)
        return cls(
            directory=Path(data["directory"]),
            keeper=Identity(**data["keeper"]),
            first=data["first"],
            control_groups=tuple(Path(group) for group in data["control_groups"]),
        )


@dataclasses.dataclass(frozen=True)
class Registry:
    """The records of all labs of one cache, a file each, named by the keeper's pid."""

    cache: Path

    @property
    def _directory(self) -> Path:
        return self.cache / "running"

    def _path(self, record: Record) -> Path:
        return self._directory / f"{record.keeper.pid}.json"

    def add(self, record: Record) -> None:
        """Write ``record`` down."""
        self._directory.mkdir(parents=True, exist_ok=True)
        part = self._path(record).with_suffix(".part")
        part.write_text(record.text())
        part.rename(self._path(record))

    def sweep(self, record: Record) -> None:
        """Remove what the kernel does not take away with a lab's processes: control groups, directory, record."""
        for group in record.control_groups:
            _remove_group(group)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(record.directory)
        self._path(record).unlink(missing_ok=True)

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Hold off other starts, and clean up after dead labs first: one may have had the directory of the new one."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for record in self.records():
                if not record.keeper.alive:
                    _end_visitors(record.directory)
                    self.sweep(record)
            yield

    def records(self) -> list[Record]:
        """All that are written down, of living and of dead labs."""
        return [Record.parse(path.read_text()) for path in sorted(self._directory.glob("*.json"))]

    def running(self, directory: Path) -> Record:
        """The lab that runs in ``directory``; LabError when there is none."""
        for record in self.records():
            if record.directory == directory and record.keeper.alive:
                return record
        raise LabError(f"no lab runs in {directory}: start one with `python -m tests.support.lab up 3`")


def _end_visitors(directory: Path) -> None:
    """Kill what a dead lab's users started in its control namespace; their environment names the directory."""
    mark = f"{DIRECTORY_VARIABLE}={directory}".encode()
    kill_families(lambda around: [process for process in around if mark in environment_of(process.pid)])


def _remove_group(group: Path) -> None:
    """A group stays busy for a moment after its last process was reaped."""
    for attempt in range(100):
        try:
            cgroups.remove(group)
        except OSError:
            time.sleep(0.001 * attempt)
        else:
            return
    cgroups.remove(group)
