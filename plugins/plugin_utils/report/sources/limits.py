# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who says what of a package's version, and who keeps it below which."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import Edge

if t.TYPE_CHECKING:
    from packaging.specifiers import Specifier
    from packaging.version import Version

    # Comparable: the version, and whether it is itself allowed.
    End = tuple[Version, bool]


_WORDS: t.Final = {"<": "below {}", "<=": "at most {}", "==": "{} alone", "===": "{} alone", "~=": ""}


@dataclasses.dataclass(frozen=True)
class Limit:
    """What one line says of a package's version.

    at_most: "below 2", "at most 1.26", "1.26.4 alone"; empty if it has no upper end. void: why the line does not
    count; empty when it does.
    """

    edge: Edge
    specifier: str
    at_most: str
    void: str = ""


def limits_of(edges: c.Iterable[Edge]) -> tuple[Limit, ...]:
    """The limits of the lines, the lowest upper end first, those without one last."""
    bounded, free = [], []
    for edge in edges:
        end, limit = _read(edge)
        if end is None:
            free.append(limit)
        else:
            bounded.append((end, limit))
    bounded.sort(key=lambda pair: pair[0])
    return (*(limit for _end, limit in bounded), *sorted(free, key=lambda limit: not limit.specifier))


def _read(edge: Edge) -> tuple[End | None, Limit]:
    from packaging.requirements import Requirement

    specifiers = Requirement(edge.line).specifier
    ends = [end for specifier in specifiers if (end := _upper_end(specifier)) is not None]
    if not ends:
        return None, Limit(edge, str(specifiers), "")
    lowest, words = min(ends, key=lambda pair: pair[0])
    return lowest, Limit(edge, str(specifiers), words)


def _upper_end(specifier: Specifier) -> tuple[End, str] | None:
    """Source: PyPA's "Version specifiers" (PEP 440)."""
    from packaging.version import InvalidVersion, Version

    operator, text = specifier.operator, specifier.version
    if operator not in _WORDS:
        return None
    try:
        version = Version(text.removesuffix(".*"))
    except InvalidVersion:  # what follows === can be any text
        return None
    if operator == "~=" or text.endswith(".*"):
        return _before_next(version.release[:-1] if operator == "~=" else version.release)
    return (version, operator != "<"), _WORDS[operator].format(text)


def _before_next(prefix: tuple[int, ...]) -> tuple[End, str]:
    """The end of all versions that begin with the prefix."""
    from packaging.version import Version

    after = ".".join(str(number) for number in (*prefix[:-1], prefix[-1] + 1))
    return (Version(after), False), f"below {after}"
