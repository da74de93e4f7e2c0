# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of text."""

from __future__ import annotations


def line(text: str, columns: int) -> str:
    """The text, as long as it may be, with dots up to the end of the line."""
    return text[:columns].ljust(columns, ".")
