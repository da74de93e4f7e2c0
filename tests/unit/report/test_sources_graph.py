# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a package is there, and who keeps it below which version."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources import answers
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.graph import Edge, Graph
from ansible_collections.comfyops.fleet.plugins.plugin_utils.report.sources.limits import limits_of

if t.TYPE_CHECKING:
    from tests.unit.report.conftest import Report


def graph(*arrows: str) -> Graph:
    """A graph of arrows like ``core>app`` and ``app>leaf``: who has no arrow to it is an owner."""
    pairs = [arrow.split(">") for arrow in arrows]
    packages = {end for _start, end in pairs}
    return Graph(Edge(f"package:{start}" if start in packages else start, end, end) for start, end in pairs)


def ways(found: Graph, package: str, at_most: int = 20) -> dict[str, list[str]]:
    """Owner to the ways from it, and how many more there are."""
    return {
        reason.owner: [
            *(">".join(edge.package for edge in chain.edges) for chain in reason.chains),
            *([f"+{reason.more}"] if reason.more else []),
        ]
        for reason in found.reasons(package, at_most)
    }


def test_each_owner_has_its_shortest_ways() -> None:
    found = graph("core>a", "core>b", "a>x", "b>x", "b>c", "c>x", "spec>c", "node:n>x", "node:n>a")
    assert ways(found, "x") == {"core": ["a>x", "b>x"], "node:n": ["x"], "spec": ["c>x"]}
    assert ways(found, "b") == {"core": ["b"]}


def test_packages_that_ask_for_each_other_end() -> None:
    found = graph("core>egg", "egg>hen", "hen>egg", "hen>hen")
    assert ways(found, "hen") == {"core": ["egg>hen"]}
    assert ways(found, "egg") == {"core": ["egg"]}
    assert found.owners_of == {"egg": {"core"}, "hen": {"core"}}


def test_many_ways_are_counted_without_walking_them_all() -> None:
    doors = [f"{floor}{side}" for floor in range(40) for side in "lr"]
    steps = [f"{low}>{high}" for low in doors for high in doors if int(high[:-1]) == int(low[:-1]) + 1]
    found = graph("core>0l", "core>0r", *steps, "39l>x", "39r>x")
    (only,) = found.reasons("x", at_most=5)
    assert (len(only.chains), only.more) == (5, 2**40 - 5)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["x"], [""]),
        (["x<2"], ["below 2"]),
        (["x<=1.26"], ["at most 1.26"]),
        (["x==1.4.*"], ["below 1.5"]),
        (["x==1.4.2"], ["1.4.2 alone"]),
        (["x===1.4-own"], [""]),
        (["x~=2.1"], ["below 3"]),
        (["x~=2.1.3"], ["below 2.2"]),
        (["x~=2.0,<2.5"], ["below 2.5"]),
        (["x>=1,!=1.5"], [""]),
        (["x<3", "x", "x<=2", "x<2", "x==2"], ["below 2", "at most 2", "2 alone", "below 3", ""]),
        (["x[extra]<2 ; python_version < '4'"], ["below 2"]),
        (["x @ https://files.example/x-1.0-py3-none-any.whl"], [""]),
    ],
)
def test_upper_ends(lines: list[str], expected: list[str]) -> None:
    edges = [Edge(f"package:{number}", "x", line) for number, line in enumerate(lines)]
    assert [limit.at_most for limit in limits_of(edges)] == expected


def test_why_in_the_words_of_the_lines(report: Report) -> None:
    assert answers.why(report.sources, "Leaf").splitlines() == [
        "leaf 1.5 (PyPI), target gpu",
        "  core (requirements.txt) -> app -> leaf[fast]>=1,<2",
        "  node palette (requirements.txt) -> egg -> hen -> leaf<1.9",
        "  the spec -> archived -> leaf",
    ]


def test_of_several_wheels_of_the_spec_the_taken_one_is_told(report: Report) -> None:
    taken = report.package("kernels")["url"]
    entries = [{"name": "kernels", "url": url, "sha256": "0" * 64} for url in (f"{taken}.other.whl", taken)]
    report.document["spec"]["python_packages"] = entries
    report.document["requirements"][-1]["lines"].remove("kernels")
    assert answers.who_limits(report.sources, "kernels").splitlines()[1:] == [
        f"  no upper end  the spec: kernels @ {taken}"
    ]


def test_who_keeps_it_below(report: Report) -> None:
    assert answers.who_limits(report.sources, "leaf").splitlines() == [
        "leaf 1.5 (PyPI), target gpu",
        "  below 1.9     hen 1.0: leaf<1.9",
        "  below 2       app 1.0: leaf[fast]>=1,<2",
        "  no upper end  archived 3.0: leaf",
    ]


def test_an_override_of_the_spec_makes_the_others_void(report: Report) -> None:
    report.document["spec"]["python"] = {"overrides": ["leaf>=1.5,<1.6"], "exclude": []}
    found = answers.who_limits(report.sources, "leaf").splitlines()
    assert found[1].split(maxsplit=2) == ["below", "1.6", "the spec (python.overrides): leaf>=1.5,<1.6"]
    assert all("(does not count: python.overrides: leaf>=1.5,<1.6)" in line for line in found[2:])


def test_lines_that_were_replaced_do_not_count(report: Report) -> None:
    assert answers.who_limits(report.sources, "torch").splitlines() == [
        "torch 2.9.0+cu130 (index pytorch-cu130), target gpu",
        "  no upper end  app 1.0: torch>=2",
        "  no upper end  kernels 1.0.2+torch2.9: torch",
        "  2.8 alone     node palette: torch==2.8 (does not count: replaced by torch>=2)",
    ]
    assert "palette" not in answers.why(report.sources, "torch")


def test_lines_for_other_platforms_are_not_asked_for(report: Report) -> None:
    assert "nothing" not in {edge.package for edge in report.target.lines.edges}
    assert report.target.lines.unmet == ()


def test_two_lines_of_one_asker_count_as_one(report: Report) -> None:
    report.document["requirements"][0]["lines"] += ["app>=0.5", "app[x]<3"]
    (edge,) = (each for each in report.target.graph.asked_by("core") if each.package == "app")
    assert edge.line == "app[x]<3,>=0.5"


def test_what_there_is_in_a_line_for_each_target(report: Report) -> None:
    (line,) = answers.summary(report.sources).splitlines()
    assert line.startswith(
        "target gpu: 14 packages, 87.0 kB: 6 PyPI (42.9 %), 2 built from a source archive (14.3 %), "
    )


def test_a_name_that_is_not_there_has_its_neighbours_named(report: Report) -> None:
    with pytest.raises(FleetError, match=r"no target has a package opencv-pyton\. It has opencv-python"):
        answers.why(report.sources, "opencv_pyton")
    with pytest.raises(FleetError, match=r"It has 14 others: sources\.csv lists them"):
        answers.who_limits(report.sources, "zzzz")
