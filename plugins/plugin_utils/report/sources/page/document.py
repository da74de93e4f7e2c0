# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole page: HTML with its style and its script in it.

Its policy (Content-Security-Policy) lets it load nothing at all, and run nothing but that script.
"""

from __future__ import annotations

import base64
import collections.abc as c
import hashlib
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import tables
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.coverage import Coverage
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Sources, TargetSources
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.charts import bars, space_map, strips
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.colors import colors_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.details import as_json, details_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.drawing import graph_svg
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.markup import (
    Child,
    render,
    scrolled,
    tag,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.packages import packages
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.sections import (
    numbers,
    section,
    table_section,
)

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_GRAPH_NOTE: t.Final = (
    "From left to right: each asks for what its lines lead to."
    " Choose one to see all that leads to it, and all that it needs."
)


def render_html(sources: Sources, coverages: c.Mapping[str, Coverage]) -> str:
    """The page's text. coverages: by target."""
    style, script = (_beside(name) for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        {},
        tag("meta", {"charset": "utf-8"}),
        tag("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        tag("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("title", {}, f"Package sources of {sources.lock.version_id}"),
        tag("style", {}, style),
    )
    targets = [_target(sources, target, coverages[name]) for name, target in sources.targets.items()]
    body = tag("body", {}, _header(sources), tag("main", {}, *targets), _panel(), tag("script", {}, script))
    return f"<!DOCTYPE html>\n{render(tag('html', {'lang': 'en'}, head, body))}\n"


def _beside(name: str) -> str:
    return pathlib.Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Source: Content Security Policy Level 3, hash-source."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _header(sources: Sources) -> Element:
    lock = sources.lock
    facts = [
        ("ComfyUI", f"{lock.core.repo} at {lock.core.commit[:12]}"),
        ("Nodes", str(len(lock.nodes))),
        ("Lock", f"sha256 {sources.digest}"),
    ]
    names = [
        tag("button", {"type": "button", "data-target": name, "aria-pressed": "false"}, name)
        for name in sources.targets
    ]
    themes = [
        tag("button", {"type": "button", "data-theme": name, "aria-pressed": "false"}, name)
        for name in ("light", "dark")
    ]
    return tag(
        "header",
        {},
        tag("div", {"class": "themes", "role": "group", "aria-label": "Colours"}, *themes),
        tag("h1", {}, "Package sources of ", tag("b", {}, lock.version_id)),
        tag(
            "dl",
            {"class": "facts"},
            *(child for word, text in facts for child in (tag("dt", {}, word), tag("dd", {}, text))),
        ),
        tag("nav", {"class": "targets", "aria-label": "Targets"}, *names) if len(names) > 1 else None,
    )


def _target(whole: Sources, sources: TargetSources, coverage: Coverage) -> Element:
    target = sources.target
    colors = colors_of(sources)
    prefix = f"target-{list(whole.targets).index(target.name)}"
    return tag(
        "section",
        {"class": "target", "id": prefix, "data-target": target.name, "aria-labelledby": f"{prefix}-title"},
        tag("h2", {"id": f"{prefix}-title"}, f"Target {target.name}", tag("small", {}, target.kind)),
        numbers(sources, coverage),
        table_section(tables.faults(coverage)),
        *_distribution(sources, colors),
        section("Packages", packages(sources, coverage, colors, prefix)),
        _graph(sources, colors),
        _kinds(sources),
        *_exceptions(sources, coverage),
        tag("script", {"type": "application/json", "class": "data"}, as_json(details_of(sources, whole.lock))),
    )


def _distribution(sources: TargetSources, colors: c.Mapping[str, str]) -> c.Iterator[Element]:
    by_source = bars("By source", "source", sources.by_source, colors)
    by_owner = bars("By who needs them", "needed by", sources.by_owner)
    yield section("Distribution", strips(sources, colors), tag("div", {"class": "columns"}, by_source, by_owner))
    space = space_map(sources, colors)
    if space is not None:
        yield section("What takes the space", space)


def _kinds(sources: TargetSources) -> Element:
    by_license = bars("By licence", "licence", sources.by_license)
    by_subject = bars("By what they are for", "group", sources.parts(lambda entry: entry.subject))
    return section("Licences and groups", tag("div", {"class": "columns"}, by_license, by_subject))


def _graph(sources: TargetSources, colors: c.Mapping[str, str]) -> Element:
    return section(
        "Who asks for what",
        scrolled("The graph", graph_svg(sources, colors)),
        note=_GRAPH_NOTE,
    )


def _exceptions(sources: TargetSources, coverage: Coverage) -> c.Iterator[Child]:
    for table in (
        tables.built(sources),
        tables.exceptions(sources),
        tables.compiled(sources),
        tables.replaced(sources),
        tables.held_back(sources),
        tables.counted(coverage),
        tables.imports(coverage),
    ):
        yield table_section(table)


def _panel() -> Element:
    """Where the script shows what a reader chooses."""
    close = tag("button", {"type": "button", "class": "close", "aria-label": "Close"}, "\u00d7")
    return tag(
        "aside",
        {"id": "panel", "hidden": "", "tabindex": -1, "aria-labelledby": "panel-title"},
        close,
        tag("h2", {"id": "panel-title"}),
        tag("div", {"id": "panel-content", "aria-live": "polite"}),
    )
