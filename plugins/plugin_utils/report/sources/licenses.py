# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Licences as packages state them: SPDX expressions where that is what is meant, and else their own words in short."""

from __future__ import annotations

import dataclasses
import typing as t

_LONGEST: t.Final = 60
# What people write in metadata for exactly one SPDX licence. "BSD" or "GPL" alone are no single one, and stay words.
_MEANT: t.Final = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd-3-clause license": "BSD-3-Clause",
    "expat": "MIT",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit": "MIT",
    "mit license": "MIT",
    "mozilla public license 2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl 2.0": "MPL-2.0",
    "new bsd": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "the mit license": "MIT",
    "the mit license (mit)": "MIT",
    "the unlicense (unlicense)": "Unlicense",
    "zlib license": "Zlib",
}


@dataclasses.dataclass(frozen=True)
class License:
    """shown: for people. group: what it is counted as. expression: in SPDX, where it is that. text: as it stands."""

    shown: str
    group: str
    expression: str | None
    text: str | None


UNSAID: t.Final = License("not stated", "not stated", None, None)
_OWN_TEXT: t.Final = "a text of its own"


def read_license(text: str | None) -> License:
    """The licence that a package's metadata states."""
    if text is None or not text.strip():
        return UNSAID
    title = _title(text)
    expression = _expression(title)
    shown = expression or _shortened(title)
    is_short = "\n" not in text.strip()
    return License(shown, shown if expression or is_short else _OWN_TEXT, expression, text)


def _title(text: str) -> str:
    """The words of one line, or the first words of a text in full."""
    return next((line.strip(" \t=*#-") for line in text.splitlines() if line.strip(" \t=*#-")), text.strip())


def _expression(words: str) -> str | None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    meant = _MEANT.get(" ".join(words.lower().split()).rstrip("."), words)
    try:
        return str(canonicalize_license_expression(meant))
    except InvalidLicenseExpression:
        return None


def _shortened(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3].rstrip()}..."
