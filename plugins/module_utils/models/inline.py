# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents that are in the lock itself, as ``data:,<text>`` (RFC 2397): what the Hub's cache calls a branch."""

from __future__ import annotations

import typing as t
import urllib.parse

PREFIX: t.Final = "data:,"


def inline_url(text: str) -> str:
    """The URL that is the text itself."""
    return f"{PREFIX}{urllib.parse.quote(text)}"


def inline_content(url: str) -> bytes | None:
    """The bytes that a URL is itself; None for one that leads somewhere."""
    return urllib.parse.unquote_to_bytes(url[len(PREFIX) :]) if url.startswith(PREFIX) else None
