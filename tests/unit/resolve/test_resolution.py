# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who overrules whom: entries of the spec, lines of core and nodes, the torch of a fleet; and what conflicts print."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from tests.unit.resolve.conftest import CPU, Document, Resolver

WHERE = "target gpu (Python 3.12, x86_64-manylinux_2_28): "
Entries = list[t.Any]
OVERRIDES = "they cannot be met together, and python_packages overrides"
LATER = "they cannot be met together, and the later line wins"
NO_NODE = "no node moves the torch that core and spec choose"


def core(*lines: str) -> Demand:
    return Demand("core", "requirements.txt", lines)


def node(name: str, *lines: str) -> Demand:
    return Demand(f"node:{name}", "requirements.txt", lines)


def versions(target: Document) -> dict[str, str]:
    return {package["name"]: package["version"] for package in target["packages"] if package["name"] != "pip"}


def replaced(owner: str, line: str, by: str, why: str) -> Document:
    return {"owner": owner, "line": line, "by": by, "why": why}


def fault(resolver: Resolver, *demands: Demand, **given: t.Any) -> str:
    """What a failing resolution says."""
    with pytest.raises(FleetError) as caught:
        resolver(*demands, **given)
    return str(caught.value)


def after(text: str, mark: str) -> t.Any:
    """The JSON that a message prints behind a mark."""
    return json.JSONDecoder().raw_decode(text.partition(mark)[2])[0]


def follow(resolver: Resolver, text: str, *demands: Demand, spec: Entries, way: int = 0, **given: t.Any) -> Document:
    """Lock again with what the message says to write, and nothing else. way: which of the ways that it tells."""
    way_text = text.partition("\nuv: ")[0].split("\nOr ")[way]
    entries, asked = list(spec), list(demands)
    if '"python_packages": ' in way_text:
        entries += after(way_text, '"python_packages": ')
    for change in way_text.split('in "python_packages" "')[1:]:
        before, rest = change.split('" to "', 1)
        entries[entries.index(before)] = rest.partition('"')[0]
    for gift in way_text.split("give node ")[1:]:
        owner = f"node:{gift.partition(' ')[0]}"
        lines = tuple(after(gift, '"requirements": '))
        asked = [Demand(owner, None, lines) if each.owner == owner else each for each in asked]
    if '"python": ' in way_text:
        given = {**given, **after(way_text, '"python": ')}
    return resolver(*asked, spec=entries, **given)


def publish(resolver: Resolver, name: str, *releases: str, **requires: str) -> None:
    """Releases of a package; requires: by version, with _ for its dots."""
    for release in releases:
        wanted = requires.get(f"v{release.replace('.', '_')}")
        resolver.default.wheel(name, release, requires=[wanted] if wanted else [])


@pytest.fixture
def torches(resolver: Resolver) -> Resolver:
    """A torch family of three generations."""
    publish(resolver, "torch", "2.1.0", "2.9.0", "2.10.0")
    pins = {"v0_16_0": "torch==2.1.0", "v0_24_0": "torch==2.9.0", "v0_25_0": "torch==2.10.0"}
    publish(resolver, "torchvision", "0.16.0", "0.24.0", "0.25.0", **pins)
    return resolver


class TestEntriesOfTheSpec:
    def test_an_entry_is_first_a_requirement_like_others(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0", "2.1")
        target = resolver(core("numpy>=1.20"), node("a", "numpy<2.1"), spec=["numpy>=1.26"])
        assert (versions(target), target["replaced"]) == ({"numpy": "2.0"}, [])

    def test_it_replaces_exactly_the_lines_that_it_contradicts(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0", "2.1")
        publish(resolver, "box", "1.0")
        demands = [core("numpy>=1.20", "box"), node("a", "numpy==1.26", "box"), node("b", "numpy<2.1")]
        target = resolver(*demands, spec=["numpy>=2"])
        assert versions(target) == {"numpy": "2.0", "box": "1.0"}
        assert target["replaced"] == [replaced("node:a", "numpy==1.26", "spec: numpy>=2", OVERRIDES)]
        assert f"{WHERE}numpy==1.26 of node:a gives way to spec: numpy>=2: {OVERRIDES}" in resolver.notes
        (numpy,) = [package for package in target["packages"] if package["name"] == "numpy"]
        assert numpy["required_by"] == ["core", "node:a", "node:b", "spec"]

    def test_it_replaces_lines_of_the_core(self, torches: Resolver) -> None:
        target = torches(core("torch>=2.9", "torchvision"), spec=["torch==2.1.0"])
        assert versions(target) == {"torch": "2.1.0", "torchvision": "0.16.0"}
        assert target["replaced"] == [replaced("core", "torch>=2.9", "spec: torch==2.1.0", OVERRIDES)]

    def test_extras_of_a_replaced_line_stay(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26")
        for version in ("4.0", "5.0"):
            resolver.default.wheel("transformers", version, extras={"fast": ["numpy"]})
        target = resolver(node("a", "transformers[fast]<5"), spec=["transformers>=5"])
        assert versions(target) == {"transformers": "5.0", "numpy": "1.26"}

    def test_what_a_wheel_requires_is_not_replaced(self, torches: Resolver) -> None:
        demands = [core("torch", "torchvision==0.24.0")]
        text = fault(torches, *demands, spec=["torch==2.10.0"])
        assert text.startswith(
            f"{WHERE}requirements contradict each other\n"
            "  core (requirements.txt): torchvision==0.24.0\n"
            "  spec: torch==2.10.0\n"
            'Add to the spec "python_packages": ["torchvision==0.25.0"],'
            " in place of core (requirements.txt): torchvision==0.24.0\nuv: Because "
        )
        target = follow(torches, text, *demands, spec=["torch==2.10.0"])
        assert versions(target) == {"torch": "2.10.0", "torchvision": "0.25.0"}

    def test_where_only_the_entry_can_give_way_it_is_the_one_to_change(self, resolver: Resolver) -> None:
        publish(resolver, "torch", "2.9.0", "2.10.0")
        publish(resolver, "torchvision", "0.24.0", v0_24_0="torch==2.9.0")
        text = fault(resolver, core("torchvision"), spec=["torch==2.10.0"])
        assert '\nChange in "python_packages" "torch==2.10.0" to "torch==2.9.0"\nuv: ' in text
        target = follow(resolver, text, core("torchvision"), spec=["torch==2.10.0"])
        assert versions(target) == {"torch": "2.9.0", "torchvision": "0.24.0"}

    def test_a_wheel_by_its_url_replaces_versions(self, resolver: Resolver) -> None:
        publish(resolver, "sage", "1.0")
        wheel = resolver.forge.index("files").wheel("sage", "2.0")
        entry = {"name": "sage", "url": wheel.url, "sha256": wheel.sha256}
        target = resolver(node("a", "sage<2"), spec=[entry])
        assert versions(target) == {"sage": "2.0"}
        assert target["replaced"] == [replaced("node:a", "sage<2", f"spec: sage @ {wheel.url}", OVERRIDES)]

    def test_an_entry_that_nothing_meets_replaces_nothing(self, resolver: Resolver) -> None:
        publish(resolver, "box", "1.0")
        text = fault(resolver, node("a", "box<2"), spec=["box==7"])
        assert text.startswith(f"{WHERE}there is no version box==7\n  spec: box==7\n")
        assert versions(follow(resolver, text, node("a", "box<2"), spec=["box==7"])) == {"box": "1.0"}


class TestConflicts:
    def test_two_nodes(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        demands = [core("numpy"), node("a", "numpy<2"), node("b", "numpy>=2")]
        text = fault(resolver, *demands)
        assert text == (
            f"{WHERE}requirements contradict each other\n"
            "  node a (requirements.txt): numpy<2\n"
            "  node b (requirements.txt): numpy>=2\n"
            'Add to the spec "python_packages": ["numpy>=2"], in place of node a (requirements.txt): numpy<2\n'
            "uv: Because you require numpy<2 and numpy>=2, we can conclude that your requirements are unsatisfiable."
        )
        target = follow(resolver, text, *demands, spec=[])
        assert versions(target) == {"numpy": "2.0"}
        assert target["replaced"] == [replaced("node:a", "numpy<2", "spec: numpy>=2", OVERRIDES)]

    def test_what_keeps_most_lines_is_told(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        demands = [node("a", "numpy<2"), node("b", "numpy>=2"), node("c", "numpy<2.0")]
        text = fault(resolver, *demands)
        target = follow(resolver, text, *demands, spec=[])
        assert versions(target) == {"numpy": "1.26"}
        assert [each["owner"] for each in target["replaced"]] == ["node:b"]

    def test_the_line_of_the_core_stays_where_a_node_can_give_way(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        demands = [core("numpy>=2"), node("a", "numpy==1.26")]
        text = fault(resolver, *demands)
        assert '"python_packages": ["numpy>=2"]' in text
        assert versions(follow(resolver, text, *demands, spec=[])) == {"numpy": "2.0"}

    def test_every_line_that_has_no_answer_by_itself_is_told_with_its_own_remedy(self, torches: Resolver) -> None:
        torches.default.wheel("numpy", "2.5.5")
        torches.default.sdist("deepspeed", "0.16.0")
        told = fault(torches, node("old", "torch==1.0"), spec=["onxn>=1.14", "numpy==9.9", "deepspeed"])
        for line in ("spec: numpy==9.9", "spec: onxn>=1.14", "spec: deepspeed"):
            assert f"\n  {line}\n" in told
        ways = told.splitlines()
        assert any(way.startswith("onxn: Check the spelling, or ask for it where it is: ") for way in ways)
        assert any(
            way.startswith('deepspeed: Let it be built once: "python": {"build": ["deepspeed"]}') for way in ways
        )
        assert any('change in "python_packages" "numpy==9.9" to "numpy==2.5.5"' in way.lower() for way in ways)

    def test_several_conflicts_are_told_at_once(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        publish(resolver, "box", "1.0", "2.0")
        demands = [core("numpy>=2", "box>=2"), node("a", "numpy<2"), node("b", "box<2")]
        text = fault(resolver, *demands)
        assert "\n  node a (requirements.txt): numpy<2\n" in text
        assert "\n  node b (requirements.txt): box<2\n" in text
        assert versions(follow(resolver, text, *demands, spec=[])) == {"numpy": "2.0", "box": "2.0"}

    def test_packages_of_nodes_that_need_different_versions(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        publish(resolver, "old", "1.0", v1_0="numpy<2")
        publish(resolver, "new", "1.0", v1_0="numpy>=2")
        publish(resolver, "middle", "1.0", v1_0="old")
        publish(resolver, "other", "1.0")
        demands = [core("new"), node("a", "middle", "other"), node("b", "other")]
        text = fault(resolver, *demands)
        assert text.startswith(
            f"{WHERE}requirements contradict each other\n"
            "  core (requirements.txt): new\n"
            "  node a (requirements.txt): middle\n"
            'In "custom_nodes", give node a "requirements": ["other"].\n'
            "Or if the packages work with it all the same, say what counts for all:"
            ' "python": {"overrides": ["numpy>=2"]}\n'
            "uv: Because "
        )
        assert versions(follow(resolver, text, *demands, spec=[])) == {"new": "1.0", "numpy": "2.0", "other": "1.0"}
        both = versions(follow(resolver, text, *demands, spec=[], way=1))
        assert both == {"new": "1.0", "numpy": "2.0", "middle": "1.0", "old": "1.0", "other": "1.0"}

    def test_another_version_of_what_a_node_pins(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        publish(resolver, "tool", "1.0", "2.0", v1_0="numpy<2", v2_0="numpy>=2")
        demands = [core("numpy>=2"), node("a", "tool==1.0")]
        text = fault(resolver, *demands)
        assert '"python_packages": ["tool==2.0"], in place of node a (requirements.txt): tool==1.0\n' in text
        assert versions(follow(resolver, text, *demands, spec=[])) == {"numpy": "2.0", "tool": "2.0"}

    def test_a_version_near_to_the_one_that_a_node_pins(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        publish(resolver, "tool", "1.0", "1.1", "1.2", "3.0", v1_0="numpy<2", v1_2="numpy<2")
        demands = [core("numpy>=2"), node("a", "tool==1.0")]
        text = fault(resolver, *demands)
        assert '"python_packages": ["tool==1.1"]' in text
        assert versions(follow(resolver, text, *demands, spec=[])) == {"numpy": "2.0", "tool": "1.1"}

    def test_two_files_for_one_package(self, resolver: Resolver) -> None:
        files = resolver.forge.index("files")
        one, two = files.wheel("sage", "1.0"), files.wheel("sage", "2.0")
        demands = [node("a", f"sage @ {one.url}"), node("b", f"sage @ {two.url}")]
        text = fault(resolver, *demands)
        assert f"\n  node a (requirements.txt): sage @ {one.url}\n  node b (requirements.txt): sage @ {two.url}" in text
        assert versions(follow(resolver, text, *demands, spec=[])) == {"sage": "2.0"}

    def test_a_pin_that_has_no_wheel(self, resolver: Resolver) -> None:
        resolver.default.wheel("numpy", "1.23.5", tag="cp311-cp311-manylinux_2_17_x86_64")
        publish(resolver, "numpy", "2.0")
        text = fault(resolver, core("numpy"), node("a", "numpy==1.23.5"))
        assert text.startswith(f"{WHERE}numpy==1.23.5 has no wheel for Python 3.12 on x86_64-manylinux_2_28;")
        assert '\n  node a (requirements.txt): numpy==1.23.5\nAdd to the spec "python_packages": ["numpy==2.0"]' in text
        assert versions(follow(resolver, text, core("numpy"), node("a", "numpy==1.23.5"), spec=[])) == {"numpy": "2.0"}

    def test_a_pin_that_is_there_as_source_is_to_be_built_and_not_to_be_an_old_one(self, resolver: Resolver) -> None:
        resolver.default.wheel("insightface", "0.2.1")
        resolver.default.sdist("insightface", "0.7.3")
        text = fault(resolver, spec=["insightface==0.7.3"])
        assert 'Let it be built once: "python": {"build": ["insightface"]}' in text
        assert "0.2.1" not in text

    def test_an_override_takes_part(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        publish(resolver, "tool", "1.0", v1_0="numpy")
        text = fault(resolver, core("tool"), overrides=["numpy>=9"])
        assert text.startswith(
            f"{WHERE}there is no version numpy>=9: the index pypi ({resolver.default.url}) has numpy"
        )
        assert (
            "\n  core (requirements.txt): tool\n  python.overrides: numpy>=9\nAsk for a version that exists\n" in text
        )

    def test_what_the_image_provides_counts_for_nodes(self, resolver: Resolver) -> None:
        publish(resolver, "torch", "2.10.0")
        target = resolver(core("torch"), node("a", "torch>=2.10"), provided=["torch==2.9.0"])
        assert versions(target) == {"torch": "2.9.0"}
        assert [(each["line"], each["by"]) for each in target["replaced"]] == [("torch>=2.10", "spec: torch==2.9.0")]


class TestTheTorchOfTheFleet:
    def test_a_line_of_a_node_does_not_move_it(self, torches: Resolver) -> None:
        demands = [core("torch", "torchvision"), node("a", "torch==2.1.0", "torchvision")]
        text = fault(torches, *demands)
        assert text.startswith(
            f"{WHERE}a node would move the torch that core and spec choose\n"
            "  node a (requirements.txt): torch==2.1.0\n"
            "  core (requirements.txt): torch\n"
            "  core and spec: torch==2.10.0\n"
            'Add to the spec "python_packages": ["torch==2.10.0"],'
            " in place of node a (requirements.txt): torch==2.1.0.\n"
            "Or to take that torch for the whole fleet, add to the spec"
            ' "python_packages": ["torch==2.1.0", "torchvision==0.16.0"]\n'
            "uv: Because you require torch==2.1.0 and torch==2.10.0, "
        )
        assert versions(follow(torches, text, *demands, spec=[])) == {"torch": "2.10.0", "torchvision": "0.25.0"}
        moved = versions(follow(torches, text, *demands, spec=[], way=1))
        assert moved == {"torch": "2.1.0", "torchvision": "0.16.0"}

    def test_what_a_package_of_a_node_needs_does_not_move_it(self, torches: Resolver) -> None:
        publish(torches, "xformers", "0.1", v0_1="torch==2.9.0")
        demands = [core("torch"), node("a", "xformers", "torchvision")]
        text = fault(torches, *demands)
        assert "\n  node a (requirements.txt): xformers\n  core (requirements.txt): torch\n" in text
        kept = versions(follow(torches, text, *demands, spec=[]))
        assert kept == {"torch": "2.10.0", "torchvision": "0.25.0"}
        moved = versions(follow(torches, text, *demands, spec=[], way=1))
        assert moved == {"torch": "2.9.0", "torchvision": "0.24.0", "xformers": "0.1"}

    def test_a_package_of_a_node_is_chosen_to_fit_it(self, torches: Resolver) -> None:
        publish(torches, "xformers", "0.1", "0.2", v0_1="torch==2.10.0", v0_2="torch==2.9.0")
        target = torches(core("torch"), node("a", "xformers"))
        assert versions(target) == {"torch": "2.10.0", "xformers": "0.1"}
        assert target["replaced"] == []

    def test_a_node_may_ask_for_the_torch_that_there_is(self, torches: Resolver) -> None:
        target = torches(core("torch"), node("a", "torch>=2.1", "torchvision>=0.20"))
        assert versions(target) == {"torch": "2.10.0", "torchvision": "0.25.0"}

    def test_the_spec_and_the_core_choose_it(self, torches: Resolver) -> None:
        assert versions(torches(core("torch<2.10"), node("a", "torch")))["torch"] == "2.9.0"
        assert versions(torches(core("torch"), node("a", "torch"), spec=["torch<2.9"]))["torch"] == "2.1.0"

    def test_where_neither_core_nor_spec_has_one_the_nodes_choose(self, torches: Resolver) -> None:
        assert versions(torches(core("pip"), node("a", "torch<2.9"))) == {"torch": "2.1.0"}

    def test_the_one_of_a_lock_is_not_moved_by_a_node_that_joins(self, torches: Resolver) -> None:
        locked = torches(core("torch"), spec=["torch<2.10"])
        demands = [core("torch"), node("a", "torch<2.9")]
        text = fault(torches, *demands, kept=locked["packages"])
        assert "\n  core and spec: torch==2.9.0\n" in text
        assert versions(follow(torches, text, *demands, spec=[], kept=locked["packages"])) == {"torch": "2.9.0"}

    def test_an_upgrade_of_it_moves_it_and_no_node_holds_it(self, torches: Resolver) -> None:
        locked = torches(core("torch"), spec=["torch<2.10"])
        demands = [core("torch"), node("a", "torch>=2.1")]
        assert versions(torches(*demands, kept=locked["packages"])) == {"torch": "2.9.0"}
        assert versions(torches(*demands, kept=locked["packages"], upgrade={"torch"})) == {"torch": "2.10.0"}
        assert versions(torches(core("torch"), node("a", "torch<2.10"), kept=locked["packages"])) == {"torch": "2.9.0"}
        text = fault(torches, core("torch"), node("a", "torch<2.10"), kept=locked["packages"], upgrade={"torch"})
        assert "a node would move the torch" in text

    def test_a_torch_without_a_wheel(self, torches: Resolver) -> None:
        torches.default.wheel("torch", "1.13.1", tag="cp310-cp310-manylinux1_x86_64")
        demands = [core("torch"), node("a", "torch==1.13.1")]
        text = fault(torches, *demands)
        assert text.startswith(f"{WHERE}torch==1.13.1 has no wheel for Python 3.12")
        assert versions(follow(torches, text, *demands, spec=[])) == {"torch": "2.10.0"}

    def test_a_bound_index_with_local_versions(self, resolver: Resolver) -> None:
        index = resolver.forge.index(CPU)
        for version in ("2.9.0+cpu", "2.10.0+cpu"):
            index.wheel("torch", version)
        demands = [core("torch"), node("a", "torch<2.10")]
        given: t.Any = {"indexes": [resolver.bound("torch")]}
        text = fault(resolver, *demands, **given)
        assert '"python_packages": ["torch==2.10.0"]' in text
        assert versions(follow(resolver, text, *demands, spec=[], **given)) == {"torch": "2.10.0+cpu"}

    @pytest.mark.parametrize("version", ["2.10.0+cpu", "2.9.0"])
    def test_a_file_of_a_node_does_not_take_its_place(self, torches: Resolver, version: str) -> None:
        wheel = torches.forge.index("files").wheel("torch", version)
        demands = [core("torch"), node("a", f"torch @ {wheel.url}")]
        text = fault(torches, *demands)
        assert text.startswith(f"{WHERE}a node would move the torch that core and spec choose\n")
        assert f"\n  node a (requirements.txt): torch @ {wheel.url}\n" in text
        assert versions(follow(torches, text, *demands, spec=[])) == {"torch": "2.10.0"}
        layered = torches(*demands, resolution="layered")
        assert versions(layered) == {"torch": "2.10.0"}
        assert [each["line"] for each in layered["replaced"]] == [f"torch @ {wheel.url}"]


class TestLayered:
    """resolution: layered. Core, the nodes in their order, the spec: of lines that clash the later one wins."""

    def test_what_fits_together_is_as_in_strict(self, torches: Resolver) -> None:
        publish(torches, "numpy", "1.26", "2.0")
        publish(torches, "tool", "1.0", "2.0", v2_0="numpy<2")
        demands = [core("torch", "numpy"), node("a", "tool", "torchvision"), node("b", "numpy>=1.20")]
        assert torches(*demands, resolution="layered") == torches(*demands)

    def test_the_later_line_wins(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0", "2.1")
        demands = [core("numpy>=2.1"), node("a", "numpy<2"), node("b", "numpy==2.0")]
        target = resolver(*demands, resolution="layered")
        assert versions(target) == {"numpy": "2.0"}
        assert target["replaced"] == [
            replaced("core", "numpy>=2.1", "node:b: numpy==2.0", LATER),
            replaced("node:a", "numpy<2", "node:b: numpy==2.0", LATER),
        ]
        assert f"{WHERE}numpy<2 of node:a gives way to node:b: numpy==2.0: {LATER}" in resolver.notes
        target = resolver(*demands, spec=["numpy<2"], resolution="layered")
        assert versions(target) == {"numpy": "1.26"}
        assert [(each["owner"], each["by"]) for each in target["replaced"]] == [
            ("core", "spec: numpy<2"),
            ("node:b", "spec: numpy<2"),
        ]

    def test_the_order_of_the_nodes_in_the_spec_counts(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        demands = [node("a", "numpy<2"), node("b", "numpy>=2")]
        assert versions(resolver(*demands, resolution="layered")) == {"numpy": "2.0"}
        assert versions(resolver(*demands[::-1], resolution="layered")) == {"numpy": "1.26"}

    def test_within_a_file_the_later_line_wins(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        target = resolver(node("a", "numpy<2", "numpy>=2"), resolution="layered")
        assert versions(target) == {"numpy": "2.0"}
        assert target["replaced"] == [replaced("node:a", "numpy<2", "node:a: numpy>=2", LATER)]

    def test_a_line_that_is_met_by_what_stands_changes_nothing(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0", "2.1")
        demands = [core("numpy==2.0"), node("a", "numpy<2"), node("b", "numpy>=2"), node("c", "numpy>=1.20")]
        target = resolver(*demands, resolution="layered")
        assert versions(target) == {"numpy": "2.0"}
        assert [each["owner"] for each in target["replaced"]] == ["node:a"]

    def test_a_line_that_loses_takes_another_version_where_one_fits(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        publish(resolver, "tool", "1.0", "2.0", v1_0="numpy<2", v2_0="numpy>=2")
        publish(resolver, "old", "1.0", v1_0="numpy<2")
        target = resolver(node("a", "tool==1.0", "old"), node("b", "numpy>=2"), resolution="layered")
        assert versions(target) == {"numpy": "2.0", "tool": "2.0"}
        assert target["replaced"] == [
            replaced("node:a", "tool==1.0", "node:b: numpy>=2", LATER),
            replaced("node:a", "old", "node:b: numpy>=2", LATER),
        ]

    def test_no_node_moves_the_torch(self, torches: Resolver) -> None:
        publish(torches, "xformers", "0.1", v0_1="torch==2.9.0")
        demands = [core("torch"), node("a", "torch==2.1.0", "torchvision<0.20"), node("b", "xformers")]
        target = torches(*demands, resolution="layered")
        assert versions(target) == {"torch": "2.10.0", "torchvision": "0.25.0"}
        assert [(each["owner"], each["line"], each["by"], each["why"]) for each in target["replaced"]] == [
            ("node:a", "torch==2.1.0", "core and spec: torch==2.10.0", NO_NODE),
            ("node:a", "torchvision<0.20", "core and spec: torch==2.10.0", NO_NODE),
            ("node:b", "xformers", "core and spec: torch==2.10.0", NO_NODE),
        ]

    def test_the_spec_chooses_the_torch(self, torches: Resolver) -> None:
        demands = [core("torch>=2.9", "torchvision==0.24.0"), node("a", "torch==2.9.0")]
        target = torches(*demands, spec=["torch==2.1.0"], resolution="layered")
        assert versions(target) == {"torch": "2.1.0", "torchvision": "0.16.0"}
        assert {(each["owner"], each["line"]) for each in target["replaced"]} == {
            ("core", "torch>=2.9"),
            ("core", "torchvision==0.24.0"),
            ("node:a", "torch==2.9.0"),
        }

    def test_a_line_that_nothing_meets_is_an_error(self, resolver: Resolver) -> None:
        publish(resolver, "box", "1.0")
        text = fault(resolver, core("box"), node("a", "absent"), resolution="layered")
        assert text.startswith(f"{WHERE}the index pypi ({resolver.default.url}) has no package absent\n")

    def test_a_line_without_a_wheel_is_an_error_and_not_a_conflict(self, torches: Resolver) -> None:
        for version in ("1.22", "1.23"):
            torches.default.wheel("numpy", version, tag="cp310-cp310-manylinux_2_17_x86_64")
        publish(torches, "numpy", "1.26", "2.0")
        demands = [core("torch", "numpy>=1.25"), node("a", "torch==2.1.0"), node("b", "numpy<1.24")]
        text = fault(torches, *demands, resolution="layered")
        assert "\n  node b (requirements.txt): numpy<1.24\n" in text
        assert "torch" not in text
        target = follow(torches, text, *demands, spec=[], resolution="layered")
        assert versions(target) == {"torch": "2.10.0", "numpy": "2.0"}

    def test_the_same_input_gives_the_same_answer_in_few_questions(self, resolver: Resolver) -> None:
        publish(resolver, "numpy", "1.26", "2.0")
        for number in range(20):
            publish(resolver, f"tool{number}", "1.0")
        many = [node(f"n{number}", f"tool{number}", "numpy") for number in range(20)]
        demands = [core("numpy"), node("first", "numpy<2"), *many, node("last", "numpy>=2")]
        resolver.forge.forget_requests()
        first = resolver(*demands, resolution="layered", place="one")
        asked = [request for request in resolver.forge.requests if request.path == "/simple/numpy/"]
        assert first == resolver(*demands, resolution="layered", place="two")
        assert [each["owner"] for each in first["replaced"]] == ["node:first"]
        assert len(asked) <= 20
