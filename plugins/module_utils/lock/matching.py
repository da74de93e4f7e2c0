# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a lock's targets a host is."""

from __future__ import annotations

import collections.abc as c
import fnmatch
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import Facts
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Target

_PLATFORM = re.compile(r"(?P<machine>.+)-manylinux_?(?P<major>\d+)_(?P<minor>\d+)")


def choose_target(targets: c.Mapping[str, Target], facts: Facts, wanted: str | None) -> Target:
    """The target called ``wanted``, or else the one that fits ``facts``.

    A target of a GPU goes before one for any host. Raises FleetError, listing them, when none or several fit.
    """
    if wanted:
        if wanted not in targets:
            raise FleetError(f"the lock has no target {wanted!r}", remedy=f"It has: {', '.join(sorted(targets))}")
        return targets[wanted]
    fitting = [target for target in targets.values() if not misfits(target, facts)]
    special = [target for target in fitting if target.accelerator not in (None, "cpu")]
    chosen = special or fitting
    if len(chosen) == 1:
        return chosen[0]
    raise FleetError(_report(targets, facts, chosen), remedy="Set comfy_target for this host, or the targets' match")


def misfits(target: Target, facts: Facts) -> list[str]:
    """Why a host of ``facts`` is not of ``target``; empty when it is."""
    reasons = [*_platform_misfits(target.platform, facts), *_accelerator_misfits(target.accelerator, facts)]
    hostname = target.match.get("hostname")
    if hostname and not fnmatch.fnmatch(facts.hostname, hostname):
        reasons.append(f"its name {facts.hostname} is not {hostname}")
    gpu = target.match.get("gpu")
    if gpu and not any(fnmatch.fnmatch(name, gpu) for name in facts.gpus):
        reasons.append(f"it has no GPU {gpu}")
    return reasons


def _platform_misfits(platform: str, facts: Facts) -> list[str]:
    parsed = _PLATFORM.fullmatch(platform)
    if not parsed:
        return [] if platform == facts.machine else [f"it is {facts.machine}, not {platform}"]
    if parsed["machine"] != facts.machine:
        return [f"it is {facts.machine}, not {parsed['machine']}"]
    needed = (int(parsed["major"]), int(parsed["minor"]))
    if facts.glibc is None or facts.glibc < needed:
        has = ".".join(map(str, facts.glibc)) if facts.glibc else "no glibc"
        return [f"it has glibc {has}, {platform} needs {needed[0]}.{needed[1]}"]
    return []


def _accelerator_misfits(accelerator: str | None, facts: Facts) -> list[str]:
    if accelerator in (None, "cpu"):
        return []
    kind = "cuda" if str(accelerator).startswith("cu") else accelerator
    return [] if kind == facts.accelerator else [f"it has {facts.accelerator}, {accelerator} needs {kind}"]


def _report(targets: c.Mapping[str, Target], facts: Facts, chosen: c.Sequence[Target]) -> str:
    if chosen:
        return f"this host fits several targets: {', '.join(sorted(target.name for target in chosen))}"
    reasons = "; ".join(f"{name}: {', '.join(misfits(target, facts))}" for name, target in sorted(targets.items()))
    return f"this host fits no target of the lock ({reasons})"
