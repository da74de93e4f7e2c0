# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements of one spec that no set of packages can meet: found before anything is resolved."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import canonical_name

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.requirements import Requirement
    from packaging.specifiers import Specifier
    from packaging.version import Version

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import Package


def check_contradictions(packages: list[Package], excluded: Iterable[str], findings: Findings) -> None:
    """Report each entry of python_packages that contradicts itself, an earlier one, or python.exclude."""
    excluded_names = {canonical_name(name) for name in excluded}
    earlier: dict[str, list[Package]] = {}
    for package in packages:
        name = canonical_name(package.requirement.name)
        if name in excluded_names:
            findings.error(package.at, f"python.exclude takes '{name}' out", "Take it out of one of the two")
        if impossible([package.requirement]):
            findings.error(package.at, f"'{package.requirement}' is met by no version", "Correct the bounds")
        for other in earlier.setdefault(name, []):
            _check_pair(package, other, findings)
        earlier[name].append(package)


def _check_pair(package: Package, other: Package, findings: Findings) -> None:
    if _are_two_wheels(package, other):
        return
    two_files = _is_file(package) and _is_file(other)
    same_hosts = str(package.requirement.marker) == str(other.requirement.marker)
    if not two_files and not (same_hosts and impossible([package.requirement, other.requirement])):
        return
    place = "/".join(str(part) for part in other.at)
    reason = f"'{package.requirement}' contradicts '{other.requirement}' of /{place}"
    findings.error(package.at, reason, "Keep one, or bounds that a version can meet")


def _is_file(package: Package) -> bool:
    return "requirement" not in package.normalized


def _are_two_wheels(package: Package, other: Package) -> bool:
    """Two wheels of one package, for targets of two kinds, as their names say: each target takes what fits it."""
    names = {each.normalized.get("url", "").rpartition("/")[2] for each in (package, other)}
    return len(names) > 1 and all(name.endswith(".whl") for name in names)


def impossible(requirements: list[Requirement]) -> bool:
    """Tell whether no version can meet all; only what is plain is found: pins and bounds, not exclusions."""
    specifiers = list(itertools.chain.from_iterable(requirement.specifier for requirement in requirements))
    pins = [version for specifier in specifiers if (version := _version(specifier, {"==", "==="}))]
    if pins:
        return not any(all(one.contains(pin, prereleases=True) for one in specifiers) for pin in pins)
    lower = [(version, one.operator == ">") for one in specifiers if (version := _version(one, {">=", ">", "~="}))]
    upper = [(version, one.operator == "<=") for one in specifiers if (version := _version(one, {"<=", "<"}))]
    if not lower or not upper:
        return False
    lowest, highest = max(lower), min(upper)
    open_end = lowest[1] or not highest[1]
    return lowest[0] > highest[0] or (lowest[0] == highest[0] and open_end)


def _version(specifier: Specifier, operators: set[str]) -> Version | None:
    from packaging.version import InvalidVersion, Version

    if specifier.operator not in operators:
        return None
    try:
        return Version(specifier.version)
    except InvalidVersion:
        return None
