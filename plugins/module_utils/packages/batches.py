# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages are installed together: those that come from one place."""

from __future__ import annotations

import collections.abc as c
import dataclasses

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import local_file
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.indexes import index_name, index_url, shown_index


@dataclasses.dataclass(frozen=True)
class Batch:
    """Packages of one place. origin: the place for a message. options: uv's, that lead there and nowhere else.

    requirements: the text of a requirements file: exactly these versions, exactly these files.
    """

    origin: str
    options: tuple[str, ...]
    requirements: str


def batches(context: Context, packages: c.Sequence[Package]) -> c.Iterator[Batch]:
    """``packages`` by where this host gets them from: files that it has, their own URLs, an index each.

    Each index is asked for its own packages alone, so none can answer for another; and since every file is checked
    against the lock's hash, an index can at worst refuse.
    """
    here = {package.name: path for package in packages if (path := local_file(context, package)) is not None}
    if here:
        lines = [_line(package, here[package.name].as_uri()) for package in packages if package.name in here]
        places = sorted({str(path.parent) for path in here.values()})
        origin = places[0] if len(places) == 1 else str(context.layout.cache)
        yield Batch(origin, ("--no-index", "--offline"), "".join(lines))
    by_origin: dict[str | None, list[Package]] = {}
    for package in packages:
        if package.name not in here:
            by_origin.setdefault(index_name(package), []).append(package)
    offline = ("--offline",) if context.settings.offline else ()
    own_urls = by_origin.pop(None, [])
    if own_urls:
        lines = [_line(package, str(package.url)) for package in own_urls]
        yield Batch("a wheel's own URL", (*offline, "--no-index"), "".join(lines))
    for name, chosen in by_origin.items():
        url = index_url(context, str(name))
        options = (*offline, "--default-index", url) if url else offline
        yield Batch(shown_index(context, str(name)), options, "".join(_line(package, None) for package in chosen))


def _line(package: Package, url: str | None) -> str:
    # Three equals signs: with two, 2.9.0 is also 2.9.0+cpu, and uv would take that where an index has both.
    what = f"{package.name} @ {url}" if url else f"{package.name}==={package.version}"
    return f"{what} --hash=sha256:{package.sha256}\n"
