# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolutions that fail: the message names who wants what, why it cannot be, and what to write."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from tests.support.forge import Fault
from tests.unit.resolve.conftest import CPU, Resolver

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.support.forge import Forge

WHERE = "target gpu (Python 3.12, x86_64-manylinux_2_28): "
BINDING = f"python.indexes or python_packages bind it to {CPU}"


def core(*lines: str) -> Demand:
    return Demand("core", "requirements.txt", lines)


def node(name: str, *lines: str) -> Demand:
    return Demand(f"node:{name}", "requirements.txt", lines)


def fault(resolver: Resolver, *demands: Demand, **given: t.Any) -> str:
    """What a failing resolution says."""
    with pytest.raises(FleetError) as caught:
        resolver(*demands, **given)
    return str(caught.value)


def test_a_cache_that_cannot_be_written_says_what_to_do(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0")
    (resolver.directory / "one").mkdir()
    (resolver.directory / "one" / "cache").write_text("no directory")
    text = fault(resolver, core("box"))
    assert text.startswith(f"{WHERE}uv failed: Failed to initialize cache at ")
    assert text.endswith("or set XDG_CACHE_HOME to a directory elsewhere")


def test_a_package_that_is_not_there(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0", requires=["lidd"])
    text = fault(resolver, node("a", "box"))
    assert text.startswith(
        f"{WHERE}the index pypi ({resolver.default.url}) has no package lidd\n"
        "  node a (requirements.txt): box\n"
        'Check the spelling, or ask for it where it is: {"requirement": "lidd", "index": "<name>"} in python_packages\n'
        "uv: Because lidd was not found"
    )


def test_a_bound_package_of_a_package_that_only_the_default_index_has(resolver: Resolver) -> None:
    resolver.forge.index(CPU).wheel("torch", "2.9+cpu", requires=["triton-cpu"])
    resolver.default.wheel("triton-cpu", "3.5")
    text = fault(resolver, core("torch"), indexes=[resolver.bound("torch", "triton-cpu")])
    index = resolver.forge.index(CPU)
    assert text.startswith(f"{WHERE}the index {CPU} ({index.url}) has no package triton-cpu\n")
    assert f"\nCheck the spelling, or let it come from elsewhere: {BINDING}\nuv: " in text


def test_a_bound_package_that_its_index_does_not_have(resolver: Resolver) -> None:
    resolver.default.wheel("sage", "1.0")
    index = resolver.forge.index(CPU)
    for line in ("sage", "sage==1.0", "sage[cuda]", "sage[cuda]>=1"):
        text = fault(resolver, core(line), indexes=[resolver.bound("sage")])
        said = f"{WHERE}the index {CPU} ({index.url}) has no package sage\n  core (requirements.txt): {line}\n"
        assert text.startswith(said)
        assert f"\nCheck the spelling, or let it come from elsewhere: {BINDING}\nuv: " in text


def test_a_version_that_is_not_there(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0")
    text = fault(resolver, core("box"), spec=["box==7"])
    assert text.startswith(f"{WHERE}there is no version box==7\n  spec: box==7\n")


def test_a_version_that_was_too_late(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0", upload_time="2025-05-01T00:00:00Z")
    text = fault(resolver, core("box"), exclude_newer="2025-04-01")
    assert text.startswith(f"{WHERE}no version of box was uploaded before python.exclude_newer\n")
    assert "exclude-newer-package" not in text


def test_a_source_archive_is_not_built(resolver: Resolver, tmp_path: Path) -> None:
    marker = tmp_path / "built"
    resolver.default.sdist("insight", "0.7", marker=str(marker))
    resolver.default.wheel("box", "1.0", requires=["insight"])
    text = fault(resolver, node("a", "box"))
    assert text.startswith(f"{WHERE}insight is published as source alone, and no code of others runs while locking\n")
    assert "\n  node a (requirements.txt): box\n" in text
    assert '\nLet it be built once: "python": {"build": ["insight"]}; or ' in text
    assert 'python_packages: {"name": "insight", "url": "https://.../x.whl", "sha256": "..."}' in text
    assert "--no-build" not in text
    assert not marker.exists()
    assert not [request for request in resolver.forge.requests if request.path.endswith(".tar.gz")]


def test_a_bound_that_leaves_only_versions_without_a_wheel(resolver: Resolver) -> None:
    resolver.default.sdist("numpy", "1.26.4")
    resolver.default.wheel("numpy", "2.0")
    text = fault(resolver, node("a", "numpy>=1.26"), spec=["numpy<2"])
    expected = "numpy==1.26.4 has no wheel for Python 3.12 on x86_64-manylinux_2_28, only its source"
    assert text.startswith(f"{WHERE}{expected}")
    assert '\n  spec: numpy<2\nChange in "python_packages" "numpy<2" to "numpy>=1.26".\nOr let it be built' in text


def test_a_bound_above_all_versions(resolver: Resolver) -> None:
    resolver.default.wheel("box", "0.9")
    resolver.default.wheel("box", "1.0")
    resolver.default.wheel("lid", "1.0", requires=["box>=3"])
    for line in ("box>=3", "lid"):
        text = fault(resolver, core(line))
        reason = f"there is no version box>=3: the index pypi ({resolver.default.url}) has box<=1.0"
        assert text.startswith(f"{WHERE}{reason}\n  core (requirements.txt): {line}\n")


def test_an_older_version_with_a_wheel_goes_before_a_newer_without(resolver: Resolver, tmp_path: Path) -> None:
    marker = tmp_path / "built"
    resolver.default.sdist("box", "2.0", marker=str(marker))
    resolver.default.wheel("box", "1.0")
    target = resolver(core("box"))
    assert [package["version"] for package in target["packages"]] == ["1.0", "25.2"]
    assert not marker.exists()


@pytest.mark.parametrize(
    ("tag", "shown", "remedy"),
    [
        ("cp312-cp312-manylinux_2_28_aarch64", "manylinux_2_28_aarch64", "Bound it"),
        (
            "cp312-cp312-manylinux_2_35_x86_64",
            "manylinux_2_35_x86_64",
            "Set python.targets.gpu.platform to x86_64-manylinux_2_35, if all its hosts have glibc 2.35; or bound it",
        ),
        ("cp311-cp311-manylinux_2_28_x86_64", "cp311", "Set python.version to 3.11; or bound it"),
        ("cp312-cp312t-manylinux_2_28_x86_64", "cp312t", "Bound it"),
    ],
)
def test_a_package_without_a_wheel_for_the_target(resolver: Resolver, tag: str, shown: str, remedy: str) -> None:
    resolver.default.wheel("box", "1.0", tag=tag)
    text = fault(resolver, node("a", "box"))
    expected = f"box==1.0 has no wheel for Python 3.12 on x86_64-manylinux_2_28; its wheels are for {shown}\n"
    assert text.startswith(f"{WHERE}{expected}  node a (requirements.txt): box\n{remedy} to a version")
    assert "python_packages" in text


def test_a_package_for_another_python(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0", requires_python=">=3.13")
    text = fault(resolver, node("a", "box"))
    assert text.startswith(f"{WHERE}box==1.0 wants Python >=3.13, and the target has 3.12\n")
    assert "Set python.version" in text
    assert "--python-version" not in text


def test_a_version_that_was_yanked(resolver: Resolver) -> None:
    resolver.default.yank(resolver.default.wheel("box", "1.0"), "it deletes files")
    text = fault(resolver, core("box"))
    assert text.startswith(f"{WHERE}box==1.0 was taken back (yanked) by its authors: it deletes files\n")


def test_a_pre_release_is_named_to_be_taken(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0")
    resolver.default.wheel("box", "2.0rc1")
    text = fault(resolver, core("box>=2"))
    assert "\n  core (requirements.txt): box>=2\n" in text
    assert f"there is no version box>=2: the index pypi ({resolver.default.url}) has box<=2.0rc1" in text
    assert ".\nOr name the pre-release itself: box>=2.0rc1\nuv: " in text
    target = resolver(core("box"), spec=["box>=2.0rc1"])
    assert [package["version"] for package in target["packages"]] == ["2.0rc1", "25.2"]


def test_a_package_that_wants_another_from_a_url(resolver: Resolver) -> None:
    lid = resolver.forge.index("files").wheel("lid", "1.0")
    resolver.default.wheel("box", "1.0", requires=[f"lid @ {lid.url}"])
    text = fault(resolver, core("box"))
    assert text.startswith(f"{WHERE}box==1.0 wants lid from a URL, which only a spec may name")
    spec = [{"name": "lid", "url": lid.url, "sha256": lid.sha256}]
    target = resolver(core("box"), spec=spec)
    assert {"lid", "box"} < {package["name"] for package in target["packages"]}


def test_an_index_that_cannot_be_reached(resolver: Resolver) -> None:
    index = {"name": CPU, "url": "https://wheels.example/simple", "packages": ["torch"]}
    reached = {"pypi": resolver.default.url, CPU: "http://user:s3cret@127.0.0.1:9/simple"}
    text = fault(resolver, core("torch"), indexes=[index], reached=reached)
    assert text.startswith(
        f"{WHERE}the index {CPU} (http://127.0.0.1:9/simple), which torch is bound to, cannot be read:"
    )
    assert "http://127.0.0.1:9/simple/torch/ cannot be reached: [Errno 111] Connection refused" in text
    assert f'comfy_python_indexes {{"{CPU}": "..."}}' in text
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        (Fault("html", "/simple/box/"), "lists no file of box"),
        (Fault("status", "/simple/box/", status=403), "returned a 403 Forbidden error"),
        (Fault("status", "/simple/box/", status=404), "has no package box"),
    ],
)
def test_an_index_that_answers_something_else(resolver: Resolver, forge: Forge, sabotage: Fault, reason: str) -> None:
    resolver.default.wheel("box", "1.0")
    forge.faults.add(sabotage)
    text = fault(resolver, core("box"))
    assert text.startswith(f"{WHERE}the index pypi ({resolver.default.url}) {reason}\n  core (requirements.txt): box\n")
    assert "overrides" not in text


def test_a_wheel_that_is_none(resolver: Resolver, forge: Forge) -> None:
    resolver.default.habits.metadata = False
    resolver.default.wheel("box", "1.0")
    forge.faults.add(Fault("html", "/files/pypi/box*"))
    text = fault(resolver, core("box"))
    assert text.startswith(
        f"{WHERE}box==1.0 of the index pypi ({resolver.default.url}) has an invalid package format\n"
    )


def test_a_wheel_of_another_package(resolver: Resolver) -> None:
    wheel = resolver.forge.index("files").wheel("lid", "1.0")
    text = fault(resolver, node("a", f"box @ {wheel.url}"))
    assert "`box` does not match `lid`" in text
    assert f"\n  node a (requirements.txt): box @ {wheel.url}" in text


def test_an_index_that_wants_a_password(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0")
    resolver.default.token = "s3cret"
    text = fault(resolver, core("box"))
    assert text.startswith(f"{WHERE}the index pypi ({resolver.default.url}) ")
    assert "401 Unauthorized" in text
    assert "comfy_python_indexes" in text


def test_a_wheel_that_is_gone(resolver: Resolver) -> None:
    url = f"{resolver.forge.base_url}/files/pypi/sage-1.0-py3-none-any.whl"
    text = fault(resolver, node("a", f"sage @ {url}"))
    assert text.startswith(f"{WHERE}{url} cannot be had: ")
    assert "404" in text
    assert f"\n  node a (requirements.txt): sage @ {url}" in text
