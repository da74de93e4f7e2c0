# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an environment differs from what the lock wants. Pure."""

from __future__ import annotations

import collections.abc as c
import types
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Target
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.versions import same_version

PART = "packages"
INSTALL, CHANGE, REMOVE = "install", "change", "remove"
DAMAGED = "damaged"
FOREIGN = "not of any package"
# Every environment has it; a lock that does not name it leaves its version open.
PIP = "pip"


class Environment(t.NamedTuple):
    """An environment as it was found.

    python: its version. fault: why its interpreter can not be used, or None. versions: distribution to version.
    damaged: distribution to the files, by path in its directory of packages, that are not as it recorded them (none
    where its metadata is at fault). foreign: entries of that directory that Python could load and that no distribution
    owns.
    """

    python: str | None
    fault: str | None
    versions: c.Mapping[str, str]
    damaged: c.Mapping[str, tuple[str, ...]] = types.MappingProxyType({})
    foreign: tuple[str, ...] = ()


def wanted_versions(target: Target) -> dict[str, str]:
    """Distribution to version, as the lock says."""
    return {package.name: package.version for package in target.packages}


def python_fits(target: Target, environment: Environment) -> bool:
    """Whether the environment's interpreter is there and of the target's version (``3.11`` or ``3.11.9``)."""
    found = environment.python
    return (
        environment.fault is None
        and found is not None
        and (found == target.python or found.startswith(f"{target.python}."))
    )


def package_changes(target: Target, environment: Environment) -> list[Change]:
    """What makes the distributions of ``environment`` those of the lock, in the order of their names."""
    wanted = wanted_versions(target)
    changes = [Change(PART, REMOVE, name, before=FOREIGN) for name in environment.foreign]
    for name in sorted({*wanted, *environment.versions, *environment.damaged}):
        changes += _of_distribution(name, wanted.get(name), environment)
    return changes


def must_be_made(target: Target, environment: Environment | None) -> bool:
    """Whether an environment has to be made in place of this one."""
    return environment is None or not python_fits(target, environment) or bool(package_changes(target, environment))


def _of_distribution(name: str, wanted: str | None, environment: Environment) -> list[Change]:
    installed = environment.versions.get(name)
    if wanted is None:
        extra = name != PIP or name in environment.damaged
        return [Change(PART, REMOVE, name, before=installed or DAMAGED)] if extra else []
    if name in environment.damaged:
        return [Change(PART, CHANGE, name, before=DAMAGED, after=wanted)]
    if installed is None:
        return [Change(PART, INSTALL, name, after=wanted)]
    return [] if same_version(installed, wanted) else [Change(PART, CHANGE, name, before=installed, after=wanted)]
