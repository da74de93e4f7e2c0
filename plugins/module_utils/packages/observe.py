# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a host's Python packages: read-only, and without the network.

A program (an interpreter, for its version) is run only when an environment has to be made.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import pathlib
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import ENVIRONMENT_LINK
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import held_by_another
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import serving_build
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import nearest_existing
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import DIGEST_LENGTH
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import (
    Environment,
    must_be_made,
    wanted_versions,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    distributions,
    environment_site,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import in_store, installed_of, is_held
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.interpreter import (
    find_interpreter,
    interpreters_on_path,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.look import expectations, inspect
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.receipt import read_receipt, receipt_path
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import store_of

_UNFINISHED = re.compile(rf"\.[0-9a-f]{{{DIGEST_LENGTH}}}\..+")


@dataclasses.dataclass(frozen=True)
class Means:
    """What a host has for making an environment; asked only when one must be made.

    held: distributions that can be installed without the network. stored: those that are in the store. links: whether
    environments can share the store's bytes, as far as that can be told without writing.
    """

    interpreter: pathlib.Path | None
    interpreters: tuple[str, ...]
    held: frozenset[str]
    stored: frozenset[str]
    links: bool


@dataclasses.dataclass(frozen=True)
class State:
    """A host's packages. environment: the one that the lock wants, None when it is not there.

    serving: distribution to version of the serving build. link: what the build's ``.venv`` says, None without one;
    blocked: something that is no link is in its place. unfinished: environments that a killed run left.
    """

    environment: Environment | None
    serving: c.Mapping[str, str]
    link: str | None
    blocked: bool
    unfinished: tuple[str, ...]
    means: Means | None


def observe(context: Context) -> State:
    """Look at the environment, at the build's link to it, and at what is left of runs that were killed."""
    environment = observe_environment(context, deep=context.settings.deep)
    made = must_be_made(context.target, environment)
    link = context.home / ENVIRONMENT_LINK
    return State(
        environment=environment,
        serving={} if environment is not None else _serving(context),
        link=os.readlink(link) if link.is_symlink() else None,
        blocked=link.exists() and not link.is_symlink(),
        unfinished=unfinished_environments(context.layout),
        means=_means(context) if made else None,
    )


def observe_environment(context: Context, deep: bool) -> Environment | None:
    """The target's environment, None when it is not there."""
    place = context.environment
    if not os.path.lexists(place):
        return None
    if place.is_symlink() or not place.is_dir():
        return Environment(None, "it is no directory", {})
    site = environment_site(place, context.target.python)
    seen = read_receipt(receipt_path(context.layout, place.name))
    return inspect(place, site, expectations(context), seen, deep)


def unfinished_environments(layout: Layout) -> tuple[str, ...]:
    """What killed runs left beside the environments; nothing while another run is at work, because it may be its."""
    try:
        names = [name for name in os.listdir(layout.envs) if _UNFINISHED.fullmatch(name)]
    except OSError:
        return ()
    return tuple(sorted(names)) if names and not held_by_another(layout.state) else ()


def _serving(context: Context) -> dict[str, str]:
    build = serving_build(context.layout)
    if build is None:
        return {}
    found: dict[str, str] = {}
    for site in (context.layout.builds / build / ENVIRONMENT_LINK).glob("lib/python3*/site-packages"):
        installed, _unreadable = distributions(site, os.listdir(site), wanted_versions(context.target))
        found |= {each.name: each.version for each in installed}
    return found


def _means(context: Context) -> Means:
    packages = installed_of(context.target.packages)
    interpreter = find_interpreter(context)
    return Means(
        interpreter=interpreter,
        interpreters=() if interpreter else interpreters_on_path(),
        held=frozenset(package.name for package in packages if is_held(context, package)),
        stored=frozenset(package.name for package in packages if in_store(context, package)),
        links=_links(context.layout),
    )


def _links(layout: Layout) -> bool:
    devices = {nearest_existing(path).stat().st_dev for path in (store_of(layout), layout.envs)}
    return len(devices) == 1
