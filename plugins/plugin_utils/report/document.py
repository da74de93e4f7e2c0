# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run as data: each host's status and what it would take, or took, to bring it to the lock."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text

REPORT_VERSION = 1
IN_SYNC = "in sync"
DRIFTED = "drifted"
UNKNOWN = "could not look"
# Registered by the role's tasks, in the order in which the parts are applied.
_APPLIED = ("bundle", "core", "nodes", "packages", "models", "current")


@dataclasses.dataclass(frozen=True)
class HostReport:
    """One host. actions: what its look found; applied: what was done after it.

    message: why there was no look, or what failed afterwards.
    """

    status: str
    message: str = ""
    build: str | None = None
    serving: str | None = None
    actions: tuple[c.Mapping[str, t.Any], ...] = ()
    applied: tuple[c.Mapping[str, t.Any], ...] = ()
    notes: tuple[str, ...] = ()
    obstacles: tuple[c.Mapping[str, t.Any], ...] = ()


def host_report(variables: c.Mapping[str, t.Any]) -> HostReport:
    """What a host's registered results say: ``comfy_locked``, ``comfy_probe`` and ``comfy_applied_<part>``."""
    locked = variables.get("comfy_locked", {})
    probe = variables.get("comfy_probe", {})
    if locked.get("failed"):
        return HostReport(UNKNOWN, str(locked.get("msg", "no lock")))
    failure = _failure(variables)
    if "drifted" not in probe:
        return HostReport(UNKNOWN, str(probe.get("msg") or failure or "the host was not looked at"))
    applied = [action for part in _APPLIED for action in _actions(variables.get(f"comfy_applied_{part}"))]
    return HostReport(
        status=DRIFTED if probe["drifted"] else IN_SYNC,
        message=failure,
        build=probe["build"],
        serving=probe["serving"],
        actions=tuple(probe["actions"]),
        applied=tuple(applied),
        notes=tuple(probe["notes"]),
        obstacles=tuple(probe["obstacles"]),
    )


def write(path: pathlib.Path, hosts: c.Mapping[str, HostReport]) -> None:
    """Write the report of all hosts as JSON."""
    found = {
        "report_version": REPORT_VERSION,
        "hosts": {name: dataclasses.asdict(report) for name, report in sorted(hosts.items())},
    }
    write_text(path, json.dumps(found, indent=2, sort_keys=True) + "\n")


def _failure(variables: c.Mapping[str, t.Any]) -> str:
    for part in _APPLIED:
        registered = variables.get(f"comfy_applied_{part}") or {}
        if registered.get("failed") or registered.get("unreachable"):
            return f"{part}: {registered.get('msg', 'failed')}"
    return ""


def _actions(registered: t.Any) -> list[c.Mapping[str, t.Any]]:
    return list(registered.get("actions", ())) if isinstance(registered, c.Mapping) else []
