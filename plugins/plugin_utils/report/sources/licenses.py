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


# What names no single licence, as one says it who has to.
_VAGUE: t.Final = {
    "apache": "Apache, no version stated",
    "apache license": "Apache, no version stated",
    "apache software license": "Apache, no version stated",
    "bsd": "BSD, no variant stated",
    "bsd license": "BSD, no variant stated",
    "gpl": "GPL, no version stated",
    "lgpl": "LGPL, no version stated",
    "other/proprietary license": "proprietary",
}
_UNSAID: t.Final = "not stated"
_OWN: t.Final = "a text of its own"
_TELLING: t.Final = ("licen", "copyright")


@dataclasses.dataclass(frozen=True)
class License:
    """shown: for people. group: what it is counted as. expression: in SPDX, where it is that. text: as it stands."""

    shown: str
    group: str
    expression: str | None
    text: str | None


NO_CONTENT: t.Final = License("no content", "no content", None, None)


def read_license(text: str | None) -> License:
    """The licence that a package's metadata states: in SPDX where exactly one is meant, and else in its own words."""
    if text is None or text.strip().lower() in ("", "unknown", "none"):
        return License(_UNSAID, _UNSAID, None, None)
    words = text.strip()
    if "\n" in words:
        return _of_text(words)
    expression = _expression(words)
    shown = expression or _VAGUE.get(_plain(words)) or _shortened(words)
    return License(shown, shown, expression, words)


def _of_text(text: str) -> License:
    """A licence whose whole text stands there: its title may be that of an SPDX licence."""
    title = _telling_line(text)
    expression = _MEANT.get(_plain(title))
    return License(expression or f"{_OWN}: {_shortened(title)}", expression or _OWN, expression, text)


def _telling_line(text: str) -> str:
    """The line of a licence's text that says most of it: a title or whose it is, and else the first one."""
    lines = [line.strip(" \t=*#-") for line in text.splitlines() if line.strip(" \t=*#-")]
    return next((line for line in lines if any(word in line.lower() for word in _TELLING)), lines[0] if lines else text)


def _plain(words: str) -> str:
    return " ".join(words.lower().split()).rstrip(".")


def _expression(words: str) -> str | None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(_MEANT.get(_plain(words), words)))
    except InvalidLicenseExpression:
        return None


def _shortened(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3].rstrip()}..."
