# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the build's custom nodes are, and what lies among them that is not in the lock."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import functools
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.content import files_below, is_loadable
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.links import relative_target
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import has_commit, mirror_path
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.observe import TreeState, observe_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import CUSTOM_NODES
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes.manager import FILES, is_rendered, manager_node

# Git waits for the disk most of the time.
PARALLEL = 8


@dataclasses.dataclass(frozen=True)
class State:
    """Nodes by directory. foreign: entries of custom_nodes that ComfyUI would load and nobody declared.

    unmirrored: locked commits that only the network has. manager: its configuration files that are not as rendered.
    """

    trees: c.Mapping[str, TreeState]
    foreign: tuple[str, ...]
    unmirrored: tuple[tuple[str, str], ...]
    manager: tuple[str, ...]


def observe(context: Context) -> State:
    """Look at all nodes at once."""
    nodes = context.lock.nodes
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        foreign = pool.submit(_foreign, context)
        trees = list(pool.map(functools.partial(_observe_node, context), nodes))
    return State(
        trees={node.directory: tree for node, tree in zip(nodes, trees, strict=True)},
        foreign=foreign.result(),
        unmirrored=_unmirrored(context),
        manager=_manager(context),
    )


def _observe_node(context: Context, node: Checkout) -> TreeState:
    return observe_tree(place(context, node), node.submodules, links(context, node))


def place(context: Context, node: Checkout) -> pathlib.Path:
    """Where a node is in the build."""
    return context.home / CUSTOM_NODES / node.directory


def links(context: Context, node: Checkout) -> dict[str, str]:
    """A node's writable paths, as links into ``data/nodes/<node>/``."""
    outside = context.layout.data / "nodes" / node.directory
    return {path: relative_target(place(context, node) / path, outside / path) for path in node.writable}


def manager_file(context: Context, name: str) -> pathlib.Path:
    """Where ComfyUI-Manager's configuration ``name`` is."""
    return context.layout.data / "user" / name


def _foreign(context: Context) -> tuple[str, ...]:
    directory = context.home / CUSTOM_NODES
    if not directory.is_dir():
        return ()
    known = {node.directory for node in context.lock.nodes}
    names = [entry.name for entry in os.scandir(directory) if entry.name not in known and _is_node(entry)]
    if not names:
        return ()
    return tuple(sorted(set(names) - _of_core(context)))


def _is_node(entry: os.DirEntry[str]) -> bool:
    """Whether ComfyUI's loader would try it (nodes.py, init_external_custom_nodes): directories and .py files."""
    if entry.name.endswith(".disabled") or entry.name in ("__pycache__", ".disabled"):
        return False
    path = pathlib.Path(entry.path)
    if entry.is_dir():
        return any(is_loadable(file) for file in files_below(path.resolve()))
    return is_loadable(path)


def _of_core(context: Context) -> set[str]:
    """What ComfyUI itself ships in custom_nodes."""
    core = context.lock.core
    mirror = mirror_path(context.layout.git_mirrors, core.repo)
    repository = mirror if has_commit(mirror, core.commit) else context.home
    try:
        listed = git.local(repository, "ls-tree", "-z", "--name-only", core.commit, f"{CUSTOM_NODES}/")
    except FleetError:
        return set()
    return {pathlib.PurePosixPath(name).name for name in listed.text.split("\0") if name}


def _unmirrored(context: Context) -> tuple[tuple[str, str], ...]:
    wanted: list[tuple[str, str]] = []
    for node in context.lock.nodes:
        wanted += [(node.repo, node.commit), *((each.repo, each.commit) for each in node.submodules)]
    mirrors = context.layout.git_mirrors
    return tuple((repo, commit) for repo, commit in wanted if not has_commit(mirror_path(mirrors, repo), commit))


def _manager(context: Context) -> tuple[str, ...]:
    if manager_node(context.lock) is None:
        return ()
    return tuple(name for name in FILES if not is_rendered(manager_file(context, name)))
