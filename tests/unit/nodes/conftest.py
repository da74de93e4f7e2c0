# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A forge with a core and a node, and a host's root to bring them to."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.core import apply as core_apply
from ansible_collections.comfyops.fleet.plugins.module_utils.core import observe as core_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.core import plan as core_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import apply as nodes_apply
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import observe as nodes_observe
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import plan as nodes_plan
from tests.support import locks
from tests.support.forge import Forge

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.forge.git import Repository


@dataclasses.dataclass
class Host:
    """A root on this machine and the repositories that it is converged from."""

    forge: Forge
    root: pathlib.Path
    core: Repository
    node: Repository

    def context(self, document: Mapping[str, t.Any] | None = None, **settings: t.Any) -> Context:
        """The context of ``document``, or of the newest commits of core and node."""
        lock = read_lock(document or self.document())
        return Context(lock, lock.targets["default"], Layout(self.root), Settings(**settings))

    def document(self, **more: t.Any) -> locks.Document:
        """A lock of the newest commits."""
        node = locks.node("palette", self.node.url, self.node.head())
        return locks.lock(locks.checkout(self.core.url, self.core.head()), [node], **more)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Host]:
    """A bare host."""
    with Forge(tmp_path / "forge") as forge:
        core = forge.repository("comfy/core")
        core.commit(
            {
                "main.py": "print('comfy')\n",
                "comfy/model.py": "MODEL = 1\n",
                "custom_nodes/websocket_image_save.py": "SAVE = True\n",
                "output/_output_images_will_be_put_here": "",
                "input/example.png": b"\x89PNG example",
                ".gitignore": "/custom_nodes/\n/output/\n__pycache__/\n*.log\n/user/\n",
            }
        )
        node = forge.repository("people/palette")
        node.commit({"__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "js/palette.js": "// palette\n", "data.bin": b"\0\1"})
        yield Host(forge, tmp_path / "root", core, node)


def look(context: Context) -> Plan:
    """What is to be done to core and nodes."""
    core = core_plan.plan(context, core_observe.observe(context))
    nodes = nodes_plan.plan(context, nodes_observe.observe(context))
    return Plan(
        changes=core.changes + nodes.changes,
        obstacles=core.obstacles + nodes.obstacles,
        notes=core.notes + nodes.notes,
    )


def converge(context: Context) -> tuple[Change, ...]:
    """Apply what there is to do, and give it; afterwards nothing is left to do."""
    core = core_plan.plan(context, core_observe.observe(context))
    if core.changes:
        core_apply.apply(context, core)
    nodes = nodes_plan.plan(context, nodes_observe.observe(context))
    if nodes.changes:
        nodes_apply.apply(context, nodes)
    assert look(context).changes == ()
    return core.changes + nodes.changes
