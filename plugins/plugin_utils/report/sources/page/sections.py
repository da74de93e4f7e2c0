# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's parts between its charts: the numbers at its top, and tables."""

from __future__ import annotations

import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import SHIM
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import tables
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import TargetSources
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.markup import Child, scrolled, tag

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# A title, what stands in large type under it, and what is said of that.
Number = tuple[str, str, str]


def numbers(sources: TargetSources, coverage: Coverage) -> Element:
    """The few numbers that a reader wants first."""
    count = len(sources.entries)
    with_content = [entry for entry in sources.entries if entry.package.source != SHIM]
    stated = sum(entry.license.text is not None for entry in with_content)
    built = sum(entry.is_built for entry in sources.entries)
    found: list[Number] = [
        ("Packages", str(count), _of(len(sources.by_source), "source")),
        ("To download", human(sources.size), _of(sources.unsized, "file") + " of unknown size"),
        ("Built from source", str(built), f"{count - built} as published"),
        ("Licence stated", f"{stated} of {len(with_content)}", _of(len(sources.by_license), "different one")),
        _hosts(coverage),
    ]
    faults = len(tables.faults(coverage).rows)
    verdict = ("Missing", str(faults), "listed below") if faults else ("Missing", "nothing", "everything has a source")
    pairs = [*(_pair(number) for number in found), _pair(verdict, "bad" if faults else "good")]
    return tag("dl", {"class": "numbers"}, *pairs)


def _hosts(coverage: Coverage) -> Number:
    hosts = [*coverage.hosts, *coverage.unlooked]
    if not hosts:
        return ("Hosts", "none", "looked at; -e comfy_hosts=all looks")
    whole = sum(not coverage.host_faults[host] for host in coverage.hosts)
    unlooked = f", {len(coverage.unlooked)} could not be looked at" if coverage.unlooked else ""
    return ("Hosts", f"{whole} of {len(hosts)}", f"have all of it{unlooked}")


def _pair(number: Number, kind: str | None = None) -> Element:
    title, text, more = number
    return tag(
        "div",
        {"class": kind},
        tag("dt", {}, title),
        tag("dd", {}, tag("b", {}, text), tag("span", {"class": "quiet"}, more)),
    )


def _of(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"


def section(title: str, *children: Child, note: str = "", is_open: bool = True) -> Element:
    """A part that can be folded away."""
    words = tag("p", {"class": "quiet"}, note) if note else None
    return tag("details", {"open": "" if is_open else None}, tag("summary", {}, tag("h3", {}, title)), words, *children)


def table_section(table: tables.Table, is_open: bool = True) -> Element | None:
    """A table under its title; None where it has no rows."""
    if not table.rows:
        return None
    head = tag("tr", {}, *(tag("th", {"scope": "col"}, text) for text in table.head))
    rows = [tag("tr", {}, *(tag("td", {}, _cell(cell)) for cell in row)) for row in table.rows]
    drawn = tag("table", {"class": "plain"}, tag("thead", {}, head), tag("tbody", {}, *rows))
    return section(table.heading, scrolled(table.title, drawn), note=table.note, is_open=is_open)


def _cell(cell: tables.Cell) -> Child:
    if isinstance(cell, tables.Code):
        return tag("code", {}, cell.text)
    if isinstance(cell, tables.Name):
        return tag("button", {"type": "button", "data-choose": cell.reference}, shown(cell.reference))
    return cell
