# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter and platform that packages are chosen for, which need not be those of the control node."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

if t.TYPE_CHECKING:
    from packaging.tags import Tag

DEFAULT_PLATFORM: t.Final = "x86_64-manylinux_2_28"

_PYTHON = re.compile(r"3\.\d{1,2}(\.\d{1,2})?")
# The glibc 2.x that uv has platforms for.
PROFILES: t.Final = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
# The names that uv has for Linux with glibc; unknown-linux-gnu and linux mean manylinux_2_28 there.
_PLATFORM = re.compile(
    rf"(?P<machine>x86_64|aarch64)-(?:manylinux_2_(?P<minor>{'|'.join(map(str, PROFILES))})|(?P<legacy>manylinux2014)"
    r"|unknown-linux-gnu)"
)
# PEP 600: the older names of three profiles, and the oldest profile of each machine.
_LEGACY_PROFILES: t.Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_PROFILE: t.Final = {"x86_64": 5, "aarch64": 17}


@dataclasses.dataclass(frozen=True)
class TargetEnvironment:
    """CPython ``python`` (3.12 or 3.12.4) on ``machine`` with glibc 2.``glibc`` or newer."""

    name: str
    python: str
    machine: str
    glibc: int

    @property
    def platform(self) -> str:
        """The platform as uv names it."""
        return f"{self.machine}-manylinux_2_{self.glibc}"

    @property
    def where(self) -> str:
        """What a message about this target begins with."""
        return f"target {self.name} (Python {self.python}, {self.platform})"

    def markers(self) -> dict[str, str]:
        """The values of the environment markers (PEP 508).

        A Python without its last number counts as its first release, as it does for uv.
        """
        full = self.python if self.python.count(".") > 1 else f"{self.python}.0"
        return {
            "extra": "",
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "python_version": ".".join(full.split(".")[:2]),
            "sys_platform": "linux",
        }

    def wheel_tags(self) -> list[Tag]:
        """The wheel tags that fit, the best first, in the order of Python's own installer (PEP 425)."""
        from packaging.tags import compatible_tags, cpython_tags

        major, minor = (int(number) for number in self.python.split(".")[:2])
        interpreter = f"cp{major}{minor}"
        platforms = list(self._platform_tags())
        return [
            *cpython_tags((major, minor), [interpreter], platforms),
            *compatible_tags((major, minor), interpreter, platforms),
        ]

    def _platform_tags(self) -> c.Iterator[str]:
        oldest = _OLDEST_PROFILE[self.machine]
        for minor in range(self.glibc, oldest - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _LEGACY_PROFILES:
                yield f"{_LEGACY_PROFILES[minor]}_{self.machine}"
        yield f"linux_{self.machine}"


def target_environment(name: str, platform: str | None, python: str) -> TargetEnvironment:
    """The environment of the target ``name``. Raises FleetError for a Python or platform that no host of ours has."""
    if not _PYTHON.fullmatch(python):
        raise FleetError(
            f"{python!r} is no Python version", where=f"target {name}", remedy="Write it as 3.12 or 3.12.4"
        )
    wanted = platform or DEFAULT_PLATFORM
    match = _PLATFORM.fullmatch(DEFAULT_PLATFORM if wanted == "linux" else wanted)
    if match is None:
        raise FleetError(
            f"packages cannot be locked for the platform {wanted}: hosts are Linux with glibc",
            where=f"target {name}",
            remedy=f"Write {DEFAULT_PLATFORM}, or aarch64-manylinux_2_28",
        )
    glibc = int(match["minor"] or (17 if match["legacy"] else 28))
    return TargetEnvironment(name, python, match["machine"], glibc)
