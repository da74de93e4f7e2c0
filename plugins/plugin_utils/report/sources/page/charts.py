# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's charts: bars of the distribution, and a map of what takes the space."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import decimal
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.model import Entry, Part, TargetSources
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.colors import REST
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page.markup import Child, tag

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WIDTH: t.Final = 1000.0
_HEIGHT: t.Final = 300.0
# Packages with less than this part of all bytes are drawn as one.
_SMALLEST: t.Final = 0.006
_CHARACTER: t.Final = 6.6
# Names are shortened to no less than this.
_FEWEST: t.Final = 6
_LINE: t.Final = 14.0
_MARGIN: t.Final = 6.0
_SEAM: t.Final = 2.0
# Where sums of floats have used up all room for the last and smallest.
_NOTHING: t.Final = 1e-9


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle of a map. share: its part of the whole."""

    name: str
    left: float
    top: float
    width: float
    height: float


def strips(sources: TargetSources, colors: c.Mapping[str, str]) -> Element:
    """How packages and bytes are distributed over sources: a strip of each, as long as the page is wide, and a key."""
    parts = sources.by_source
    rows = [
        ("Packages", [(part, part.count_share, str(part.count)) for part in parts]),
        ("Bytes", [(part, part.size_share, human(part.size)) for part in parts]),
    ]
    children = [
        child for title, shares in rows for child in (tag("dt", {}, title), tag("dd", {}, _strip(shares, colors)))
    ]
    key = [tag("li", {"class": colors[part.label]}, tag("i", {"class": "dot"}), part.label) for part in parts]
    return tag("figure", {"class": "strips"}, tag("dl", {}, *children), tag("ul", {"class": "key"}, *key))


def _strip(shares: c.Sequence[tuple[Part, decimal.Decimal, str]], colors: c.Mapping[str, str]) -> Element:
    view = {"viewBox": f"0 0 {_WIDTH:.0f} 28", "preserveAspectRatio": "none", "class": "strip", "role": "img"}
    label = ", ".join(f"{part.label} {share} %" for part, share, _amount in shares)
    boxes, left = [], 0.0
    for part, share, amount in shares:
        width = float(share) * _WIDTH / 100
        place = {"x": left, "y": 0, "width": max(width - _SEAM, 0.0), "height": 28}
        boxes.append(
            tag(
                "g",
                {"class": colors[part.label]},
                tag("rect", place),
                tag("title", {}, f"{part.label}: {amount}, {share} %"),
            )
        )
        left += width
    return tag("svg", {**view, "aria-label": label}, *boxes)


def bars(caption: str, column: str, parts: c.Sequence[Part], colors: c.Mapping[str, str] | None = None) -> Element:
    """A table whose cells have bars: packages and bytes of each part, and of all of them."""
    known = colors or {}
    head = tag("tr", {}, *(tag("th", {"scope": "col"}, text) for text in (column, "Packages", "Bytes")))
    most = max((max(part.count_share, part.size_share) for part in parts), default=0) or 1
    rows = [
        tag(
            "tr",
            {"class": known.get(part.label, "from-any")},
            tag("th", {"scope": "row"}, *([tag("i", {"class": "dot"})] if colors else []), part.label),
            _cell(str(part.count), part.count_share, float(part.count_share / most)),
            _cell(human(part.size), part.size_share, float(part.size_share / most)),
        )
        for part in parts
    ]
    count, size = sum(part.count for part in parts), sum(part.size for part in parts)
    total = tag(
        "tr",
        {},
        tag("th", {"scope": "row"}, "All"),
        _cell(str(count), sum((part.count_share for part in parts), decimal.Decimal())),
        _cell(human(size), sum((part.size_share for part in parts), decimal.Decimal())),
    )
    return tag(
        "table",
        {"class": "bars"},
        tag("caption", {}, caption),
        tag("thead", {}, head),
        tag("tbody", {}, *rows),
        tag("tfoot", {}, total),
    )


def _cell(amount: str, share: decimal.Decimal, length: float | None = None) -> Element:
    drawn = None
    if length is not None:
        view = {"viewBox": "0 0 100 4", "preserveAspectRatio": "none", "class": "bar", "aria-hidden": "true"}
        drawn = tag("svg", view, tag("rect", {"width": length * 100, "height": 4}))
    words = tag("span", {"class": "amounts"}, tag("b", {}, amount), tag("span", {"class": "quiet"}, f"{share} %"))
    return tag("td", {}, words, drawn)


def space_map(sources: TargetSources, colors: c.Mapping[str, str]) -> Element | None:
    """Packages as areas in proportion to their files' sizes; None where no size is known."""
    total = sources.size
    if not total:
        return None
    large = [entry for entry in sources.entries if (entry.package.size or 0) >= total * _SMALLEST]
    large.sort(key=lambda entry: (-(entry.package.size or 0), entry.package.name))
    sizes = {entry.package.name: entry.package.size or 0 for entry in large}
    rest = total - sum(sizes.values())
    others = f"{len(sources.entries) - len(large)} others"
    if rest:
        sizes[others] = rest
    boxes = squarified(sizes, _WIDTH, _HEIGHT)
    drawn = [_drawn(box, sizes[box.name], sources.by_name.get(box.name), colors) for box in boxes]
    label = f"What takes the space: {', '.join(f'{name} {human(size)}' for name, size in sizes.items())}"
    view = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return tag("svg", {"viewBox": view, "role": "img", "aria-label": label, "class": "space"}, *drawn)


def squarified(sizes: c.Mapping[str, int], width: float, height: float) -> list[Box]:
    """Boxes that fill a rectangle, as near to squares as can be (Bruls, Huizing and van Wijk, 2000).

    sizes: the largest first, none of them zero.
    """
    scale = width * height / sum(sizes.values())
    waiting = [(name, size * scale) for name, size in sizes.items()]
    boxes: list[Box] = []
    left = top = 0.0
    while waiting:
        side = max(min(width - left, height - top), _NOTHING)
        count = 1
        while count < len(waiting) and _worst(waiting[: count + 1], side) <= _worst(waiting[:count], side):
            count += 1
        row, waiting = waiting[:count], waiting[count:]
        depth = sum(area for _name, area in row) / side
        is_column = width - left >= height - top
        offset = top if is_column else left
        for name, area in row:
            length = area / depth
            if is_column:
                boxes.append(Box(name, left, offset, depth, length))
            else:
                boxes.append(Box(name, offset, top, length, depth))
            offset += length
        left, top = (left + depth, top) if is_column else (left, top + depth)
    return boxes


def _worst(row: c.Sequence[tuple[str, float]], side: float) -> float:
    """How far from a square the box of a row is that is farthest."""
    areas = [area for _name, area in row]
    depth = sum(areas) / side
    return max(max(depth * depth / area, area / (depth * depth)) for area in areas)


def _drawn(box: Box, size: int, entry: Entry | None, colors: c.Mapping[str, str]) -> Element:
    shape = {"x": box.left + 1, "y": box.top + 1, "width": max(box.width - 2, 0.5), "height": max(box.height - 2, 0.5)}
    attributes = {"class": colors[entry.source], "data-choose": f"{PACKAGE}{box.name}"} if entry else {"class": REST}
    title = tag("title", {}, f"{box.name}: {human(size)}")
    return tag("g", {**attributes}, title, tag("rect", {**shape, "rx": 3}), *_words(box, size))


def _words(box: Box, size: int) -> list[Child]:
    """As much of name and size as there is room for."""
    room = int((box.width - 2 * _MARGIN) / _CHARACTER)
    left, lowest = box.left + _MARGIN + 1, box.height - _MARGIN
    name = box.name if len(box.name) <= room else f"{box.name[: max(room, 1) - 1]}\u2026"
    if room < min(_FEWEST, len(box.name)) or lowest < _LINE:
        return []
    lines: list[Child] = [tag("text", {"x": left, "y": box.top + _LINE + 2}, name)]
    if len(human(size)) <= room and lowest >= 2 * _LINE:
        lines.append(tag("text", {"x": left, "y": box.top + 2 * _LINE + 2, "class": "quiet"}, human(size)))
    return lines
