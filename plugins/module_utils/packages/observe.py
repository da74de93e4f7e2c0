# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a host's Python packages: read-only, and without the network.

A program (an interpreter, for its version) is run only when an environment has to be made.
"""

from __future__ import annotations

import collections.abc as c
import os
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import ENVIRONMENT_LINK
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import REMOVED, Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import serving_build
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import DIGEST_LENGTH
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import (
    Environment,
    must_be_made,
    wanted_versions,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import distributions
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.look import inspect
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.receipt import read_receipt, receipt_path

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.means import Means
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.preflight import Machine

_DIGEST = rf"[0-9a-f]{{{DIGEST_LENGTH}}}"
# Half made, or half removed.
_UNFINISHED = re.compile(rf"\.{_DIGEST}\..+|{re.escape(REMOVED)}{_DIGEST}")


class State(t.NamedTuple):
    """A host's packages. environment: the one that the lock wants, None when it is not there.

    serving: distribution to version of the serving build. link: what the build's ``.venv`` says, None without one;
    blocked: something that is no link is in its place. unfinished: environments that a killed run left. machine: what
    the packages will run on, looked at when an environment is made or the build gets another one.
    """

    environment: Environment | None
    serving: c.Mapping[str, str]
    link: str | None
    blocked: bool
    unfinished: tuple[str, ...]
    means: Means | None
    machine: Machine | None


def observe(context: Context) -> State:
    """Look at the environment, at the build's link to it, and at what is left of runs that were killed."""
    environment = observe_environment(context, deep=context.settings.deep)
    link = context.home / ENVIRONMENT_LINK
    leads_to = os.readlink(link) if link.is_symlink() else None
    is_made = must_be_made(context.target, environment)
    return State(
        environment=environment,
        serving={} if environment is not None else _serving(context),
        link=leads_to,
        blocked=link.exists() and not link.is_symlink(),
        unfinished=unfinished_environments(context.layout),
        means=_means(context) if is_made else None,
        machine=_machine(context) if is_made or os.path.basename(leads_to or "") != context.environment.name else None,
    )


def observe_environment(context: Context, deep: bool) -> Environment | None:
    """The target's environment, None when it is not there."""
    place = context.environment
    if not os.path.lexists(place):
        return None
    if place.is_symlink() or not place.is_dir():
        return Environment(None, "it is no directory", {})
    seen = read_receipt(receipt_path(context.layout, place.name))
    return inspect(context, place, seen, deep)


def unfinished_environments(layout: Layout) -> tuple[str, ...]:
    """What killed runs left beside the environments; nothing while another run is at work, because it may be its."""
    try:
        names = [name for name in os.listdir(layout.envs) if _UNFINISHED.fullmatch(name)]
    except OSError:
        return ()
    if not names:
        return ()
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import held_by_another

    return () if held_by_another(layout.state) else tuple(sorted(names))


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
    # Imported only when an environment has to be made.
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.means import means_of

    return means_of(context)


def _machine(context: Context) -> Machine:
    # Imported only when something is to be done.
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.preflight import look_at_machine

    return look_at_machine(context)
