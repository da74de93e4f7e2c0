# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A forge with package indexes, and a host's root whose environments real uv makes from them."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import pathlib
import re
import sys
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import obstacles
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import environment_site
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.plan import plan
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from tests.support import locks
from tests.support.forge import Forge
from tests.support.forge.demo_packages import pip_wheel

if t.TYPE_CHECKING:
    from tests.support.forge import Index, Release

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
Packages = c.Sequence[locks.Document]


def locked(release: Release, **more: t.Any) -> locks.Document:
    """The lock's entry for a file of an index."""
    entry = locks.package(release.name, release.version, release.filename, release.sha256)
    return {**entry, "size": release.size, "index": release.index, **more}


@dataclasses.dataclass
class Host:
    """A root on this machine, and the forge that its packages come from."""

    forge: Forge
    root: pathlib.Path
    pip: Release

    @property
    def index(self) -> Index:
        """The default index."""
        return self.forge.index()

    def document(self, packages: Packages, **more: t.Any) -> locks.Document:
        """A lock of ``packages`` and pip. more: fields of the target, or the lock's requirements and spec."""
        indexes = {name: index.url for name, index in self.forge._packages.indexes.items()}
        target = {**locks.target([*packages, locked(self.pip)]), "python": PYTHON, "indexes": indexes}
        for name in target.keys() & more.keys():
            target[name] = more.pop(name)
        core = locks.checkout("https://forge.example/core", "0" * 40)
        return locks.lock(core, targets={"default": target}, **more)

    def context(self, packages: Packages, *, document: locks.Document | None = None, **settings: t.Any) -> Context:
        """What the modules would make of a lock of these packages, with uv and the Python of the tests."""
        lock = read_lock(document or self.document(packages))
        given = {"uv": pathlib.Path(find_uv()), "python": sys.executable, **settings}
        return Context(lock, lock.targets["default"], Layout(self.root), Settings(**given))


def look(context: Context) -> Plan:
    """What is to be done."""
    return plan(context, observe(context))


def converge(context: Context) -> tuple[Change, ...]:
    """Do it as the module does, and give it; afterwards nothing is left to do."""
    planned = look(context)
    raise_all(obstacles(context.layout, planned))
    if planned.changes:
        apply(context, planned)
        assert look(context).changes == ()
    return planned.changes


def site(context: Context) -> pathlib.Path:
    """The directory of packages of the context's environment."""
    return environment_site(context.environment, context.target.python)


def told(changes: c.Iterable[Change]) -> list[str]:
    """Changes as short lines, without those of pip, which is in every environment; digests are left out."""
    lines = [f"{each.action} {each.name}: {each.before} > {each.after}" for each in changes if each.name != "pip"]
    return [re.sub(r"\b[0-9a-f]{12}\b", "DIGEST", line) for line in lines]


@functools.cache
def _pip() -> pathlib.Path:
    return pip_wheel()


@pytest.fixture
def host(tmp_path: pathlib.Path) -> c.Iterator[Host]:
    """A bare host. Its index has a stand-in for pip, which is in every environment and takes its time to compile."""
    with Forge(tmp_path / "forge") as forge:
        yield Host(forge, tmp_path / "root", forge.index().wheel("pip", "25.2"))


@pytest.fixture
def host_with_pip(host: Host) -> Host:
    """The same, with the real pip."""
    host.pip = host.index.wheel_file(_pip())
    return host


@pytest.fixture(autouse=True)
def _quick_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of faults need not wait for uv's retries."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
