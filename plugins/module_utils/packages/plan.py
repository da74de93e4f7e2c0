# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes that make a host's Python packages what the lock says. Pure."""

from __future__ import annotations

import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Need, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import ENVIRONMENT_LINK
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import (
    PART,
    REMOVE,
    Environment,
    must_be_made,
    package_changes,
    python_fits,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import installed_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.indexes import missing_indexes
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.interpreter import UNPACKED_PYTHON, is_obtainable
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import Means, State
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import store_of

CREATE, REBUILD, LINK = "create", "rebuild", "link"
UNFINISHED = "unfinished environment"
# Bytes to those of the wheels. 216 packages of a real ComfyUI, torch among them, had 2.5 times their wheels' bytes when
# unpacked (text is packed to a quarter, shared libraries to a half), and 0.4 times in bytecode. While they are
# unpacked, the wheels that were fetched from mirrors lie beside.
_UNPACKED = 3.5
_FETCHED = 1.0
# What an environment has of its own where it shares the store's bytes: directories.
_DIRECTORIES = 0.05


def plan(context: Context, state: State) -> Plan:
    """What would be done to the packages of the build."""
    changes = [*_package_changes(context, state), *_environment_change(context, state), *_link_change(context, state)]
    changes += [Change(PART, REMOVE, f"{UNFINISHED} {name}", before="there") for name in state.unfinished]
    if state.means is None:
        return Plan(changes=tuple(changes))
    return Plan(
        changes=tuple(changes),
        needs=_needs(context, state.means),
        obstacles=(*_no_interpreter(context, state.means), *missing_indexes(context), *_missing(context, state.means)),
    )


def link_text(context: Context) -> str:
    """What the build's ``.venv`` says: relative, so that comfy_root may move."""
    return os.path.relpath(context.environment, context.home)


def _package_changes(context: Context, state: State) -> list[Change]:
    found = state.environment or Environment(None, None, state.serving)
    return package_changes(context.target, found)


def _environment_change(context: Context, state: State) -> list[Change]:
    found, target = state.environment, context.target
    name = f"environment {context.environment.name}"
    if found is None:
        return [Change(PART, CREATE, name, after=f"Python {target.python}")]
    if not must_be_made(target, found):
        return []
    before = "not as the lock says" if python_fits(target, found) else found.fault or f"Python {found.python}"
    return [Change(PART, REBUILD, name, before=before, after=f"Python {target.python}")]


def _link_change(context: Context, state: State) -> list[Change]:
    wanted = link_text(context)
    if state.link == wanted:
        return []
    before = state.link and pathlib.PurePath(state.link).name
    if before == context.environment.name:
        # It leads to the right name by another way, as in a root that was moved.
        before = state.link
    if state.blocked:
        before = "no link"
    return [Change(PART, LINK, ENVIRONMENT_LINK, before=before, after=context.environment.name)]


def _needs(context: Context, means: Means) -> tuple[Need, ...]:
    sizes = {package.name: package.size or 0 for package in context.target.packages}
    new = sum(size for name, size in sizes.items() if name not in means.stored)
    own = _DIRECTORIES if means.links else _UNPACKED
    python = context.target.interpreter if means.interpreter is None else None
    return (
        *([Need(context.layout.agent, round(UNPACKED_PYTHON * (python.size or 0)))] if python else []),
        Need(context.layout.envs, round(own * sum(sizes.values()))),
        Need(store_of(context.layout), round((_UNPACKED + _FETCHED) * new)),
    )


def _no_interpreter(context: Context, means: Means) -> list[FleetError]:
    managed = context.target.interpreter
    if means.interpreter is not None or (managed is not None and is_obtainable(context, managed)):
        return []
    there = ", ".join(means.interpreters) or "none"
    ways = "set comfy_python to where it is, lock again with comfy_python_mirror to let hosts get it,"
    if managed is not None:
        ways = "run once without comfy_offline to get it, set comfy_python to where it is,"
    return [
        FleetError(
            f"Python {context.target.python} is not on this host (there is: {there})",
            where=f"target {context.target.name}",
            remedy=f"Install it, {ways} or change python.version in the spec and lock again",
        )
    ]


def _missing(context: Context, means: Means) -> list[FleetError]:
    """Offline, each distribution that is nowhere on the host."""
    if not context.settings.offline:
        return []
    return [
        _not_held(context, package)
        for package in installed_of(context.target.packages)
        if package.name not in means.held
    ]


def _not_held(context: Context, package: Package) -> FleetError:
    where = context.settings.wheels_dir
    return FleetError(
        f"{package.name} {package.version} is not on this host and comfy_offline is set",
        where=str(where) if where else "comfy_wheels_dir",
        remedy=f"Put {package.file} into comfy_wheels_dir, bring a bundle, or run once with the network",
    )
