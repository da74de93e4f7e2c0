# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a document to read and to keep beside a version (Markdown)."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import subjects
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import (
    Entry,
    Part,
    Sources,
    TargetSources,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.sizes import shown_size

_BAR: t.Final = 40
_WHOLE: t.Final = 100
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
    accelerator = f", {target.accelerator}" if target.accelerator else ""
    sections = (
        _summary(sources),
        _built(sources),
        *_by_source(sources),
        _exceptions(sources),
        _replaced(sources),
        _held_back(sources),
        _parts("Who needs them", "needed by", sources.by_owner),
        _parts("Licences", "licence", sources.by_license),
        _coverage(coverage),
        _hashes(sources),
    )
    lines = ["", f"## Target {target.name}: Python {target.python}, {target.platform}{accelerator}"]
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
        [part.label, str(part.count), f"{part.count_share} %", shown_size(part.size), f"{part.size_share} %"]
        for part in parts
    ]
    size = sum(part.size for part in parts)
    total = [
        "**all**",
        f"**{sum(part.count for part in parts)}**",
        f"**{sum(part.count_share for part in parts)} %**",
        f"**{shown_size(size)}**",
        f"**{sum(part.size_share for part in parts)} %**",
    ]
    return ["", f"### {title}", "", *_table([column, "packages", "share", "size", "share"], [*rows, total])]


def _built(sources: TargetSources) -> Lines:
    built = [entry for entry in sources.entries if entry.is_built]
    if not built:
        return []
    rows = [
        [
            f"**{entry.package.name}** {entry.package.version}",
            entry.origin or "",
            f"Python {(entry.package.built_from or {}).get('python', '')}",
            _names(
                f"{each['name']} {each['version']}" for each in (entry.package.built_from or {}).get("requires", ())
            ),
            _asked_by(entry),
        ]
        for entry in built
    ]
    head = ["package", "built from", "built by", "with", "asked for by"]
    return ["", f"### Built from source ({_count(built)})", "", *_table(head, rows)]


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
                    f"**{entry.package.name}**",
                    entry.package.version,
                    shown_size(entry.package.size),
                    entry.license.shown,
                    _asked_by(entry),
                ]
                for entry in group
            ]
            head = ["package", "version", "size", "licence", "asked for by"]
            lines += ["", f"#### {subject} ({_count(group)})", "", *_table(head, rows)]
    return lines


def _asked_by(entry: Entry) -> str:
    return _names(shown(each) for each in entry.package.required_by)


def _exceptions(sources: TargetSources) -> Lines:
    others = [entry for entry in sources.entries if entry.source != "default index"]
    rows = [[entry.package.name, entry.source, _reason(entry)] for entry in others]
    title = "### Not from the default index, and why"
    return ["", title, "", *_table(["package", "source", "why"], rows)] if rows else []


def _reason(entry: Entry) -> str:
    package = entry.package
    reasons = {
        "index": f"bound to the index {package.index}, which no other package comes from",
        "wheel": f"named by its URL: {package.url}",
        "file": f"a file of the control node: {package.url}",
        "sdist": f"no wheel fits: built from {entry.origin}",
        "git": f"named by its repository: {entry.origin}",
        "shim": f"{package.provider} is installed in its place; this has no content of its own",
        "provided": "the host's image has it; nothing is downloaded",
    }
    return reasons[package.source]


def _replaced(sources: TargetSources) -> Lines:
    rows = [[shown(each.owner), f"`{each.line}`", each.by, each.why] for each in sources.target.replaced]
    title = "### Requirement lines that do not count"
    return ["", title, "", *_table(["of", "line", "replaced by", "why"], rows)] if rows else []


def _held_back(sources: TargetSources) -> Lines:
    rows = []
    for name, entry in sources.by_name.items():
        for limit in sources.limits(name):
            if limit.at_most and not limit.void:
                by = f"{shown(limit.edge.requester)}: `{limit.edge.line}`"
                rows.append([name, entry.package.version, limit.at_most, by])
    title = "### Who keeps what below which version"
    return ["", title, "", *_table(["package", "locked", "kept", "by"], rows)] if rows else []


def _coverage(coverage: Coverage) -> Lines:
    rows = [
        ["declared by core, nodes and spec", str(coverage.declared)],
        ["of these locked", str(coverage.declared_and_locked)],
        ["locked in all", str(coverage.locked)],
    ]
    rows += [[f"installed on {host}", f"{coverage.installed(host)} of {coverage.locked}"] for host in coverage.hosts]
    modules = {module: error for row in coverage.rows for module, error in row.modules.items()}
    good = sum(error is None for error in modules.values())
    rows.append(["modules that import", f"{good} of {len(modules)}" if modules else "not looked at"])
    if not coverage.hosts:
        rows.insert(3, ["installed", "not looked at"])
    rows += [[f"installed on {host}", f"could not look: {why}"] for host, why in coverage.unlooked.items()]
    lines = ["", "### Coverage", "", *_table(["", "packages"], rows)]
    faults = [*coverage.faults, *(fault for found in coverage.host_faults.values() for fault in found)]
    if faults:
        lines += ["", "Missing:", "", *(f"- {_cell(str(fault))}" for fault in faults)]
    return lines


def _hashes(sources: TargetSources) -> Lines:
    rows = [
        [entry.package.file or f"{entry.package.name} {entry.package.version}", f"`{entry.package.sha256 or 'none'}`"]
        for entry in sources.entries
    ]
    return ["", "### Hashes", "", "Hosts install exactly these bytes.", "", *_table(["file", "sha256"], rows)]


def _table(head: c.Sequence[str], rows: c.Iterable[c.Sequence[str]]) -> Lines:
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _names(names: c.Iterable[str]) -> str:
    return ", ".join(names)


def _count(entries: c.Sequence[Entry]) -> str:
    return f"{len(entries)} package{'s' if len(entries) != 1 else ''}"
