# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of a build that the core's checkout does not own."""

from __future__ import annotations

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.links import relative_target
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import DATA_DIRECTORIES

ENVIRONMENT_LINK = ".venv"
EXTRA_MODEL_PATHS = "extra_model_paths.yaml"
CUSTOM_NODES = "custom_nodes"


def data_links(context: Context) -> dict[str, str]:
    """Where ComfyUI reads and writes by default, as links into ``data/``: path in the build to the link's text."""
    return {name: relative_target(context.home / name, context.layout.data / name) for name in DATA_DIRECTORIES}


def left_out(context: Context) -> list[str]:
    """Other parts' paths: the environment's link, the models' configuration, the nodes."""
    nodes = [f"{CUSTOM_NODES}/{node.directory}" for node in context.lock.nodes]
    return [ENVIRONMENT_LINK, EXTRA_MODEL_PATHS, *nodes]
