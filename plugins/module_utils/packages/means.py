# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has for making an environment, what that takes, and what is missing: asked only when one must be made."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Need
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import (
    nearest_existing,
    reduced,
    shortages,
    unwritable,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import in_store, installed_of, is_held
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.indexes import missing_indexes
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.interpreter import (
    UNPACKED_PYTHON,
    find_interpreter,
    interpreters_on_path,
    is_obtainable,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.provided import provided_faults
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import store_of

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.replacing import Old

# Bytes to those of the wheels. 216 packages of a real ComfyUI, torch among them, had 2.5 times their wheels' bytes when
# unpacked (text is packed to a quarter, shared libraries to a half), and 0.4 times in bytecode. While they are
# unpacked, the wheels that were fetched from mirrors lie beside.
_UNPACKED = 3.5
_FETCHED = 1.0
# What an environment has of its own where it shares the store's bytes: directories.
_DIRECTORIES = 0.05
_REPLACE = "comfy_space=replace removes the environments that there are first, and there is no way back then"


@dataclasses.dataclass(frozen=True)
class Means:
    """What a host has for making an environment; asked only when one must be made.

    held: distributions that can be installed without the network. stored: those that are in the store. links: whether
    environments can share the store's bytes, as far as that can be told without writing. image: where the host's image
    is not what the lock says. old: what is to go first, None where the environment fits beside it, or has to. room:
    what making it takes, less what can go first.
    """

    interpreter: pathlib.Path | None
    interpreters: tuple[str, ...]
    held: frozenset[str]
    stored: frozenset[str]
    links: bool
    image: tuple[FleetError, ...] = ()
    old: Old | None = None
    room: tuple[Need, ...] = ()


def means_of(context: Context) -> Means:
    """Look for them; an interpreter is run for its version."""
    packages = installed_of(context.target.packages)
    interpreter = find_interpreter(context)
    means = Means(
        interpreter=interpreter,
        interpreters=() if interpreter else interpreters_on_path(),
        held=frozenset(package.name for package in packages if is_held(context, package)),
        stored=frozenset(package.name for package in packages if in_store(context, package)),
        links=_links(context.layout),
        image=tuple(provided_faults(context)),
    )
    wanted = needs(context, means)
    if not context.settings.replace_environments:
        return dataclasses.replace(means, room=wanted)
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.replacing import find_old

    old = find_old(context)
    # Where it fits beside what is there now, models that come before it may still take that room.
    room = tuple(reduced(wanted, old.freed))
    return dataclasses.replace(means, old=old if shortages(wanted) else None, room=room)


def needs(context: Context, means: Means) -> tuple[Need, ...]:
    """The room that an environment takes beside those that there are."""
    sizes = {package.name: package.size or 0 for package in context.target.packages}
    new = sum(size for name, size in sizes.items() if name not in means.stored)
    own = _DIRECTORIES if means.links else _UNPACKED
    python = context.target.interpreter if means.interpreter is None else None
    remedy = "" if context.settings.replace_environments else _REPLACE
    return (
        *([Need(context.layout.agent, round(UNPACKED_PYTHON * (python.size or 0)))] if python else []),
        Need(context.layout.envs, round(own * sum(sizes.values())), remedy),
        Need(store_of(context.layout), round((_UNPACKED + _FETCHED) * new), remedy),
    )


def obstacles(context: Context, means: Means) -> tuple[FleetError, ...]:
    """What stands in the way: no interpreter, another image, an index that nobody locates, offline what is nowhere.

    Also a cache that can not be written. Where what there is goes first, also that it is in use, or not enough.
    """
    layout = context.layout
    cache = () if unwritable(layout.root) else unwritable(layout.cache, "comfy_cache_dir")
    room = means.old.faults(needs(context, means)) if means.old else ()
    here = (*_no_interpreter(context, means), *means.image)
    indexes = () if context.settings.offline else missing_indexes(context)
    return (*here, *indexes, *_missing(context, means), *cache, *room)


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


def _links(layout: Layout) -> bool:
    devices = {nearest_existing(path).stat().st_dev for path in (store_of(layout), layout.envs)}
    return len(devices) == 1
