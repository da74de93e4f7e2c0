# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run-time data follows the build that serves: what nodes wrote into their folders is there after a switch, and back.

Small files are copied, so that each build keeps its own; large ones (a checkpoint that a node fetched) share bytes.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.content import is_same
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.observe import observe_checkout
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import CUSTOM_NODES, left_out
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import move, new_aside
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import DATA_DIRECTORIES
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout, Lock

# Above this, a copy would cost more room than it is worth and nothing edits such a file in place.
_SHARED_FROM = 64 * 1024 * 1024


def carry(context: Context, outgoing: pathlib.Path, outgoing_lock: Lock) -> None:
    """Bring run-time data of the build at ``outgoing`` into the context's build, checkout by checkout."""
    incoming = {node.directory: node for node in context.lock.nodes}
    nodes = [node.directory for node in outgoing_lock.nodes if node.directory in incoming]
    models = [*_models_in_home(outgoing_lock), *_models_in_home(context.lock)]
    core_outside = [*left_out(context), *(f"{CUSTOM_NODES}/{node.directory}" for node in outgoing_lock.nodes)]
    _carry_checkout(context, outgoing, context.home, [*core_outside, *DATA_DIRECTORIES, "models", *models])
    for directory in nodes:
        place = pathlib.Path(CUSTOM_NODES, directory)
        inside = [path.removeprefix(f"{place}/") for path in models if path.startswith(f"{place}/")]
        outside = [*_outside(incoming[directory]), *inside]
        _carry_checkout(context, outgoing / place, context.home / place, outside)


def _models_in_home(lock: Lock) -> list[str]:
    """Paths in the build at which the lock places models: they are no run-time data, and each build has its own."""
    prefix = "$COMFY_HOME/"
    return [path.removeprefix(prefix) for model in lock.models for path in model.paths if path.startswith(prefix)]


def _outside(node: Checkout) -> list[str]:
    return [*node.writable, *(submodule.path for submodule in node.submodules)]


def _carry_checkout(context: Context, outgoing: pathlib.Path, incoming: pathlib.Path, outside: list[str]) -> None:
    runtime = observe_checkout(outgoing, outside).runtime
    if not runtime:
        return
    tracked = set(git.local(incoming, "ls-files", "-z").text.split("\0"))
    for path, size in runtime:
        if path not in tracked and not is_same(outgoing / path, incoming / path):
            _replace(context, outgoing / path, incoming / path, size)


def _replace(context: Context, source: pathlib.Path, destination: pathlib.Path, size: int) -> None:
    """The build that served has the newer data; what the other had is kept aside."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".comfy-carry.") as stage:
        beside = pathlib.Path(stage, destination.name)
        if not _copied(source, beside, size):
            return
        if os.path.lexists(destination):
            move(destination, new_aside(context.layout.aside) / destination.relative_to(context.layout.builds))
        beside.replace(destination)


def _copied(source: pathlib.Path, destination: pathlib.Path, size: int) -> bool:
    """Copy or link a file of ``size`` bytes; False when it is gone: what serves goes on, and removes its own files."""
    try:
        if size < _SHARED_FROM or source.is_symlink() or not _linked(source, destination):
            shutil.copy2(source, destination, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _linked(source: pathlib.Path, destination: pathlib.Path) -> bool:
    try:
        os.link(source, destination)
    except OSError:
        return False
    return True
