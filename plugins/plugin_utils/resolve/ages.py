# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that are held at a release years older than what they work with.

Metadata of that time could not name what would break it later, so that a clean resolution proves little there.
"""

from __future__ import annotations

import collections.abc as c
import datetime
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import TORCH_FAMILY
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_builds import builds_in_index
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Found, Question

_APART: t.Final = datetime.timedelta(days=730)
# Pins this near to each other are of one time.
_TOGETHER: t.Final = datetime.timedelta(days=365)
_DAY: t.Final = datetime.timedelta(days=1)
# What holds a package back when newer releases come.
_HOLDING: t.Final = frozenset({"==", "===", "~=", "<", "<="})
_SHOWN: t.Final = 3

Days = c.Mapping[str, datetime.date]


def old_pins(question: Question, found: c.Sequence[Found]) -> str | None:
    """A note on packages that lines hold at releases years older than what they need or are needed by; None without.

    With ``python.exclude_newer`` the spec has decided about that. Indexes that give no dates leave nothing to say.
    """
    if question.exclude_newer:
        return None
    days = {package.name: day for package in found if (day := _day_of(package))}
    held = {line.name for line in question.lines if any(s.operator in _HOLDING for s in line.requirement.specifier)}
    newer = {name: _newest_neighbour(name, found, days) for name in sorted(held & days.keys())}
    versions = {package.name: package.version for package in found}
    apart = {name: other for name, other in newer.items() if other and days[other] - days[name] >= _APART}
    packages = {package.name: package for package in found}
    old = {name: other for name, other in apart.items() if _has_newer(question, packages[name])}
    if not old:
        return None
    shown = [f"{name} {versions[name]} of {_month(days[name])}" for name in list(old)[:_SHOWN]]
    others = dict.fromkeys(f"{name} {versions[name]} of {_month(days[name])}" for name in old.values())
    more = f" and {len(old) - _SHOWN} more" if len(old) > _SHOWN else ""
    return (
        f"{', '.join(shown)}{more} {'are' if len(old) > 1 else 'is'} held years behind what {_it(old)} with"
        f" ({', '.join(list(others)[:_SHOWN])}), which may not fit any more: {_way(question, old, days)}"
    )


def _has_newer(question: Question, package: Found) -> bool:
    """Whether there is a newer release that the target could have; else the pin is of the last one there was."""
    from packaging.version import Version

    try:
        there = [Version(version) for version in builds_in_index(question, package)]
    except FleetError:
        return True
    return any(version > Version(package.version) and not version.is_prerelease for version in there)


def _it(old: c.Mapping[str, t.Any]) -> str:
    return "they work" if len(old) > 1 else "it works"


def _day_of(package: Found) -> datetime.date | None:
    return min((wheel.uploaded for wheel in package.wheels if wheel.uploaded), default=None)


def _newest_neighbour(name: str, found: c.Sequence[Found], days: Days) -> str | None:
    """The newest of what a package needs itself or is needed by; the torch family is of one time in any case."""
    own = f"{PACKAGE}{name}"
    needed = {package.name for package in found if own in package.required_by}
    needed |= {
        requester.removeprefix(PACKAGE)
        for package in found
        if package.name == name
        for requester in package.required_by
        if requester.startswith(PACKAGE)
    }
    near = sorted(needed & days.keys() - (TORCH_FAMILY if name in TORCH_FAMILY else frozenset()))
    return max(near, key=lambda each: days[each], default=None)


def _way(question: Question, old: c.Collection[str], days: Days) -> str:
    """exclude_newer, where everything that is pinned exactly is of that time; else the pins have to move."""
    exact = {
        line.name for line in question.lines if any(s.operator in ("==", "===") for s in line.requirement.specifier)
    }
    them = "them" if len(old) > 1 else "it"
    oldest = min(days[name] for name in old)
    last = max([days[name] for name in old] + [days[name] for name in exact & days.keys()])
    if last - oldest <= _TOGETHER:
        return f'add to python "exclude_newer": "{last + _DAY}", or raise {them}'
    return f"raise {them}, or ask for what there was in {_month(oldest)} as well"


def _month(day: datetime.date) -> str:
    return f"{day:%Y-%m}"
