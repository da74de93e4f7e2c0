# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages are installed together: those that come from one place."""

from __future__ import annotations

import collections.abc as c
import dataclasses

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import in_directory
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.indexes import index_name, index_url, shown_index


@dataclasses.dataclass(frozen=True)
class Batch:
    """Packages of one place. origin: the place for a message. options: uv's, that lead there and nowhere else."""

    origin: str
    options: tuple[str, ...]
    packages: tuple[Package, ...]
    by_url: bool = False

    @property
    def requirements(self) -> str:
        """The text of a requirements file: exactly these versions, exactly these files."""
        return "".join(f"{self._what(package)} --hash=sha256:{package.sha256}\n" for package in self.packages)

    def _what(self, package: Package) -> str:
        if self.by_url:
            return f"{package.name} @ {package.url}"
        # Three equals signs: with two, 2.9.0 is also 2.9.0+cpu, and uv would take that where an index has both.
        return f"{package.name}==={package.version}"


def batches(context: Context) -> c.Iterator[Batch]:
    """The target's packages by where this host gets them from: comfy_wheels_dir, their own URLs, an index each.

    Each index is asked for its own packages alone, so none can answer for another; and since every file is checked
    against the lock's hash, an index can at worst refuse.
    """
    packages = sorted(context.target.packages, key=lambda package: package.name)
    wheels = context.settings.wheels_dir
    brought = in_directory(wheels, packages)
    if brought:
        options = ("--no-index", "--offline", "--find-links", str(wheels))
        yield Batch(str(wheels), options, tuple(package for package in packages if package.name in brought))
    by_origin: dict[str | None, list[Package]] = {}
    for package in packages:
        if package.name not in brought:
            by_origin.setdefault(index_name(package), []).append(package)
    offline = ("--offline",) if context.settings.offline else ()
    own_urls = by_origin.pop(None, [])
    if own_urls:
        yield Batch("a wheel's own URL", (*offline, "--no-index"), tuple(own_urls), by_url=True)
    for name, chosen in by_origin.items():
        url = index_url(context, str(name))
        options = (*offline, "--default-index", url) if url else offline
        yield Batch(shown_index(context, str(name)), options, tuple(chosen))
