# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a document to read and to keep beside a version (Markdown)."""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import subjects, tables
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import (
    Entry,
    Part,
    Sources,
    TargetSources,
)

_BAR: t.Final = 40
_WHOLE: t.Final = 100
# What Markdown reads as more than a character, in the middle of a line.
_SPECIAL: t.Final = re.compile(r"[\\`*<\[\]]|(?<!\w)_|_(?!\w)")
Lines = list[str]


def render_markdown(sources: Sources, coverages: c.Mapping[str, Coverage]) -> str:
    """The document. coverages: by target."""
    lock = sources.lock
    lines = [
        f"# Package sources of {lock.version_id}",
        "",
        "Where every Python package of this version comes from, computed from its lock by `playbooks/sources.yml`.",
        "",
        f"- Lock: sha256 `{sources.digest}`",
        f"- ComfyUI: {lock.core.repo} at `{lock.core.commit}`",
        *(f"- Node {node.directory}: {node.repo} at `{node.commit}`" for node in lock.nodes),
    ]
    for name, target in sources.targets.items():
        lines += _target(target, coverages[name])
    return "\n".join(lines) + "\n"


def _target(sources: TargetSources, coverage: Coverage) -> Lines:
    target = sources.target
    sections = (
        _summary(sources),
        _section(tables.faults(coverage)),
        _section(tables.built(sources)),
        *_by_source(sources),
        _section(tables.exceptions(sources)),
        _section(tables.compiled(sources)),
        _section(tables.replaced(sources)),
        _section(tables.held_back(sources)),
        _parts("Who needs them", "needed by", sources.by_owner),
        _parts("Licences", "licence", sources.by_license),
        _section(tables.counted(coverage)),
        _section(tables.imports(coverage)),
        _hashes(sources),
    )
    lines = ["", f"## Target {target.name}: {target.kind}"]
    return [*lines, *(line for section in sections for line in section)]


def _summary(sources: TargetSources) -> Lines:
    bars = [_bar(part) for part in sources.by_source]
    unsized = [f"{sources.unsized} file(s) have a size that no index says; they count as nothing here.", ""]
    return [
        *_parts("Summary statistics", "source", sources.by_source),
        "",
        *(unsized if sources.unsized else []),
        "Packages by source:",
        "",
        *(f"    {row}" for row in bars),
    ]


def _bar(part: Part) -> str:
    length = round(part.count_share * _BAR / _WHOLE)
    return f"{part.label:32} {part.count_share:5} %  {'#' * length}".rstrip()


def _parts(title: str, column: str, parts: c.Sequence[Part]) -> Lines:
    rows = [
        [_words(part.label), str(part.count), f"{part.count_share} %", human(part.size), f"{part.size_share} %"]
        for part in parts
    ]
    size = sum(part.size for part in parts)
    total = [
        "**all**",
        f"**{sum(part.count for part in parts)}**",
        f"**{sum(part.count_share for part in parts)} %**",
        f"**{human(size)}**",
        f"**{sum(part.size_share for part in parts)} %**",
    ]
    return ["", f"### {title}", "", *_table([column, "packages", "of all", "bytes", "of all"], [*rows, total])]


def _by_source(sources: TargetSources) -> c.Iterator[Lines]:
    for part in sources.by_source:
        entries = [entry for entry in sources.entries if entry.source == part.label and not entry.is_built]
        if entries:
            yield _source(part.label, entries)


def _source(label: str, entries: c.Sequence[Entry]) -> Lines:
    origins = sorted({entry.origin for entry in entries if entry.origin and entry.package.source == INDEX})
    lines = ["", f"### {label[:1].upper()}{label[1:]} ({_count(entries)})"]
    lines += [line for origin in origins for line in ("", f"Source: {origin}")]
    for subject in subjects.ORDER:
        group = [entry for entry in entries if entry.subject == subject]
        if group:
            rows = [
                [
                    f"**{_words(entry.package.name)}**",
                    _words(entry.package.version),
                    "" if entry.package.size is None else human(entry.package.size),
                    _words(entry.license.shown),
                    _words(tables.asked_by(entry)),
                ]
                for entry in group
            ]
            head = ["package", "version", "size", "licence", "asked for by"]
            lines += ["", f"#### {subject} ({_count(group)})", "", *_table(head, rows)]
    return lines


def _section(table: tables.Table) -> Lines:
    if not table.rows:
        return []
    note = ["", table.note] if table.note else []
    return [
        "",
        f"### {table.heading}",
        *note,
        "",
        *_table(table.head, [[_text(cell) for cell in row] for row in table.rows]),
    ]


def _text(cell: tables.Cell) -> str:
    if isinstance(cell, tables.Code):
        return f"`{_cell(cell.text)}`"
    return f"**{_words(shown(cell.reference))}**" if isinstance(cell, tables.Name) else _words(cell)


def _hashes(sources: TargetSources) -> Lines:
    rows = [
        [
            _words(entry.package.file or f"{entry.package.name} {entry.package.version}"),
            "" if entry.package.size is None else str(entry.package.size),
            f"`{entry.package.sha256 or 'none'}`",
        ]
        for entry in sources.entries
    ]
    return ["", "### Hashes", "", "Hosts install exactly these bytes.", "", *_table(["file", "bytes", "sha256"], rows)]


def _table(head: c.Sequence[str], rows: c.Iterable[c.Sequence[str]]) -> Lines:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _words(text: str) -> str:
    """Text in a cell, without what Markdown would take for its own."""
    return _cell(_SPECIAL.sub(r"\\\g<0>", text))


def _cell(text: str) -> str:
    """Text on one line, in which nothing is the end of a cell (GitHub's tables need that in code, too)."""
    return " ".join(text.split()).replace("|", "\\|")


def _count(entries: c.Sequence[Entry]) -> str:
    return f"{len(entries)} package{'s' if len(entries) != 1 else ''}"
