# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the build's ComfyUI checkout is."""

from __future__ import annotations

import dataclasses
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import has_commit, mirror_path
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.observe import TreeState, observe_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import CUSTOM_NODES, data_links, left_out
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context


@dataclasses.dataclass(frozen=True)
class State:
    """The core's tree. mirrored: whether its commits can be had without the network."""

    tree: TreeState
    mirrored: bool


def observe(context: Context) -> State:
    """Look at COMFY_HOME; untracked entries of custom_nodes are the nodes' part."""
    core = context.lock.core
    tree = observe_tree(context.home, core.submodules, data_links(context), left_out(context))
    checkout = dataclasses.replace(
        tree.checkout,
        loadable=tuple(path for path in tree.checkout.loadable if not _of_nodes(path)),
        runtime=tuple(entry for entry in tree.checkout.runtime if not _of_nodes(entry[0])),
    )
    wanted = [(core.repo, core.commit), *((each.repo, each.commit) for each in core.submodules)]
    mirrored = all(has_commit(mirror_path(context.layout.git_mirrors, repo), commit) for repo, commit in wanted)
    return State(dataclasses.replace(tree, checkout=checkout), mirrored)


def _of_nodes(path: str) -> bool:
    return pathlib.PurePosixPath(path).parts[0] == CUSTOM_NODES
