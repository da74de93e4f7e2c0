# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of packages: which wheel fits a target best."""

from __future__ import annotations

import collections.abc as c
import typing as t

if t.TYPE_CHECKING:
    from packaging.tags import Tag

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_output import Wheel


def fitting(wheels: c.Iterable[Wheel], tags: c.Sequence[Tag]) -> list[Wheel]:
    """The wheels that one of ``tags`` (the best first) fits, in the order of pip: by tag, then the highest build."""
    from packaging.utils import parse_wheel_filename

    ranks = {tag: rank for rank, tag in enumerate(tags)}
    found = []
    for wheel in wheels:
        _name, _version, build, own = parse_wheel_filename(wheel.file)
        rank = min((ranks[tag] for tag in own if tag in ranks), default=None)
        if rank is not None:
            found.append((rank, build, wheel))
    found.sort(key=lambda each: (each[1], each[2].file), reverse=True)
    return [wheel for _rank, _build, wheel in sorted(found, key=lambda each: each[0])]


def tags_of(file: str) -> list[str]:
    """The tags of a wheel, as its file name has them; each of the three parts may hold several."""
    return file.removesuffix(".whl").split("-")[-3:]
