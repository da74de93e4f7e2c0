# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import came to, for the terminal: every line, the sums, and what to paste into a spec."""

from __future__ import annotations

import collections
import json

from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_lists import (
    DECISION,
    DROPPED,
    KEPT,
    MERGED,
    Account,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.importing import Imported

_OUTCOMES = (KEPT, MERGED, DROPPED, DECISION)
_WORDS = {KEPT: "kept", MERGED: "merged", DROPPED: "dropped", DECISION: "to decide"}


def render(found: Imported, paste: bool) -> str:
    """The account of all lines; paste: with what to put into a spec."""
    lines = [_row(account) for account in found.accounts]
    lines += [f"note: {note}" for note in found.notes]
    lines.append(summary(found))
    if paste:
        lines += ["", "For the spec (schema_version 3):", "", json.dumps(found.fragment(), indent=2)]
    return "\n".join(lines)


def summary(found: Imported) -> str:
    """How many lines there are, and what became of how many."""
    counts = collections.Counter(account.outcome for account in found.accounts)
    parts = ", ".join(f"{counts[outcome]} {_WORDS[outcome]}" for outcome in _OUTCOMES)
    return f"{len(found.accounts)} lines: {parts}; {len(found.packages)} entries of python_packages"


def _row(account: Account) -> str:
    return f"{account.place}: {account.line}\n    {_WORDS[account.outcome]}: {account.detail}"
