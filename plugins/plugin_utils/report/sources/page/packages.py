# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's table of all packages, which its script sorts and searches."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import tables
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Entry, TargetSources
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.markup import scrolled, tag

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_NAMED: t.Final = 3
_DIGITS: t.Final = 12


def packages(sources: TargetSources, coverage: Coverage, colors: c.Mapping[str, str], prefix: str) -> Element:
    """The table with its search field. prefix: for identifiers, one for each target of a page."""
    labels = [part.label for part in sources.by_source]
    columns = ["Package", "Version", "Source", "Size", "Licence", "Group", "Asked for by", "Built", "SHA-256"]
    columns += ["Installed"] if coverage.hosts else []
    heads = [
        tag(
            "th",
            {"scope": "col", "class": "number" if name == "Size" else None},
            tag("button", {"type": "button", "class": "sort"}, name),
        )
        for name in columns
    ]
    installed = _installed(coverage)
    rows = [_row(entry, colors, installed) for entry in sources.entries]
    table = tag(
        "table",
        {"class": "packages"},
        tag("caption", {"class": "unseen"}, f"All packages of target {sources.target.name}"),
        tag("thead", {}, tag("tr", {}, *heads)),
        tag("tbody", {}, *rows),
    )
    return tag("div", {}, _controls(labels, len(rows), prefix), scrolled("All packages", table))


def _controls(labels: c.Sequence[str], count: int, prefix: str) -> Element:
    options = [tag("option", {"value": ""}, "all sources"), *(tag("option", {"value": name}, name) for name in labels)]
    search = {"type": "search", "id": f"{prefix}-search", "autocomplete": "off", "spellcheck": "false"}
    return tag(
        "div",
        {"class": "controls"},
        tag("label", {"for": f"{prefix}-search"}, "Search"),
        tag("input", {**search, "placeholder": "name, licence, node, sha256, ..."}),
        tag("label", {"for": f"{prefix}-source"}, "Source"),
        tag("select", {"id": f"{prefix}-source"}, *options),
        tag("output", {"for": f"{prefix}-search {prefix}-source"}, f"{count} of {count}"),
    )


def _row(entry: Entry, colors: c.Mapping[str, str], installed: c.Mapping[str, str]) -> Element:
    package = entry.package
    size = "-" if package.size is None else human(package.size)
    name = f"{PACKAGE}{package.name}"
    cells = [
        tag("th", {"scope": "row"}, tag("button", {"type": "button", "data-choose": name}, package.name)),
        tag("td", {"class": "code"}, package.version),
        tag("td", {"class": colors[entry.source]}, tag("i", {"class": "dot"}), entry.source),
        tag("td", {"class": "number", "data-value": package.size or 0}, size),
        tag("td", {}, entry.license.shown),
        tag("td", {}, entry.subject),
        tag("td", {"data-value": len(package.required_by)}, _askers(entry)),
        tag("td", {}, "yes" if entry.is_built else "no"),
        tag("td", {"class": "code", "title": package.sha256}, (package.sha256 or "none")[:_DIGITS]),
    ]
    if installed:
        cells.append(tag("td", {}, installed.get(package.name, "no")))
    return tag("tr", {"data-source": entry.source, "data-words": _words(entry)}, *cells)


def _askers(entry: Entry) -> str:
    names = [shown(each) for each in entry.package.required_by]
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_NAMED])} and {more} more"


def _words(entry: Entry) -> str:
    """What is found though the row does not show all of it."""
    package = entry.package
    return " ".join(filter(None, [package.sha256, package.file, entry.origin, tables.asked_by(entry)])).lower()


def _installed(coverage: Coverage) -> dict[str, str]:
    """Package to on how many of the hosts it is in the locked version; empty where nobody looked."""
    hosts = coverage.hosts
    if not hosts:
        return {}
    return {
        row.name: f"{sum(map(row.is_on, hosts))} of {len(hosts)}" if row.is_installed_by_us else "by the image"
        for row in coverage.rows
    }
