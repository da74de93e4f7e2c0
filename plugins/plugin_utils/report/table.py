# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's report as a table for the terminal and for logs: plain lines, no control codes."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.document import DRIFTED, UNKNOWN, HostReport

_ROWS = 30
_WIDTHS = {"part": 9, "action": 11, "name": 52}


def render(host: str, report: HostReport) -> str:
    """The table of one host; long plans are cut with a line that says by how much."""
    if report.status == UNKNOWN:
        return f"{host}: {report.status}: {report.message}"
    lines = [f"{host}: {_headline(report)}"]
    lines += [_row(action) for action in report.actions[:_ROWS]]
    if len(report.actions) > _ROWS:
        lines.append(f"  ... and {len(report.actions) - _ROWS} more (comfy_report has all)")
    lines += [
        f"  obstacle: {obstacle['where']}: {obstacle['what']}. {obstacle['remedy']}" for obstacle in report.obstacles
    ]
    lines += [f"  note: {note}" for note in report.notes]
    return "\n".join(lines)


def _headline(report: HostReport) -> str:
    if report.status != DRIFTED:
        return f"{report.status} ({report.build})"
    return f"{len(report.actions)} change(s) to {report.build}; serving: {report.serving or 'nothing'}"


def _row(action: c.Mapping[str, t.Any]) -> str:
    cells = (str(action[key]).ljust(width) for key, width in _WIDTHS.items())
    return f"  {' '.join(cells)} {_shown(action['before'])} -> {_shown(action['after'])}"


def _shown(value: t.Any) -> str:
    return "-" if value is None else str(value)
