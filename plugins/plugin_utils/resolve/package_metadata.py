# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packages say of themselves in their core metadata: what they require on a target, and their license.

Source: the PyPA specification "Core metadata".
"""

from __future__ import annotations

import collections.abc as c
import email.message
import email.parser
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line, is_met

if t.TYPE_CHECKING:
    from packaging.requirements import Requirement

Markers = c.Mapping[str, str]

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_TROVE: t.Final = "License :: "
# What is longer is the license itself.
_LONGEST_TEXT: t.Final = 80
_NONE: t.Final = frozenset({"", "unknown", "none", "license", "see license", "license.txt", "proprietary license"})
# Classifiers that say one license of SPDX. Others (BSD, Apache) leave its version open.
_CLASSIFIERS: t.Final[c.Mapping[str, str]] = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "The Unlicense (Unlicense)": "Unlicense",
    "Python Software Foundation License": "PSF-2.0",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "zlib/libpng License": "Zlib",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
}
# As people write them, in small letters and without "the", "license" and punctuation.
_TEXTS: t.Final[c.Mapping[str, str]] = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache v2": "Apache-2.0",
    "apache v2.0": "Apache-2.0",
    "apache version 2.0": "Apache-2.0",
    "apache software 2.0": "Apache-2.0",
    "apache software version 2.0": "Apache-2.0",
    "bsd 2 clause": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "3 clause bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "expat": "MIT",
    "mit": "MIT",
    "mpl 2.0": "MPL-2.0",
    "mozilla public 2.0": "MPL-2.0",
    "psf": "PSF-2.0",
    "gplv3": "GPL-3.0-only",
    "gpl v3": "GPL-3.0-only",
    "gplv2": "GPL-2.0-only",
    "lgplv3": "LGPL-3.0-only",
}


class Described(t.NamedTuple):
    """What a package says of itself on a target, as the lock has it."""

    requires: list[str]
    license: str | None


def describe(
    metadata: c.Mapping[str, bytes], lines: c.Iterable[Line], overrides: c.Iterable[Line], markers: Markers
) -> dict[str, Described]:
    """What the packages of a target say of themselves.

    metadata: core metadata by canonical name. lines: who asks for what, with which extras; overrides: what counts in
    the place of packages' own requirements. markers: the values of the target (PEP 508).
    """
    read = {name: _Metadata(content, markers) for name, content in metadata.items()}
    extras: dict[str, set[str]] = {name: set() for name in read}
    for line in (*lines, *overrides):
        if line.name in extras:
            extras[line.name] |= _canonical_extras(line.requirement.extras)
    _add_extras(read, extras, {line.name for line in overrides})
    return {
        name: Described(_written(name, package.requirements(extras[name])), package.license())
        for name, package in read.items()
    }


class _Named(t.NamedTuple):
    name: str
    extras: frozenset[str]


def _add_extras(read: c.Mapping[str, _Metadata], extras: dict[str, set[str]], replaced: c.Collection[str]) -> None:
    """Add the extras that packages ask of each other (and of themselves), until there are no more."""
    growing = True
    while growing:
        growing = False
        for name, package in read.items():
            for other in map(_named, package.requirements(extras[name])):
                counts = other.name in read and (other.name == name or other.name not in replaced)
                if counts and not other.extras <= extras[other.name]:
                    extras[other.name] |= other.extras
                    growing = True


def _named(requirement: Requirement) -> _Named:
    from packaging.utils import canonicalize_name

    return _Named(str(canonicalize_name(requirement.name)), frozenset(_canonical_extras(requirement.extras)))


def _canonical_extras(extras: c.Iterable[str]) -> set[str]:
    from packaging.utils import canonicalize_name

    return {str(canonicalize_name(extra)) for extra in extras}


def _written(name: str, requirements: c.Iterable[Requirement]) -> list[str]:
    """The lines in one form, without those in which a package only names its own extras."""
    lines = set()
    for requirement in requirements:
        other = _named(requirement)
        extras = f"[{','.join(sorted(other.extras))}]" if other.extras else ""
        wanted = f" @ {requirement.url}" if requirement.url else str(requirement.specifier)
        if other.name != name:
            lines.add(f"{other.name}{extras}{wanted}")
    return sorted(lines)


class _Metadata:
    """The core metadata of one package."""

    def __init__(self, content: bytes, markers: Markers) -> None:
        self._message: email.message.Message = email.parser.BytesHeaderParser().parsebytes(content)
        self._markers = markers
        self._all = [_read(str(line)) for line in self._message.get_all("Requires-Dist") or []]

    def requirements(self, extras: c.Collection[str]) -> list[Requirement]:
        """Those that count on the target with these extras."""
        return [each for each in self._all if each is not None and self._counts(each, extras)]

    def _counts(self, requirement: Requirement, extras: c.Collection[str]) -> bool:
        met = (is_met(requirement.marker, {**self._markers, "extra": extra}) for extra in ("", *extras))
        # As uv reads it, what compares nonsense holds.
        return any(each is not False for each in met)

    def license(self) -> str | None:
        """The SPDX expression where it says one in some way, else what it says, None where it says nothing short."""
        expression = self._said("License-Expression")
        if expression:
            return expression
        text = self._said("License")
        own = [line.rpartition(" :: ")[2] for line in self._classifiers()]
        known = _CLASSIFIERS.get(own[0]) if len(own) == 1 else None
        short = text if text.lower() not in _NONE and len(text) <= _LONGEST_TEXT and "\n" not in text else None
        return (short and _spdx(short)) or known or short or ", ".join(own) or None

    def _said(self, header: str) -> str:
        return str(self._message[header] or "").strip()

    def _classifiers(self) -> list[str]:
        found = [str(line).strip() for line in self._message.get_all("Classifier") or []]
        return [line for line in found if line.startswith(_TROVE) and line != f"{_TROVE}OSI Approved"]


def _read(text: str) -> Requirement | None:
    """The requirement; of one that is written wrongly (indexes are full of old ones) its name alone."""
    from packaging.requirements import InvalidRequirement, Requirement

    with_marker = text.partition(";")
    name = _NAME.match(text)
    for attempt in (text, f"{name[1]};{with_marker[2]}" if name and with_marker[1] else "", name[1] if name else ""):
        try:
            return Requirement(attempt)
        except InvalidRequirement:
            continue
    return None


def _spdx(text: str) -> str | None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    plain = re.sub(r"\b(the|licen[sc]e[ds]?)\b|[,()]", " ", text.lower())
    known = _TEXTS.get(re.sub(r"[\s-]+", " ", plain).strip())
    if known:
        return known
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return None
