# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nodes tried to install while they were tried, and whether the environment is still what it was."""

from __future__ import annotations

import collections.abc as c

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import package_changes
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import observe_environment
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.origins import INSTALL, Event

_SHOWN = 10


def differences(context: Context) -> dict[str, str]:
    """What the environment has otherwise than the lock says: name to what it is."""
    found = observe_environment(context, deep=False)
    if found is None:
        return {}
    changes = package_changes(context.target, found)
    return {each.name: each.before or "missing" for each in changes} | ({"Python": found.fault} if found.fault else {})


def changed_environment(context: Context, before: c.Mapping[str, str]) -> list[FleetError]:
    """The fault of a trial after which the environment is another than before it."""
    after = differences(context)
    new = [f"{name} is {what}" for name, what in after.items() if before.get(name) != what]
    if not new:
        return []
    return [
        FleetError(
            f"a node has changed it: {', '.join(new[:_SHOWN])}",
            where=f"environment {context.environment.name}",
            remedy="Name what the node wants in python_packages of the spec, or leave the node out (enabled: false); "
            "realize.yml repairs the environment",
        )
    ]


def install_notes(events: c.Iterable[Event]) -> list[str]:
    """A line for each command by which something was to be installed or removed."""
    told = dict.fromkeys(event.values for event in events if event.what == INSTALL)
    why = "an environment takes nothing but by its lock"
    return [f"{node or 'something'} ran '{command}': {why}" for node, command in told]
