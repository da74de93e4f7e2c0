# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target's packages: the real uv and real indexes on loopback, for Pythons and platforms that are not this one's."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from tests.support import locks
from tests.unit.resolve.conftest import CPU, Document, Resolver

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.support.forge import Release

X86 = "cp312-cp312-manylinux_2_28_x86_64"
ARM = "cp312-cp312-manylinux_2_28_aarch64"


def core(*lines: str) -> Demand:
    return Demand("core", "requirements.txt", lines)


def node(name: str, *lines: str) -> Demand:
    return Demand(f"node:{name}", "requirements.txt", lines)


def versions(target: Document) -> dict[str, str]:
    """The versions by name, less pip's."""
    return {package["name"]: package["version"] for package in target["packages"] if package["name"] != "pip"}


def package(target: Document, name: str) -> Document:
    """The entry of one package."""
    (found,) = [each for each in target["packages"] if each["name"] == name]
    return t.cast(Document, found)


def entry(release: Release, file: str, *required_by: str) -> Document:
    """The entry of a file of the default index."""
    more = {"size": release.size, "required_by": list(required_by)}
    return locks.package(release.name, release.version, file, release.sha256, **more)


def test_an_entry_has_all_that_a_host_needs_and_who_asked(resolver: Resolver) -> None:
    box = resolver.default.wheel("Yellow.Box", "1.5+cu1", tag=X86, requires=["blue-box>=1"])
    blue = resolver.default.wheel("blue_box", "2.0")
    pip = resolver.default.wheel("pip", "25.2")
    target = resolver(core("yellow_box"), node("a", "blue-box", "yellow-box>1"), spec=["blue-box<3"], accelerator="cpu")
    found = target.pop("packages")
    assert target == {
        "python": "3.12",
        "platform": "x86_64-manylinux_2_28",
        "accelerator": "cpu",
        "match": {},
        "indexes": {"pypi": None},
        "interpreter": None,
        "replaced": [],
    }
    assert found == [
        entry(blue, "blue_box-2.0-py3-none-any.whl", "node:a", "package:yellow-box", "spec"),
        entry(pip, "pip-25.2-py3-none-any.whl", "comfyops.fleet"),
        {**entry(box, f"yellow_box-1.5+cu1-{X86}.whl", "core", "node:a"), "requires": ["blue-box>=1"]},
    ]


def test_the_result_depends_on_nothing_of_this_machine(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resolver.default.wheel("box", "1.0", requires=["lid ; python_full_version >= '3.12.1'"])
    resolver.default.wheel("box", "2.0rc1")
    first = resolver(core("box"), place="one")
    home = tmp_path / "home"
    (home / ".config" / "uv").mkdir(parents=True)
    (home / ".config" / "uv" / "uv.toml").write_text('prerelease = "allow"\nindex-url = "http://127.0.0.1:9/"\n')
    for name, value in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/",
        "UV_EXCLUDE_NEWER": "2020-01-01",
        "UV_PRERELEASE": "allow",
        "UV_OFFLINE": "1",
        "UV_PYTHON": "3.8",
        "VIRTUAL_ENV": str(home),
        "RUST_LOG": "trace",
        "TZ": "Pacific/Kiritimati",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home / ".config" / "uv")
    second = resolver(core("box"), place="two")
    assert json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert versions(second) == {"box": "1.0"}
    assert str(tmp_path) not in json.dumps(second)


@pytest.mark.parametrize(
    ("python", "platform", "expected"),
    [
        ("3.12", "x86_64-manylinux_2_28", "cp312-cp312-manylinux_2_28_x86_64"),
        ("3.12.4", "x86_64-manylinux2014", "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("3.12", "x86_64-manylinux_2_35", "cp312-cp312-manylinux_2_34_x86_64"),
        ("3.12", "aarch64-manylinux_2_28", "cp312-cp312-manylinux_2_28_aarch64"),
        ("3.13", None, "cp38-abi3-manylinux1_x86_64.manylinux_2_5_x86_64"),
        ("3.11", "aarch64-manylinux_2_28", "py3-none-any"),
        ("3.10", "linux", "cp310-cp310-linux_x86_64"),
    ],
)
def test_the_file_is_chosen_by_the_tags_of_the_target(
    resolver: Resolver, python: str, platform: str | None, expected: str
) -> None:
    for tag in (
        "py3-none-any",
        "cp38-abi3-manylinux1_x86_64.manylinux_2_5_x86_64",
        "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp312-cp312-manylinux_2_34_x86_64",
        "cp312-cp312-manylinux_2_28_aarch64",
        "cp312-cp312-musllinux_1_2_x86_64",
        "cp312-cp312-win_amd64",
        "cp313-cp313t-manylinux_2_28_x86_64",
        "cp310-cp310-linux_x86_64",
    ):
        resolver.default.wheel("box", "1.0", tag=tag)
    target = resolver(core("box"), python=python, platform=platform)
    assert package(target, "box")["file"] == f"box-1.0-{expected}.whl"


def test_of_two_builds_the_later_one_is_chosen(resolver: Resolver) -> None:
    for build in ("", "2-", "10-"):
        resolver.default.wheel("box", "1.0", tag=f"{build}py3-none-any")
    assert package(resolver(core("box")), "box")["file"] == "box-1.0-10-py3-none-any.whl"


def test_markers_are_those_of_the_target(resolver: Resolver) -> None:
    for name in ("arm", "intel", "old", "new", "mac"):
        resolver.default.wheel(name, "1.0")
    resolver.default.wheel("box", "1.0", requires=["new ; python_version >= '3.12'", "mac ; sys_platform == 'darwin'"])
    lines = ["arm ; platform_machine == 'aarch64'", "intel ; platform_machine == 'x86_64'", "box"]
    git = "tool @ git+https://git.example/tool ; sys_platform == 'win32'"
    target = resolver(core(*lines, "old ; python_version < '3.12'", git), platform="aarch64-manylinux_2_28")
    assert versions(target) == {"arm": "1.0", "box": "1.0", "new": "1.0"}


def test_a_marker_that_compares_nonsense_is_a_fault_of_a_line_and_none_of_a_package(resolver: Resolver) -> None:
    resolver.default.wheel("lid", "1.0")
    resolver.default.wheel("box", "1.0", requires=["lid ; python_version ~= '3'"])
    with pytest.raises(FleetError, match=r"^node x \(requirements\.txt\): the marker of .* cannot be compared"):
        resolver(Demand("node:x", "requirements.txt", ("box ; python_version ~= '3'",)))
    target = resolver(Demand("node:x", "requirements.txt", ("box",)))
    required = [(each["name"], each["requires"]) for each in target["packages"]]
    assert required == [("box", ["lid"]), ("lid", []), ("pip", [])]


def test_extras_bring_what_they_name(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0", extras={"lid": ["lid>=2"]})
    resolver.default.wheel("lid", "2.0")
    target = resolver(core("box"), node("a", "box[lid,handle]"))
    assert package(target, "lid")["required_by"] == ["package:box"]
    assert package(target, "box")["required_by"] == ["core", "node:a"]
    (note,) = resolver.notes
    assert note.endswith("The package `box==1.0` does not have an extra named `handle`")


# Indexes


def publish_torch(resolver: Resolver) -> None:
    """torch on the default index, newer, and its CPU build on another; numpy on both."""
    for tag in (X86, ARM):
        resolver.default.wheel("torch", "2.10.0", tag=tag, requires=["cuda-toolkit"])
        resolver.default.wheel("torch", "2.9.0", tag=tag, requires=["cuda-toolkit"])
        resolver.forge.index(CPU).wheel("torch", "2.9.0+cpu", tag=tag, requires=["numpy"])
        resolver.forge.index(CPU).wheel("torchvision", "0.24.0+cpu", tag=tag, requires=["torch==2.9.0"])
    resolver.default.wheel("cuda-toolkit", "13.0")
    resolver.default.wheel("numpy", "2.0")
    resolver.forge.index(CPU).wheel("numpy", "9.9")


@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28"])
def test_bound_packages_come_from_their_index_and_others_never_do(resolver: Resolver, platform: str) -> None:
    publish_torch(resolver)
    lines = core("torch", "torchvision", "numpy")
    target = resolver(lines, indexes=[resolver.bound("torch", "TorchVision")], platform=platform)
    assert versions(target) == {"numpy": "2.0", "torch": "2.9.0+cpu", "torchvision": "0.24.0+cpu"}
    torch = package(target, "torch")
    assert (torch["index"], torch["url"]) == (CPU, None)
    assert torch["file"].startswith("torch-2.9.0+cpu-cp312-")
    assert torch["required_by"] == ["core", "package:torchvision"]
    assert package(target, "numpy")["index"] == "pypi"
    assert versions(resolver(core("torch"), platform=platform)) == {"torch": "2.10.0", "cuda-toolkit": "13.0"}


def test_an_entry_of_the_spec_names_its_index(resolver: Resolver) -> None:
    publish_torch(resolver)
    target = resolver(
        core("torch"),
        spec=[{"requirement": "torch<2.10", "index": CPU}, {"requirement": "numpy", "index": "pypi"}],
        indexes=[resolver.bound()],
    )
    assert versions(target) == {"numpy": "2.0", "torch": "2.9.0+cpu"}
    assert package(target, "torch")["required_by"] == ["core", "spec"]


def test_the_lock_has_the_indexes_own_addresses_and_not_the_mirrors(resolver: Resolver) -> None:
    publish_torch(resolver)
    own = {"name": CPU, "url": "https://wheels.example/cpu", "packages": ["torch"]}
    reached = {"pypi": resolver.default.url, CPU: resolver.forge.index(CPU).url}
    target = resolver(core("torch"), indexes=[own], reached=reached)
    assert target["indexes"] == {"pypi": None, CPU: "https://wheels.example/cpu"}
    assert versions(target)["torch"] == "2.9.0+cpu"
    assert "127.0.0.1" not in json.dumps(target)


def test_two_indexes_may_be_reached_at_one_mirror(resolver: Resolver) -> None:
    publish_torch(resolver)
    own = {"name": CPU, "url": "https://wheels.example/cpu", "packages": ["torch"]}
    target = resolver(core("torch"), indexes=[own], reached={"pypi": resolver.default.url, CPU: resolver.default.url})
    assert versions(target) == {"torch": "2.10.0", "cuda-toolkit": "13.0"}
    assert [package(target, name)["index"] for name in ("torch", "cuda-toolkit")] == [CPU, "pypi"]


def test_a_mirror_with_a_password_is_used_and_not_shown(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0")
    resolver.default.token = "s3cret"
    address = resolver.default.url.replace("://", "://user:s3cret@")
    target = resolver(core("box"), reached={"pypi": address})
    assert versions(target) == {"box": "1.0"}
    assert "s3cret" not in json.dumps(target)
    with pytest.raises(FleetError) as caught:
        resolver(core("nothing"), reached={"pypi": address})
    assert "s3cret" not in str(caught.value)


def test_a_bound_package_that_only_another_one_wants_comes_from_its_index_as_well(resolver: Resolver) -> None:
    publish_torch(resolver)
    target = resolver(core("torchvision"), indexes=[resolver.bound("torch", "torchvision", "numpy")])
    assert versions(target) == {"numpy": "9.9", "torch": "2.9.0+cpu", "torchvision": "0.24.0+cpu"}
    assert {entry["index"] for entry in target["packages"] if entry["name"] != "pip"} == {CPU}


def test_contradictions_about_indexes_are_found_before_anything_is_asked(resolver: Resolver) -> None:
    wheel = {"name": "torch", "url": "https://wheels.example/torch-1-py3-none-any.whl", "sha256": "0" * 64}
    resolver.forge.forget_requests()
    with pytest.raises(FleetError) as caught:
        resolver(
            spec=[
                {"requirement": "vision", "index": "pypi"},
                {"requirement": "audio", "index": "nowhere"},
                wheel,
            ],
            indexes=[resolver.bound("torch", "vision", "kornia")],
            overrides=["kornia @ https://wheels.example/kornia-1-py3-none-any.whl"],
        )
    text = str(caught.value)
    assert f"vision is bound to two indexes, {CPU} and pypi" in text
    assert "audio is to come from nowhere, which is none of python.indexes" in text
    assert f"torch is bound to the index {CPU}, and given as the file https://wheels.example/" in text
    assert f"python.overrides: kornia is bound to the index {CPU}, and given as the file" in text
    assert not resolver.forge.requests


def test_time_limits_hold_for_indexes_that_give_dates(resolver: Resolver) -> None:
    publish_torch(resolver)
    resolver.forge.index(CPU).habits.json = False
    resolver.default.wheel("box", "1.0", upload_time="2025-03-01T12:00:00Z")
    resolver.default.wheel("box", "2.0", upload_time="2025-03-02T00:30:00Z")
    target = resolver(core("box", "torch"), indexes=[resolver.bound("torch")], exclude_newer="2025-03-02")
    assert versions(target) == {"box": "1.0", "numpy": "2.0", "torch": "2.9.0+cpu"}
    (note,) = resolver.notes
    assert "python.exclude_newer is not applied to torch, as their index gives no dates" in note
    later = resolver(core("box"), exclude_newer="2025-03-02T01:00:00Z")
    assert versions(later) == {"box": "2.0"}


# Files


def test_a_wheel_of_the_spec_is_named_as_the_spec_does(resolver: Resolver) -> None:
    wheel = resolver.forge.index("files").wheel("sage", "2.2+cu130torch2.9", tag=X86, requires=["einops"])
    resolver.default.wheel("einops", "0.8")
    entry = {"name": "Sage", "url": wheel.url, "sha256": wheel.sha256}
    target = resolver(node("a", "sage>=2"), spec=[entry])
    assert "%2B" in wheel.url
    more = {"source": "wheel", "index": None, "url": wheel.url, "size": wheel.size, "required_by": ["node:a", "spec"]}
    more["requires"] = ["einops"]
    file = f"sage-2.2+cu130torch2.9-{X86}.whl"
    assert package(target, "sage") == locks.package("sage", "2.2+cu130torch2.9", file, wheel.sha256, **more)
    assert package(target, "einops")["required_by"] == ["package:sage"]


def test_a_wheel_for_another_target_is_refused(resolver: Resolver) -> None:
    wheel = resolver.forge.index("files").wheel("sage", "2.2", tag=ARM)
    with pytest.raises(FleetError) as caught:
        resolver(spec=[{"name": "sage", "url": wheel.url, "sha256": wheel.sha256}])
    text = str(caught.value)
    what = "is for manylinux_2_28_aarch64, and the target is x86_64-manylinux_2_28"
    assert f"sage-2.2-{ARM}.whl {what}" in text
    assert "  spec: sage. Name the file for Linux on x86_64" in text


@pytest.mark.parametrize("metadata", [True, False])
def test_bytes_are_read_where_nobody_says_their_sha256(resolver: Resolver, metadata: bool) -> None:
    files = resolver.forge.index("files")
    files.habits.hashes = files.habits.metadata = resolver.default.habits.hashes = False
    resolver.default.habits.metadata = metadata
    own = files.wheel("sage", "2.2", tag=X86)
    box = resolver.default.wheel("box", "1.0")
    target = resolver(node("a", f"sage @ {own.url}", "box"))
    assert [package(target, name)["sha256"] for name in ("sage", "box")] == [own.sha256, box.sha256]


def test_all_that_cannot_be_followed_is_said_at_once(resolver: Resolver) -> None:
    resolver.forge.forget_requests()
    with pytest.raises(FleetError) as caught:
        resolver(
            overrides=["torch<2", "numpy>=2", "clip @ git+https://git.example/clip@main"],
            exclude=["pip"],
        )
    lines = str(caught.value).splitlines()
    beginnings = [
        "python.overrides: 'clip @ git+https://git.example/clip@main' needs a build",
        "python.overrides: torch is of the torch family",
        "python.exclude: every environment holds pip",
    ]
    assert len(lines) == len(beginnings)
    assert all(line.startswith(beginning) for line, beginning in zip(lines, beginnings, strict=True))
    assert not resolver.forge.requests


@pytest.mark.parametrize(
    ("python", "platform", "reason"),
    [
        ("python3.12", None, "'python3.12' is no Python version"),
        ("3.12", "aarch64-apple-darwin", "cannot be locked for the platform aarch64-apple-darwin"),
        ("3.12", "x86_64-unknown-linux-musl", "hosts are Linux with glibc"),
    ],
)
def test_targets_that_no_host_can_be(resolver: Resolver, python: str, platform: str | None, reason: str) -> None:
    with pytest.raises(FleetError, match=reason):
        resolver(core("box"), python=python, platform=platform)


# What replaces and what leaves out


def test_an_override_replaces_what_everybody_asks_for(resolver: Resolver) -> None:
    for version in ("1.26", "2.0"):
        resolver.default.wheel("numpy", version)
    resolver.default.wheel("old", "1.0", requires=["numpy<2"])
    target = resolver(core("numpy<2"), node("a", "old"), overrides=["numpy>=2"])
    assert versions(target) == {"numpy": "2.0", "old": "1.0"}
    assert package(target, "numpy")["required_by"] == ["core", "package:old"]


def test_what_is_excluded_is_asked_for_by_nobody(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0", requires=["big", "lid"])
    resolver.default.wheel("lid", "1.0")
    target = resolver(core("box", "big"), node("a", "clip @ git+https://git.example/clip"), exclude=["big", "clip"])
    assert versions(target) == {"box": "1.0", "lid": "1.0"}
    assert resolver.notes == ["target gpu (Python 3.12, x86_64-manylinux_2_28): left out by python.exclude: big, clip"]


def test_a_yanked_version_is_taken_only_where_it_is_named(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0")
    resolver.default.yank(resolver.default.wheel("box", "2.0"), "broken")
    assert versions(resolver(core("box"))) == {"box": "1.0"}
    assert resolver.notes == []
    assert versions(resolver(core("box==2.0"))) == {"box": "2.0"}
    assert resolver.notes[0].endswith('`box==2.0` is yanked (reason: "broken")')


def test_a_pre_release_that_nobody_asked_for_is_said(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0rc1")
    resolver.default.wheel("lid", "2.0b1")
    assert versions(resolver(core("box", "lid>=2.0b1"))) == {"box": "1.0rc1", "lid": "2.0b1"}
    (note,) = resolver.notes
    assert note.endswith("box 1.0rc1 is a pre-release: no other version fits")
