# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's drawing of who asks for what."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import TargetSources
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.layers import columns_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.markup import tag

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ROW: t.Final = 24.0
HEIGHT: t.Final = 19.0
GAP: t.Final = 56.0
_CHARACTER: t.Final = 6.4
_PADDING: t.Final = 14.0
_TOP: t.Final = 30.0
_EDGE: t.Final = 4
_HEADINGS: t.Final = ("who asks", "what they ask for, and what that needs, to the right")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a name is drawn: the upper left corner of its box, and how wide it is."""

    left: float
    top: float
    width: float

    @property
    def middle(self) -> float:
        """The height at which lines begin and end."""
        return self.top + HEIGHT / 2


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Names (owners, and ``package:<name>``) to places, the columns' left sides, and the size of the whole."""

    places: c.Mapping[str, Place]
    columns: tuple[float, ...]
    width: float
    height: float


def draw(sources: TargetSources) -> Drawing:
    """Give every owner and package its place; no two overlap."""
    columns = columns_of(sources.graph, sources.by_name)
    height = _TOP + ROW * max((len(column) for column in columns), default=0)
    places: dict[str, Place] = {}
    sides: list[float] = []
    left = 0.0
    for column in columns:
        width = max(len(shown(name)) for name in column) * _CHARACTER + _PADDING
        top = _TOP + (height - _TOP - ROW * len(column)) / 2
        for number, name in enumerate(column):
            places[name] = Place(left, top + number * ROW, width)
        sides.append(left)
        left += width + GAP
    return Drawing(places, tuple(sides), max(left - GAP, 1.0), height)


def graph_svg(sources: TargetSources, colors: c.Mapping[str, str]) -> Element:
    """The drawing: lines first, so that the names are above them."""
    drawing = draw(sources)
    headings = [
        tag("text", {"x": left, "y": 14, "class": "heading"}, text)
        for left, text in zip(drawing.columns, _HEADINGS, strict=False)
    ]
    lines = [
        _line(drawing.places[edge.requester], drawing.places[name], edge.requester, name)
        for edge in sources.graph.edges
        if (name := f"{PACKAGE}{edge.package}") in drawing.places and edge.requester in drawing.places
    ]
    names = [_name(name, place, sources, colors) for name, place in drawing.places.items()]
    width, height = drawing.width + 2 * _EDGE, drawing.height + 2 * _EDGE
    return tag(
        "svg",
        {
            "class": "graph",
            "width": width,
            "height": height,
            "viewBox": f"-{_EDGE} 0 {width:.0f} {height:.0f}",
            "role": "group",
            "aria-label": "Who asks for which package. Arrow keys move, Enter chooses.",
        },
        *headings,
        tag("g", {"class": "lines"}, *lines),
        tag("g", {"class": "names"}, *names),
    )


def _line(start: Place, end: Place, requester: str, name: str) -> Element:
    begin, finish = start.left + start.width, end.left
    bend = max((finish - begin) / 2, GAP / 2)
    curve = (
        f"M{begin:.0f} {start.middle:.0f}C{begin + bend:.0f} {start.middle:.0f}"
        f" {finish - bend:.0f} {end.middle:.0f} {finish:.0f} {end.middle:.0f}"
    )
    return tag("path", {"d": curve, "data-from": requester, "data-to": name})


def _name(name: str, place: Place, sources: TargetSources, colors: c.Mapping[str, str]) -> Element:
    entry = sources.by_name.get(name.removeprefix(PACKAGE)) if name.startswith(PACKAGE) else None
    label = f"{entry.package.name} {entry.package.version}" if entry else shown(name)
    attributes: dict[str, str | int] = {
        "class": colors[entry.source] if entry else "from-owner",
        "data-choose": name,
        "role": "button",
        "tabindex": -1,
        "aria-label": label,
    }
    return tag(
        "g",
        attributes,
        tag("title", {}, label),
        tag("rect", {"x": place.left, "y": place.top, "width": place.width, "height": HEIGHT, "rx": 4}),
        tag("text", {"x": place.left + _PADDING / 2, "y": place.top + 14}, shown(name)),
    )
