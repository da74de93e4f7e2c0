# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts on which somebody tidied up by hand, and file systems that can not do all that others can."""

from __future__ import annotations

import errno
import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from tests.support.trees import tree
from tests.unit.packages.conftest import PYTHON, Host, converge, locked, look
from tests.unit.packages.test_killed import options, run

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
    from tests.support.locks import Document

SITE = f"lib/python{PYTHON}/site-packages"


@pytest.fixture
def packages(host: Host) -> list[Document]:
    """Two packages, one with a script."""
    return [
        locked(host.index.wheel("six", "1.17.0", scripts={"six": "six:main"})),
        locked(host.index.wheel("tqdm", "4.67.1", modules={"tqdm/__init__.py": "", "tqdm/bar.py": ""})),
    ]


@pytest.fixture
def context(host: Host, packages: list[Document]) -> Context:
    """The host, converged."""
    context = host.context(packages)
    converge(context)
    return context


@pytest.mark.parametrize("gone", ["bin", "lib", SITE, f"{SITE}/tqdm", "pyvenv.cfg", "bin/python", "*", "."])
def test_an_environment_that_was_half_removed_is_whole_again_without_a_network(
    host: Host, context: Context, gone: str
) -> None:
    before = tree(context.environment)
    places = context.environment.glob("*") if gone == "*" else [context.environment / gone]
    for place in list(places):
        remove_tree(place)
    host.forge.forget_requests()
    assert converge(context)
    assert tree(context.environment) == before
    assert host.forge.requests == []


def test_an_environment_in_the_builds_own_directory_of_another_python_is_put_aside(context: Context) -> None:
    link = context.home / ".venv"
    link.unlink()
    (link / "lib/python3.8/site-packages").mkdir(parents=True)
    (link / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.8.18\n")
    (change,) = converge(context)
    assert (change.action, change.before) == ("link", "no link")
    (kept,) = context.layout.aside.rglob("pyvenv.cfg")
    assert "3.8.18" in kept.read_text()


def test_a_cache_that_is_mounted_read_only_is_said_before_anything_changes(
    host: Host, packages: list[Document]
) -> None:
    cache = host.root / "cache"
    cache.mkdir(parents=True)
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(cache)]
    result = run(options(host, host.document(packages)), unshare, failing=True)
    assert f"{cache}: user id 0 may not write here, the file system is mounted read-only" in result["msg"]
    assert "or set comfy_cache_dir to a directory of its own" in result["msg"]
    assert sorted(host.root.rglob("*")) == [cache]


def test_a_file_system_of_its_own_for_environments_and_one_for_the_cache(host: Host, packages: list[Document]) -> None:
    cache, envs = host.root / "cache", host.root / "envs"
    for directory in (cache, envs):
        directory.mkdir(parents=True)
    script = 'mount -t tmpfs none "$1" && mount -t tmpfs none "$2" && shift 2 && exec "$@"'
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(cache), str(envs)]
    result = run(options(host, host.document(packages)), unshare)
    assert result["changed"]
    assert not list(envs.iterdir()), "it was on the file system that is gone"


def test_a_file_system_without_symbolic_links_is_told(
    context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """As FAT and exFAT answer, which not every kernel that runs this has."""

    def refuse(*_arguments: object, **_more: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    (context.home / ".venv").unlink()
    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(FleetError, match=r"\.venv: a symbolic link can not be made \(Operation not permitted\)"):
        converge(context)
    monkeypatch.undo()
    assert [change.action for change in converge(context)] == ["link"]


def test_a_directory_that_vanishes_as_a_whole_is_made_again(host: Host, context: Context) -> None:
    """Somebody removes all but the environments, and the link of the build that is not there any more."""
    for name in ("cache", "state", "builds"):
        shutil.rmtree(host.root / name)
    # Nothing says any more what the environment's files were; they are read, and are right.
    assert [change.action for change in look(context).changes] == ["link"]
    assert converge(context)
