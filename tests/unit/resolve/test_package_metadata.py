# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lock has of packages' own words: what they require on a target, and their license."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import patience
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.package_metadata import Described, describe
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.packages import Demand
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import target_environment
from tests.support.forge import Fault

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.resolve.conftest import Document, Resolver

MARKERS = target_environment("gpu", None, "3.12").markers()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.01, 0.02))


def described(*headers: str) -> Described:
    """What one package says with these headers."""
    content = "\n".join(["Metadata-Version: 2.4", "Name: Box", "Version: 1", *headers, "", "License: of the text"])
    return describe({"box": content.encode()}, [], [], MARKERS)["box"]


def requires(target: Document) -> dict[str, list[str]]:
    """What packages require, less pip, which requires nothing."""
    return {each["name"]: each["requires"] for each in target["packages"] if each["name"] != "pip"}


def core(*lines: str) -> Demand:
    return Demand("core", "requirements.txt", lines)


def test_markers_count_on_the_target_and_not_here(resolver: Resolver) -> None:
    lines = ["Lid_Top ; sys_platform == 'linux'", "hat>=1,<3 ; python_version < '3.12'", "cap ; os_name == 'nt'"]
    resolver.default.wheel("box", "1.0", requires=[*lines, "zip.file[fast]>=1.0,!=1.5"])
    resolver.default.wheel("lid-top", "1.0")
    resolver.default.wheel("hat", "2.0")
    resolver.default.wheel("zip-file", "1.0", extras={"fast": ["speed"], "slow": ["sloth"]})
    resolver.default.wheel("speed", "1.0")
    found = requires(resolver(core("box")))
    assert found == {
        "box": ["lid-top", "zip-file[fast]!=1.5,>=1.0"],
        "lid-top": [],
        "speed": [],
        "zip-file": ["speed"],
    }
    older = requires(resolver(core("box"), python="3.11"))
    assert older["box"] == ["hat<3,>=1", "lid-top", "zip-file[fast]!=1.5,>=1.0"]


def test_extras_that_a_package_asks_of_itself(resolver: Resolver) -> None:
    extras = {"all": ["box[one,Two_2]"], "one": ["lid"], "two-2": ["hat"], "three": ["cap"]}
    resolver.default.wheel("box", "1.0", extras=extras)
    for name in ("lid", "hat", "cap"):
        resolver.default.wheel(name, "1.0")
    assert requires(resolver(core("box"))) == {"box": []}
    assert requires(resolver(core("box[all]")))["box"] == ["hat", "lid"]


def test_a_line_that_is_written_wrongly_is_its_name() -> None:
    lines = ("Requires-Dist: lid (>=1.0.*)", "Requires-Dist: hat>dev ; os_name == 'nt'", "Requires-Dist: !")
    assert described(*lines).requires == ["lid"]


@pytest.mark.parametrize(
    ("headers", "license"),
    [
        (["License-Expression: MIT OR Apache-2.0", "License: other"], "MIT OR Apache-2.0"),
        (["License: MIT License"], "MIT"),
        (["License: Apache License, Version 2.0"], "Apache-2.0"),
        (["License: bsd-3-clause"], "BSD-3-Clause"),
        (["License: UNKNOWN", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
        (["License: BSD", "Classifier: License :: OSI Approved :: BSD License"], "BSD"),
        (["Classifier: License :: OSI Approved :: Apache Software License"], "Apache Software License"),
        (["License: Dual", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
        (["License: Copyright (c)\n        all that follows"], None),
        (["License: " + "x" * 99, "Classifier: License :: OSI Approved"], None),
        ([], None),
    ],
)
def test_the_license_is_what_the_metadata_says(headers: list[str], license: str | None) -> None:  # noqa: A002
    assert described(*headers).license == license


def test_a_second_lock_reads_nothing(resolver: Resolver) -> None:
    resolver.default.wheel("box", "1.0", requires=["lid"])
    resolver.default.wheel("lid", "1.0")
    first = resolver(core("box"))
    resolver.forge.forget_requests()
    assert resolver(core("box"), kept=first["packages"]) == first
    assert not [each for each in resolver.forge.requests if each.path.endswith(".whl")]


@pytest.mark.parametrize(
    "fault", [Fault("no-range", "/files/pypi/*.whl"), Fault("status", "/files/pypi/*.whl", status=404)]
)
def test_a_server_without_ranges_or_that_has_the_file_no_more(resolver: Resolver, fault: Fault) -> None:
    resolver.default.wheel("box", "1.0", requires=["lid"])
    resolver.default.wheel("lid", "1.0")
    first = resolver(core("box"))
    resolver.forge.faults.add(fault)
    assert resolver(core("box"), kept=first["packages"], place="new") == first


def test_what_was_built_and_what_is_here_is_read_too(resolver: Resolver, tmp_path: Path) -> None:
    release = resolver.forge.index("elsewhere").wheel("box", "1.0", requires=["lid"])
    resolver.default.wheel("lid", "1.0")
    url = release.content.path.with_name(release.filename)
    url.write_bytes(release.content.path.read_bytes())
    target = resolver(spec=[{"name": "box", "url": url.as_uri(), "sha256": release.sha256}])
    assert requires(target)["box"] == ["lid"]


def test_a_wheel_that_cannot_be_looked_into_is_named(resolver: Resolver) -> None:
    box = resolver.default.wheel("box", "1.0")
    resolver.forge.faults.add(Fault("status", f"/files/pypi/{box.filename}", status=404))
    with pytest.raises(Exception, match=r"box 1.0 of the index pypi \(.*\): http://.*/box-1.0-py3-none-any.whl"):
        resolver(core("box"))
