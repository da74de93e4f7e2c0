# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports that pip and uv install, with nothing but the forge to ask."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tomllib
import typing as t

import pytest
from packaging.pylock import Pylock, is_valid_pylock_path

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats import export_report, toml
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.dependencies import without_circles
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.export import choose_target
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from tests.support.locks import checkout, lock, package, target
from tests.unit.formats.conftest import NATIVE

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.formats.conftest import Exporter

PYLOCK = "pylock.exports-1-0-gpu.toml"


def run(exporter: Exporter, *command: str, succeeds: bool = True) -> str:
    """Run pip or uv with nothing of this machine's settings, and the forge's index as the default one."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(exporter.directory),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": exporter.resolver.default.url,
        "UV_DEFAULT_INDEX": exporter.resolver.default.url,
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    done = subprocess.run(command, cwd=exporter.directory, env=environment, text=True, capture_output=True, check=False)
    assert (done.returncode == 0) is succeeds, done.stderr
    return done.stdout + done.stderr


def environment_of(exporter: Exporter) -> Path:
    """A new environment without anything in it."""
    place = exporter.directory / "environment"
    run(exporter, find_uv(), "venv", "--quiet", "--python", sys.executable, str(place))
    return place


def distributions(directory: Path) -> dict[str, str]:
    """What is installed, with its versions."""
    (site,) = directory.glob("lib/*/site-packages") if (directory / "lib").is_dir() else [directory]
    return {each.name: each.version for each in importlib.metadata.distributions(path=[str(site)])}


def wanted(exporter: Exporter) -> dict[str, str]:
    """What the lock has."""
    return {each.name: each.version for each in exporter.lock.targets["gpu"].packages}


def test_pip_installs_the_requirements(exporter: Exporter) -> None:
    file = exporter("requirements") / "requirements.txt"
    place = exporter.directory / "installed"
    options = ("--quiet", "--require-hashes", "--no-deps", "--no-cache-dir", "--target", str(place), "-r", str(file))
    run(exporter, sys.executable, "-m", "pip", "install", *options)
    assert distributions(place) == wanted(exporter)
    assert wanted(exporter)["torch"] == "2.9.0+cu130"


def test_uv_installs_the_requirements(exporter: Exporter) -> None:
    file = exporter("requirements") / "requirements.txt"
    place = environment_of(exporter)
    options = ("--require-hashes", "--no-deps", "--index-strategy", "unsafe-best-match", "--python", str(place))
    run(exporter, find_uv(), "pip", "install", *options, "-r", str(file))
    assert distributions(place) == wanted(exporter)


def test_a_wheel_with_other_bytes_is_not_installed(exporter: Exporter) -> None:
    file = exporter.edited("leaf", sha256="1" * 64)("requirements") / "requirements.txt"
    options = ("--require-hashes", "--no-deps", "--target", str(exporter.directory / "installed"), "-r", str(file))
    output = run(exporter, sys.executable, "-m", "pip", "install", *options, succeeds=False)
    assert "leaf" in output
    assert "1" * 64 in output


def test_uv_syncs_the_pylock(exporter: Exporter) -> None:
    file = exporter("pylock") / PYLOCK
    place = environment_of(exporter)
    run(exporter, find_uv(), "pip", "sync", "--preview", "--python", str(place), str(file))
    assert distributions(place) == wanted(exporter)
    (recorded,) = place.glob("lib/*/site-packages/kernels-*.dist-info/direct_url.json")
    assert "kernels-1.0.2%2Btorch2.9" in recorded.read_text()
    again = run(exporter, find_uv(), "pip", "sync", "--preview", "--dry-run", "--python", str(place), str(file))
    assert "Would make no changes" in again


def test_the_pylock_is_one_of_the_specification(exporter: Exporter) -> None:
    file = exporter("pylock") / PYLOCK
    assert is_valid_pylock_path(file)
    document = tomllib.loads(file.read_text())
    found = Pylock.from_dict(document)
    found.validate()
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert str(found.requires_python) == f"=={minor}.*"
    assert all(marker.evaluate() for marker in found.environments or ())
    packages = {str(each.name): each for each in found.packages}
    assert [dict(each) for each in packages["app"].dependencies or ()] == [
        {"name": "egg"},
        {"name": "leaf"},
        {"name": "torch"},
    ]
    assert packages["torch"].index == exporter.resolver.forge.index("pytorch-cu130").url
    origins = {each["name"]: each["tool"]["comfyops-fleet"] for each in document["packages"]}
    assert {name: origin["source"] for name, origin in origins.items() if origin["source"] != "index"} == {
        "archived": "sdist",
        "gitty": "git",
        "kernels": "wheel",
        "own-tools": "file",
    }
    assert origins["gitty"]["built-from"]["subdirectory"] == "python"


def test_an_installer_chooses_every_package_of_the_pylock(exporter: Exporter) -> None:
    found = Pylock.from_dict(tomllib.loads((exporter("pylock") / PYLOCK).read_text()))
    selected = {each.name: str(each.version) for each, _file in found.select()}
    assert selected == wanted(exporter)


def test_what_the_image_provides_is_named_and_not_installed(exporter: Exporter) -> None:
    nothing = {"source": "provided", "file": None, "sha256": None, "size": None, "index": None}
    provided = exporter.edited("torch", version="2.9.0a0+nv25.10", **nothing)
    text = (provided("requirements") / "requirements.txt").read_text()
    assert "# torch==2.9.0a0+nv25.10: nothing to install\n    # provided by the hosts' image\n" in text
    assert "\ntorch" not in text
    document = tomllib.loads((provided("pylock") / PYLOCK).read_text())
    listed = {each["name"] for each in document["packages"]}
    assert "torch" not in listed
    assert all(each["name"] in listed for entry in document["packages"] for each in entry.get("dependencies", ()))
    assert document["tool"]["comfyops-fleet"]["provided"] == ["torch==2.9.0a0+nv25.10"]
    Pylock.from_dict(document).validate()


def test_shims_install_as_any_wheel(exporter: Exporter) -> None:
    shim = exporter.with_shim()
    file = shim("requirements") / "requirements.txt"
    # The index has files of these names and versions that fit more closely.
    closer = [exporter.resolver.default.wheel(*each, tag=NATIVE) for each in (("hen", "1.0"), ("own-tools", "0.1"))]
    place = exporter.directory / "installed"
    command = ("--quiet", "--require-hashes", "--no-deps", "--no-cache-dir", "--target", str(place), "-r", str(file))
    run(exporter, sys.executable, "-m", "pip", "install", *command)
    assert distributions(place) == wanted(exporter)
    place = environment_of(exporter)
    options = ("--require-hashes", "--no-deps", "--index-strategy", "unsafe-best-match", "--python", str(place))
    run(exporter, find_uv(), "pip", "install", *options, "-r", str(file))
    run(exporter, find_uv(), "pip", "sync", "--preview", "--python", str(place), str(shim("pylock") / PYLOCK))
    assert distributions(place) == wanted(exporter)
    (metadata,) = place.glob("lib/*/site-packages/hen-1.0.dist-info/METADATA")
    assert "own-tools is installed in its place" in metadata.read_text()
    assert export_report.notes(shim.lock.targets["gpu"]) == [
        "names without content, because another package (in brackets) is in their place: hen (own-tools)"
    ]
    for release in closer:
        exporter.resolver.default.remove(release)
    with pytest.raises(FleetError, match=r"the shim of hen 1.0 has the sha256 .*, the lock says 5555"):
        shim.edited("hen", sha256="5" * 64)("requirements")


def test_all_files_that_an_index_has_no_more_are_told(exporter: Exporter) -> None:
    gone = exporter.edited("leaf", file="leaf-0.9-py3-none-any.whl").edited("hen", sha256="2" * 64)
    with pytest.raises(FleetError) as caught:
        gone("pylock")
    first, second = str(caught.value).splitlines()
    assert "says sha256" in first
    assert "2" * 64 in first
    assert "has no leaf-0.9-py3-none-any.whl any more. Lock again with comfy_lock_upgrade=leaf" in second


def test_built_wheels_that_are_gone_are_told(exporter: Exporter) -> None:
    with pytest.raises(FleetError, match=r"the wheel of gitty 1.5 cannot be read .* Run lock.yml"):
        exporter.edited("gitty", sha256="3" * 64)("requirements")
    changed = exporter.edited("own-tools", sha256="4" * 64)
    with pytest.raises(FleetError, match=r"own-tools 0.1 has the sha256 .*, and the lock says 4444"):
        changed("requirements")


def test_an_export_is_of_one_target() -> None:
    targets = {name: target([package("a", "1", "a-1-py3-none-any.whl", "0" * 64)]) for name in ("cpu", "cu130")}
    several = read_lock(lock(checkout("https://git.forge.example/core", "0" * 40), targets=targets))
    with pytest.raises(FleetError, match=r"has the targets cpu, cu130, and an export is of one of them"):
        choose_target(several, None)
    with pytest.raises(FleetError, match=r"no target 'rocm'.*Take one of cpu, cu130"):
        choose_target(several, "rocm")
    assert choose_target(several, "cpu").name == "cpu"


def test_circles_are_opened_in_one_place() -> None:
    graph = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": [], "e": ["d", "c"]}
    kept, closing = without_circles(graph)
    assert closing == {"a": [], "b": [], "c": ["a"], "d": [], "e": []}
    assert kept == {"a": ["b"], "b": ["c"], "c": ["d"], "d": [], "e": ["c", "d"]}
    assert without_circles({name: graph[name] for name in sorted(graph, reverse=True)}) == (kept, closing)


@pytest.mark.parametrize(
    "value",
    ["plain", 'q"uote\\', "tab\tline\nend", "\x00\x1f\x7f", "\u00fc\u2028\U0001f600", 7, True, [], ["a", 1], {}],
)
def test_toml_that_is_read_back(value: object) -> None:
    text = toml.table(("a", "b.c"), {"key": value, "odd key": {"inner": [value]}})
    assert tomllib.loads(text) == {"a": {"b.c": {"key": value, "odd key": {"inner": [value]}}}}
