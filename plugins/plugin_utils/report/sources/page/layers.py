# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where to draw a graph: in columns from those who ask to those who are asked for, with few lines that cross.

The layered drawing of Sugiyama, Tagawa and Toda (1981): columns by the longest way, order by barycentres.
"""

from __future__ import annotations

import collections
import collections.abc as c
import graphlib
import itertools
import statistics
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import PACKAGE
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import Graph, owner_order

_SWEEPS: t.Final = 12
Arrow = tuple[str, str]


def columns_of(graph: Graph, packages: c.Iterable[str]) -> list[list[str]]:
    """Owners and packages (as ``package:<name>``), column by column, each in its order from top to bottom.

    Each asks for things in columns to its right alone, as far as packages do not ask for each other in a circle.
    """
    names = [*graph.owners, *(f"{PACKAGE}{name}" for name in packages)]
    known = set(names)
    arrows = [(edge.requester, f"{PACKAGE}{edge.package}") for edge in graph.edges if edge.requester in known]
    straight = _without_circles(names, arrows)
    depths = _depths(names, straight, set(graph.owners))
    columns: list[list[str]] = [[] for _depth in range(max(depths.values(), default=-1) + 1)]
    for name in sorted(names, key=owner_order):
        columns[depths[name]].append(name)
    return _ordered(columns, straight)


def _without_circles(names: c.Sequence[str], arrows: c.Sequence[Arrow]) -> list[Arrow]:
    """The arrows, less one of each circle."""
    left = dict.fromkeys(arrow for arrow in arrows if arrow[0] != arrow[1])
    while True:
        sorter = graphlib.TopologicalSorter({name: [] for name in names})
        for source, end in left:
            sorter.add(end, source)
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            del left[max(itertools.pairwise(error.args[1]))]
        else:
            return list(left)


def _depths(names: c.Sequence[str], arrows: c.Sequence[Arrow], owners: set[str]) -> dict[str, int]:
    """The number of steps of the longest way to each; owners have 0, packages at least 1."""
    before: dict[str, list[str]] = {name: [] for name in names}
    for source, end in arrows:
        before[end].append(source)
    depths: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(before).static_order():
        start = 0 if name in owners else 1
        depths[name] = max([start, *(depths[each] + 1 for each in before[name])])
    return depths


def _ordered(columns: list[list[str]], arrows: c.Sequence[Arrow]) -> list[list[str]]:
    """The columns with each one's members near to what they are joined with."""
    sources, ends = collections.defaultdict(list), collections.defaultdict(list)
    for source, end in arrows:
        sources[end].append(source)
        ends[source].append(end)
    for sweep in range(_SWEEPS):
        is_forward = sweep % 2 == 0
        joined = sources if is_forward else ends
        places = _places(columns)
        for column in columns if is_forward else columns[::-1]:
            column.sort(key=lambda name: _barycentre(name, joined[name], places))
            places.update(_places([column]))
    return columns


def _places(columns: c.Iterable[c.Sequence[str]]) -> dict[str, float]:
    """How far each is from the middle of its column."""
    return {name: place - (len(column) - 1) / 2 for column in columns for place, name in enumerate(column)}


def _barycentre(name: str, joined: c.Sequence[str], places: c.Mapping[str, float]) -> float:
    return statistics.fmean(places[each] for each in joined) if joined else places[name]
