# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTML page: well-formed, complete, loading nothing, and with drawings in which nothing lies on anything."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import itertools
import json
import random
import typing as t

import hypothesis
import pytest
from hypothesis import strategies

from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import Edge, Graph
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.page import charts, drawing, layers
from tests.support.locks import package

if t.TYPE_CHECKING:
    from tests.unit.report.conftest import Report

VOID = {"meta", "input", "br", "hr"}
LOADING = {
    "src",
    "srcset",
    "href",
    "xlink:href",
    "data",
    "poster",
    "action",
    "formaction",
    "background",
    "style",
    "ping",
}
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&amp;<!--"
Attributes = dict[str, str]


class Page(html.parser.HTMLParser):
    """A page as its elements; what is not well-formed is an AssertionError."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        names = [name for name, _value in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost one, and no other."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep a text with the element that it is in."""
        if data.strip():
            assert self._open, data
            self.texts.append((self._open[-1], data))

    def handle_comment(self, data: str) -> None:
        """There are none."""
        raise AssertionError(data)

    def all(self, tag: str) -> list[Attributes]:
        """The elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def inside(self, tag: str) -> list[str]:
        """The texts of elements of a name."""
        return [text for name, text in self.texts if name == tag]


@pytest.fixture
def page(report: Report) -> Page:
    """The page of the report."""
    return Page(report.file("sources.html"))


def test_it_loads_and_runs_nothing_but_itself(page: Page) -> None:
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _attributes in page.elements
    }
    for tag, attributes in page.elements:
        assert not LOADING & attributes.keys(), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    (style,), (script,) = page.inside("style"), [text for text in page.inside("script") if not text.startswith("{")]
    assert "url(" not in style
    assert "@import" not in style
    for word in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "eval(", "innerHTML", "document.write", "http:"):
        assert word not in script.replace("https://www.gnu.org", "")
    (policy,) = (each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    for text in (style, script):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy


def test_identifiers_are_unique_and_labels_name_one(page: Page) -> None:
    identifiers = [attributes["id"] for _tag, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    wanted = {each["for"] for each in page.all("label")}
    wanted |= {each["aria-labelledby"] for _tag, each in page.elements if "aria-labelledby" in each}
    assert wanted <= set(identifiers)
    assert all(each.get("aria-label") for each in page.all("svg") if each.get("role") in ("img", "group"))


def test_every_package_is_in_table_graph_and_details(report: Report, page: Page) -> None:
    names = {f"package:{name}" for name in report.target.by_name}
    rows = [attributes["data-words"] for attributes in page.all("tr") if "data-words" in attributes]
    assert len(rows) == len(names)
    assert sum(any(str(entry.package.sha256) in row for row in rows) for entry in report.target.entries) == 13
    (details,) = (json.loads(text) for text in page.inside("script") if text.startswith("{"))
    assert names < details.keys()
    assert {each["data-choose"] for each in page.all("g") if "data-choose" in each} >= names
    # Whatever can be chosen has something to show.
    choosers = {attributes["data-choose"] for _tag, attributes in page.elements if "data-choose" in attributes}
    steps = {step[1] for each in details.values() for way in each.get("why", ()) for step in way}
    steps |= {step[1] for each in details.values() for step in each["needs"]}
    steps |= {limit[3] for each in details.values() for limit in each.get("limits", ())}
    assert choosers | steps <= details.keys()
    arrows = {(each["data-from"], each["data-to"]) for each in page.all("path")}
    assert arrows == {(edge.requester, f"package:{edge.package}") for edge in report.target.graph.edges}


def test_details_have_the_ways_and_the_limits(page: Page) -> None:
    (details,) = (json.loads(text) for text in page.inside("script") if text.startswith("{"))
    leaf = details["package:leaf"]
    assert leaf["title"] == "leaf 1.5"
    assert leaf["why"][0] == [
        ["core (requirements.txt)", "core"],
        ["app", "package:app"],
        ["leaf[fast]>=1,<2", "package:leaf"],
    ]
    assert leaf["limits"][0] == ["below 1.9", "hen", "leaf<1.9", "package:hen", ""]
    gitty = dict(details["package:gitty"]["facts"])
    assert gitty["Built by"] == "Python 3.11.9 with setuptools 80.9.0"
    assert dict(details["node:palette"]["facts"]) == {
        "Repository": "https://git.example/people/palette",
        "Commit": "2" * 40,
    }


def test_what_packages_say_of_themselves_is_text(report: Report) -> None:
    harmless = Page(report.file("sources.html"))
    report.document["spec"]["version_id"] = HOSTILE
    report.package("leaf").update(license=HOSTILE, version=HOSTILE, file=HOSTILE.replace("/", "\\"))
    report.package("kernels")["url"] = HOSTILE
    report.document["targets"]["gpu"]["replaced"][0]["why"] = HOSTILE
    hostile = Page(report.file("sources.html"))
    assert [tag for tag, _attributes in hostile.elements] == [tag for tag, _attributes in harmless.elements]
    assert hostile.inside("b")[0] == HOSTILE


def test_several_targets_and_what_is_missing(report: Report) -> None:
    targets = report.document["targets"]
    targets["cpu"] = {**targets["gpu"], "packages": [package("leaf", "1", "l.whl", "0" * 64)]}
    page = Page(report.file("sources.html"))
    assert [each["data-target"] for each in page.all("section")] == ["cpu", "gpu"]
    assert [each["data-target"] for each in page.all("button") if "data-target" in each] == ["cpu", "gpu"]
    assert "Missing (10)" in page.inside("h3")


def test_a_lock_without_packages_or_sizes_has_a_page(report: Report) -> None:
    report.document["requirements"] = []
    target = report.document["targets"]["gpu"]
    target.update(packages=[], replaced=[])
    assert "What takes the space" not in Page(report.file("sources.html")).inside("h3")
    target["packages"] = [package("leaf", "1", "l.whl", "0" * 64)]
    assert "What takes the space" not in Page(report.file("sources.html")).inside("h3")


def test_no_box_of_the_graph_lies_on_another_and_columns_lead_to_the_right(report: Report) -> None:
    drawn = drawing.draw(report.target)
    for one, other in itertools.combinations(drawn.places.values(), 2):
        assert (
            one.left + one.width <= other.left
            or other.left + other.width <= one.left
            or abs(one.top - other.top) >= drawing.HEIGHT
        )
    assert all(place.left + place.width <= drawn.width for place in drawn.places.values())
    assert all(place.top + drawing.HEIGHT <= drawn.height for place in drawn.places.values())


@pytest.mark.parametrize("seed", range(10))
def test_each_asks_to_its_right_unless_packages_ask_in_a_circle(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"p{number:03}" for number in range(60)]
    pairs = [sorted(chance.sample(names, 2)) for _number in range(150)]
    edges = [Edge(f"package:{start}", end, end) for start, end in pairs]
    edges += [Edge(chance.choice(["core", "spec"]), name, name) for name in names[:20]]
    columns = layers.columns_of(Graph(edges), names)
    depth = {name: number for number, column in enumerate(columns) for name in column}
    assert sorted(depth) == sorted([*(f"package:{name}" for name in names), "core", "spec"])
    assert sum(map(len, columns)) == len(depth)
    assert all(depth[edge.requester] < depth[f"package:{edge.package}"] for edge in edges)
    assert set(columns[0]) == {"core", "spec"}
    circle = [*edges, *(Edge(f"package:{end}", start, start) for start, end in pairs[:40])]
    assert sum(map(len, layers.columns_of(Graph(circle), names))) == len(depth)


@hypothesis.given(strategies.lists(strategies.integers(10**5, 10**9), min_size=1, max_size=60))
@hypothesis.example([10**9, 10**9, 1])
def test_boxes_of_the_map_are_as_large_as_what_they_stand_for(amounts: list[int]) -> None:
    sizes = {str(place): amount for place, amount in enumerate(sorted(amounts, reverse=True))}
    boxes = charts.squarified(sizes, 1000.0, 300.0)
    total = sum(amounts)
    for box in boxes:
        assert box.width * box.height / 300_000 == pytest.approx(sizes[box.name] / total, rel=1e-6)
        assert -0.001 <= box.left <= box.left + box.width <= 1000.001
        assert -0.001 <= box.top <= box.top + box.height <= 300.001
    assert [box.name for box in boxes] == list(sizes)


def test_boxes_of_the_map_are_near_to_squares() -> None:
    for amounts in ([1] * 12, list(range(40, 10, -1)), [565, 351, 290, 188, 151, 143, 135, 129, 94, 74, 59, 56, 47]):
        boxes = charts.squarified({str(place): amount for place, amount in enumerate(amounts)}, 1000.0, 300.0)
        assert max(max(box.width / box.height, box.height / box.width) for box in boxes) < 4
