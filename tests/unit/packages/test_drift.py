# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and programs do to an environment: seen, told, and set right by a new environment in its place."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import platform
import shutil
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host import converge_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.receipt import receipt_path
from tests.support.trees import tree
from tests.unit.packages.conftest import PYTHON, Host, converge, locked, look, site, told

REBUILT = f"rebuild environment DIGEST: not as the lock says > Python {PYTHON}"


@pytest.fixture
def context(host: Host) -> Context:
    """A converged host with three packages: a module, one with a package in a package, one with a script."""
    deep: dict[str, str | bytes] = {
        "deep/__init__.py": "",
        "deep/er/__init__.py": "",
        "deep/er/data.py": "X = 1\n",
        "deep/blob.bin": b"0" * 5000,
    }
    tool = {"tool.py": "def main(): print('tool')\n"}
    context = host.context(
        [
            locked(host.index.wheel("six", "1.17.0", modules={"six.py": "VALUE = 1\n"})),
            locked(host.index.wheel("deep", "2.0", modules=deep)),
            locked(host.index.wheel("tool", "3.0", modules=tool, scripts={"tool": "tool:main"})),
        ]
    )
    converge(context)
    return context


class SetRight(t.Protocol):
    """The drift is told as expected, one converge rebuilds, and the result is byte for byte what it was before."""

    def __call__(self, *expected: str, context: Context | None = None) -> None: ...


@pytest.fixture
def set_right(context: Context) -> SetRight:
    """What a test calls when it has done its damage."""
    pristine = tree(context.environment)

    def check(*expected: str, context: Context | None = context) -> None:
        assert context is not None
        foretold = look(context).changes
        assert told(foretold) == [*expected, REBUILT]
        assert converge(context) == foretold
        assert tree(context.environment) == pristine
        assert list(context.layout.envs.glob(".*")) == []

    return check


def age(path: pathlib.Path) -> None:
    """Give a file the times of one that was not touched since yesterday."""
    yesterday = time.time() - 86400
    os.utime(path, (yesterday, yesterday))


def test_a_distribution_that_was_removed(context: Context, set_right: SetRight) -> None:
    shutil.rmtree(site(context) / "deep")
    shutil.rmtree(site(context) / "deep-2.0.dist-info")
    set_right("install deep: None > 2.0")


def test_a_distribution_of_another_version(context: Context, host: Host, set_right: SetRight) -> None:
    other = host.context([locked(host.index.wheel("six", "1.0", modules={"six.py": "VALUE = 0\n"}))])
    converge(other)
    (site(context) / "six.py").unlink()
    shutil.rmtree(site(context) / "six-1.17.0.dist-info")
    shutil.copytree(site(other) / "six-1.0.dist-info", site(context) / "six-1.0.dist-info")
    shutil.copy(site(other) / "six.py", site(context) / "six.py")
    set_right("change six: 1.0 > 1.17.0")


def test_a_distribution_that_is_not_in_the_lock(context: Context, host: Host, set_right: SetRight) -> None:
    other = host.context([locked(host.index.wheel("extra", "1.0"))])
    converge(other)
    for entry in ("extra", "extra-1.0.dist-info"):
        shutil.copytree(site(other) / entry, site(context) / entry)
    set_right("remove extra: 1.0 > None")


def test_a_second_version_of_a_distribution(context: Context, set_right: SetRight) -> None:
    shutil.copytree(site(context) / "six-1.17.0.dist-info", site(context) / "six-1.16.0.dist-info")
    set_right("change six: damaged > 1.17.0")


@pytest.mark.parametrize(
    "path",
    ["deep/er/data.py", "deep/er", "deep", "deep/blob.bin", "deep-2.0.dist-info/METADATA", "deep-2.0.dist-info/RECORD"],
)
@pytest.mark.parametrize("receipt", [True, False])
def test_a_distribution_that_was_half_removed(context: Context, path: str, receipt: bool, set_right: SetRight) -> None:
    victim = site(context) / path
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    if not receipt:
        receipt_path(context.layout, context.environment.name).unlink()
    set_right("change deep: damaged > 2.0")


def test_a_script_that_was_removed(context: Context, set_right: SetRight) -> None:
    (context.environment / "bin" / "tool").unlink()
    set_right("change tool: damaged > 3.0")


def test_a_file_that_was_truncated(context: Context, set_right: SetRight) -> None:
    """In place, its directory keeps its times: without a receipt every size is looked at."""
    (site(context) / "deep" / "blob.bin").write_bytes(b"")
    receipt_path(context.layout, context.environment.name).unlink()
    set_right("change deep: damaged > 2.0")


def test_a_module_that_was_edited_in_place(context: Context, set_right: SetRight) -> None:
    (site(context) / "six.py").write_text("VALUE = 2\n")
    set_right("change six: damaged > 1.17.0")
    assert (site(context) / "six.py").read_text() == "VALUE = 1\n"
    (kept,) = context.layout.aside.glob(f"*/environment-{context.environment.name}/lib/python*/site-packages/six.py")
    assert kept.read_text() == "VALUE = 2\n"


def test_an_edit_through_an_editor_that_renames(context: Context, set_right: SetRight) -> None:
    path = site(context) / "deep" / "er" / "data.py"
    beside = path.with_suffix(".swp")
    beside.write_text("X = 2\n")
    beside.replace(path)
    set_right("change deep: damaged > 2.0")


def test_an_edit_that_hides_is_seen_by_a_deep_look(context: Context, set_right: SetRight) -> None:
    path = site(context) / "deep" / "er" / "data.py"
    path.write_text("X = 3\n")
    age(path)
    assert look(context).changes == ()
    deep = dataclasses.replace(context, settings=dataclasses.replace(context.settings, deep=True))
    set_right("change deep: damaged > 2.0", context=deep)
    assert path.read_text() == "X = 1\n"


def _target(context: Context) -> dict[str, t.Any]:
    target: dict[str, t.Any] = dict(context.lock.document["targets"]["default"])
    return target


def test_a_touch_is_no_drift(context: Context) -> None:
    for path in (site(context) / "six.py", site(context) / "deep" / "er" / "data.py", site(context) / "deep"):
        path.touch()
    assert look(context).changes == ()


@pytest.mark.parametrize("name", ["evil.pth", "evil.py", "evil.so", "evil.pyc", "sitecustomize.py", "evil/__init__.py"])
@pytest.mark.parametrize("receipt", [True, False])
def test_something_that_python_would_load(context: Context, name: str, receipt: bool, set_right: SetRight) -> None:
    path = site(context) / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("import os\n")
    if not receipt:
        receipt_path(context.layout, context.environment.name).unlink()
    entry = name.partition("/")[0]
    set_right(f"remove {entry}: not of any package > None")
    (kept,) = context.layout.aside.glob(f"*/environment-*/lib/*/site-packages/{name}")
    assert kept.read_text() == "import os\n"


def test_what_python_does_not_load_is_left_alone(context: Context) -> None:
    for name in ("notes.txt", "data/table.csv", "~ix/old.py", "six.pyi"):
        path = site(context) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    shutil.rmtree(site(context) / "__pycache__")
    shutil.rmtree(site(context) / "deep" / "__pycache__")
    assert look(context).changes == ()


def test_pip_that_the_lock_does_not_name_may_stay(context: Context) -> None:
    target = _target(context)
    target["packages"] = [package for package in target["packages"] if package["name"] != "pip"]
    found = look(_again(context, target)).changes
    assert "pip" not in {change.name for change in found if change.action == "remove"}


def _again(context: Context, target: dict[str, t.Any]) -> Context:
    lock = read_lock({**context.lock.document, "targets": {"default": target}})
    return Context(lock, lock.targets["default"], context.layout, context.settings)


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("version_info = 3.8.1", "Python 3.8.1"),
        ("include-system-site-packages = true", "it takes packages of the system too"),
    ],
)
def test_an_environment_of_another_python(context: Context, setting: str, fault: str) -> None:
    configuration = context.environment / "pyvenv.cfg"
    key = setting.partition(" ")[0]
    lines = [line for line in configuration.read_text().splitlines() if not line.startswith(key)]
    configuration.write_text("\n".join([*lines, setting, ""]))
    assert told(converge(context)) == [f"rebuild environment DIGEST: {fault} > Python {PYTHON}"]
    assert look(context).changes == ()


@pytest.mark.parametrize("settings", [None, "[install]\nno-index = false\n"])
def test_pip_may_not_install_into_it(context: Context, settings: str | None) -> None:
    place = context.environment / "pip.conf"
    place.unlink() if settings is None else place.write_text(settings)
    fault = "its pip.conf lets pip install into it"
    assert told(look(context).changes) == [f"rebuild environment DIGEST: {fault} > Python {PYTHON}"]
    converge(context)
    assert "python_packages" in place.read_text()


def test_an_interpreter_that_went_away(context: Context) -> None:
    (context.environment / "bin" / "python").unlink()
    (context.environment / "bin" / "python").symlink_to("/usr/lib/no/python")
    fault = "its bin/python can not be run"
    assert told(converge(context)) == [f"rebuild environment DIGEST: {fault} > Python {PYTHON}"]


def test_a_file_in_the_environments_place(context: Context) -> None:
    shutil.rmtree(context.environment)
    context.environment.write_text("")
    assert told(converge(context))[-1] == f"rebuild environment DIGEST: it is no directory > Python {PYTHON}"


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_makes_is_not(context: Context) -> None:
    left = context.layout.envs / f".{context.environment.name}.abcdefgh"
    (left / "lib").mkdir(parents=True)
    with converge_lock.ConvergeLock(context.layout.state, "this one", 1):
        assert told(look(context).changes) == ["remove unfinished environment .DIGEST.abcdefgh: there > None"]
    lock = context.layout.state / converge_lock.FILE_NAME
    lock.write_text(_holder(pid=1))
    assert look(context).changes == ()
    lock.unlink()
    converge(context)
    assert not left.exists()


def _holder(pid: int) -> str:
    holder = {
        "machine": platform.node(),
        "boot_id": converge_lock.boot_id(),
        "pid": pid,
        "start_time": converge_lock.start_time(pid),
    }
    return json.dumps(holder)


def test_a_wheel_that_brings_a_directory_of_another_is_settled_by_either(host: Host) -> None:
    """As the OpenCV packages do: the file is what one of its owners recorded, so nothing is damaged."""
    packages = [
        locked(host.index.wheel(name, "1.0", modules={"cv2/__init__.py": f"BUILD = {name!r}\n"}))
        for name in ("opencv-python", "opencv-python-headless")
    ]
    context = host.context(packages)
    converge(context)
    receipt_path(context.layout, context.environment.name).unlink()
    assert look(context).changes == ()
