# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A forge, and the package resolver on its indexes."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import packages
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds import Site
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_places import ControlNode
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import Store
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.git import Access as GitAccess
from tests.support.forge import Forge

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.forge import Index

Document = dict[str, t.Any]
CPU = "pytorch-cpu"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    """An empty forge on two free ports of loopback."""
    with Forge(tmp_path / "forge") as forge:
        yield forge


class Resolver:
    """resolve_target on a forge: what a test does not say is as in a spec without the key."""

    def __init__(self, forge: Forge, directory: Path) -> None:
        self.forge = forge
        self.directory = directory
        self.default: Index = forge.index()
        self.default.wheel("pip", "25.2")
        self.notes: list[str] = []
        self.wheels = directory / "versions" / "wheels"

    def bound(self, *names: str, index: str = CPU) -> Document:
        """An entry of python.indexes for one of the forge's."""
        return {"name": index, "url": self.forge.index(index).url, "packages": list(names)}

    def __call__(
        self,
        *demands: packages.Demand,
        spec: t.Sequence[Document | str] = (),
        python: str = "3.12",
        platform: str | None = None,
        accelerator: str | None = None,
        match: Document | None = None,
        kept: t.Sequence[Document] | None = None,
        upgrade: t.Collection[str] = (),
        reached: t.Mapping[str, str] | None = None,
        place: str = "one",
        access: Access | None = None,
        every_byte: bool = False,
        **section: t.Any,
    ) -> Document:
        """The target's entry. spec: python_packages, a text for a plain requirement; place: for work and cache."""
        work, cache = self.directory / place / "work", self.directory / place / "cache"
        work.mkdir(parents=True, exist_ok=True)
        return packages.resolve_target(
            "gpu",
            {"version": None, "platform": platform, "accelerator": accelerator, "match": match or {}},
            python=python,
            demands=demands,
            python_section={**_SECTION, **section},
            packages=[{"requirement": entry, "index": None} if isinstance(entry, str) else entry for entry in spec],
            index_urls={"pypi": self.default.url} if reached is None else reached,
            kept=kept,
            upgrade=upgrade,
            work=work,
            cache=cache,
            site=Site(GitAccess(cache / "git"), Store(self.wheels), (ControlNode(),), cache),
            report=self.notes.append,
            access=access,
            every_byte=every_byte,
        )


_SECTION: Document = {
    "version": None,
    "targets": {},
    "indexes": [],
    "resolution": "strict",
    "overrides": [],
    "exclude": [],
    "build": [],
    "providers": {},
    "provided": [],
    "exclude_newer": None,
}


@pytest.fixture
def resolver(forge: Forge, tmp_path: Path) -> Resolver:
    """The resolver, with an index that has pip."""
    return Resolver(forge, tmp_path)
