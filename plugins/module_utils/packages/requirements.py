# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify that what core, nodes and spec require is met by what is installed, and that the packages fit each other."""

from __future__ import annotations

import inspect
import json
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import CORE, NODE
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import requirement_check
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import canonical, environment_site

_SECONDS = 600
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def unmet_requirements(context: Context) -> list[FleetError]:
    """One fault for each requirement that the environment does not meet.

    Raises FleetError when the environment can not be asked.
    """
    environment = context.environment
    question = {
        "site": str(environment_site(environment, context.target.python)),
        "requirements": _that_count(context),
        "exempt": _decided(context),
    }
    # -I and -S: nothing of the user's settings, and no path file of a package is run. -B: nothing is written.
    argv = [str(environment / "bin" / "python"), "-I", "-S", "-B", "-c", inspect.getsource(requirement_check)]
    answered = run(argv, stdin=json.dumps(question).encode(), timeout=_SECONDS)
    return [_fault(context, unmet) for unmet in json.loads(answered.text)]


def verify(context: Context) -> None:
    """Raise FleetError, listing all that is unmet, when the environment does not meet the requirements."""
    if not context.environment.is_dir():
        raise FleetError(
            "the environment is not there",
            where=str(context.environment),
            remedy="Make it first: comfyops.fleet.comfy_pip_packages with state=present",
        )
    raise_all(unmet_requirements(context))


def _that_count(context: Context) -> list[dict[str, t.Any]]:
    """The lines of core, nodes and spec, without those that gave way when the target's packages were chosen."""
    replaced = {(each.owner, each.line) for each in context.target.replaced}
    return [
        {
            "owner": each.owner,
            "file": each.file,
            "lines": [line for line in each.lines if (each.owner, line) not in replaced],
        }
        for each in context.lock.requirements
    ]


def _decided(context: Context) -> list[str]:
    """The packages about which the spec has decided, whatever others wish: overrides, excluded and provided ones."""
    python: dict[str, t.Any] = context.lock.spec.get("python") or {}
    lines = [line for key in ("overrides", "exclude", "provided") for line in python.get(key) or ()]
    return sorted({canonical(found[0]) for line in lines if (found := _NAME.match(str(line)))})


def _fault(context: Context, unmet: dict[str, t.Any]) -> FleetError:
    installed = f"installed is {unmet['installed']}" if unmet["installed"] else "it is not installed"
    if not unmet.get("owner"):
        return FleetError(
            f"wants {unmet['requirement']}, {installed}",
            where=f"package {unmet['package']}",
            remedy=f"Let python_packages in the spec ask for a {unmet['name']} that fits, and lock again",
        )
    source = f" ({unmet['file']})" if unmet["file"] else ""
    # An extra of the line's package, which the package itself spells out.
    means = f", that is {unmet['requirement']} for {unmet['package']}" if unmet["package"] else ""
    remedy = f'Add "{unmet["requirement"].partition(";")[0].strip()}" to python_packages in the spec'
    if unmet["owner"].startswith(NODE):
        remedy += ", or give the node other lines in custom_nodes[].requirements"
    return FleetError(
        f"wants {unmet['line']}{source}{means}, {installed}",
        where=_shown_owner(context, unmet["owner"]),
        remedy=f"{remedy}, and lock again",
    )


def _shown_owner(context: Context, owner: str) -> str:
    if owner == CORE:
        return context.lock.core.name
    return f"node {owner.removeprefix(NODE)}" if owner.startswith(NODE) else "the spec"
