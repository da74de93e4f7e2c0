# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a version is started and tried, and what its system must have: the keys launch, smoke, verify and system."""

from __future__ import annotations

import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import credentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import relative_problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import (
    as_flag,
    as_integer,
    as_list,
    as_object,
    as_text,
    as_texts,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings, Location


def read_launch(value: object, at: Location, findings: Findings) -> dict[str, t.Any]:
    """Give the strict meaning of launch. Arguments are those of a process, not of a shell."""
    launch = as_object(value)
    return {
        "args": _read_arguments(launch.get("args"), (*at, "args"), findings),
        "instances": _read_instances(launch.get("instances"), (*at, "instances"), findings),
        "offline": as_flag(launch.get("offline"), False),
    }


def read_smoke(value: object, at: Location, findings: Findings) -> dict[str, t.Any]:
    """Give the strict meaning of smoke."""
    workflow = as_text(as_object(value).get("workflow"))
    problem = relative_problem(workflow) if workflow else None
    if problem:
        findings.error((*at, "workflow"), *problem)
    return {"workflow": workflow}


def read_verify(value: object) -> dict[str, list[str]]:
    """Give the strict meaning of verify; the order of its modules says nothing."""
    return {"imports": sorted(set(as_texts(as_object(value).get("imports"))))}


def read_system(value: object) -> dict[str, list[str]]:
    """Give the strict meaning of system; the order of its names says nothing."""
    system = as_object(value)
    return {key: sorted(set(as_texts(system.get(key)))) for key in ("commands", "libraries", "apt")}


def _read_arguments(value: object, at: Location, findings: Findings) -> list[str]:
    arguments = as_texts(value)
    for index, argument in enumerate(arguments):
        if credentials.holds_token(argument):
            findings.error((*at, index), "holds a secret, which every user of the host could read", credentials.REMEDY)
    return arguments


def _read_instances(value: object, at: Location, findings: Findings) -> list[dict[str, t.Any]]:
    instances: list[dict[str, t.Any]] = []
    for index, entry in enumerate(as_list(value)):
        place = (*at, index)
        instance = _read_instance(as_object(entry), place, findings)
        for key in ("name", "port"):
            if instance[key] is not None and instance[key] in {earlier[key] for earlier in instances}:
                reason = f"there is an instance with the {key} {shown(str(instance[key]))} already"
                findings.error((*place, key), reason, f"Give each instance its own {key}")
        instances.append(instance)
    return instances


def _read_instance(instance: Mapping[str, t.Any], at: Location, findings: Findings) -> dict[str, t.Any]:
    number = as_integer(instance.get("gpu"))
    return {
        "name": as_text(instance.get("name")),
        "gpu": as_text(instance.get("gpu")) if number is None else str(number),
        "port": as_integer(instance.get("port")),
        "args": _read_arguments(instance.get("args"), (*at, "args"), findings),
    }
