# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages as a table (CSV, RFC 4180): one row for each package of each target."""

from __future__ import annotations

import csv
import io
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Entry, Sources

COLUMNS: t.Final = (
    "target",
    "name",
    "version",
    "source",
    "index",
    "origin",
    "file",
    "sha256",
    "size",
    "license",
    "subject",
    "built",
    "provider",
    "asked_by",
    "needed_by",
    "required_by",
)


def render_csv(sources: Sources) -> str:
    """The table. Several names in one cell are separated by a semicolon."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, target in sources.targets.items():
        writer.writerows([name, *_cells(entry)] for entry in target.entries)
    return text.getvalue()


def _cells(entry: Entry) -> list[str | int]:
    package = entry.package
    return [
        package.name,
        package.version,
        package.source,
        package.index or "",
        entry.origin or "",
        package.file or "",
        package.sha256 or "",
        "" if package.size is None else package.size,
        entry.license.shown if entry.license.text else "",
        entry.subject,
        "yes" if entry.is_built else "no",
        package.provider or "",
        "; ".join(map(shown, entry.direct)),
        "; ".join(map(shown, entry.owners)),
        "; ".join(map(shown, package.required_by)),
    ]
