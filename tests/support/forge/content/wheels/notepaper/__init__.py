# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paper to write on."""

from __future__ import annotations

import stampbox
import tinytext


def sheet(columns: int) -> str:
    """An empty sheet."""
    return (tinytext.line("", columns) + "\n") * 3


def write(text: str, columns: int) -> str:
    """A text on paper, with a stamp."""
    return f"{tinytext.line(text, columns)} {stampbox.STAMP}"
