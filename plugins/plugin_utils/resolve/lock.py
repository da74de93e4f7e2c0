# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a lock of a spec: everything that the spec leaves open is decided here, once, on the control node."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access as HttpAccess
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import LOCK_VERSION
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import CORE, NODE, SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import builds, interpreters, packages
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.checkouts import (
    Kept,
    Locked,
    Wanted,
    resolve_checkouts,
    wanted_of,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.git import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution, resolve_models
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.resolution import LAYERED

Document = dict[str, t.Any]
EVERYTHING = "all"


@dataclasses.dataclass(frozen=True)
class Resolution:
    """How things are reached from the control node, and what the spec does not say.

    host_python: asks the first host for its Python, only when nobody else says. upgrade: names that may move.
    builds: where what has no wheel is built and kept. python_mirror: where Pythons are for hosts that have none of the
    target's version. every_byte: no index is believed, and all files of packages are read, those of a lock again.
    """

    git: Access
    models: ModelResolution
    python_indexes: c.Mapping[str, str]
    cache: pathlib.Path
    python: str | None
    host_python: c.Callable[[], str]
    upgrade: frozenset[str]
    report: c.Callable[[str], None]
    builds: builds.Site
    python_mirror: str | None = None
    every_byte: bool = False


def make_lock(spec: Document, previous: Document | None, resolution: Resolution) -> Document:
    """The lock of a normalized ``spec``, as its document. previous: the lock that there is; what still fits is kept.

    Raises FleetError, or Failures with all faults of a step.
    """
    _refuse_unknown_names(spec, previous, resolution.upgrade)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        models = pool.submit(_models, spec, previous, resolution)
        parts = _all_of(lambda: _code(spec, previous, resolution), models.result)
    return {"lock_version": LOCK_VERSION, "spec": spec, **parts[0], **parts[1]}


def _all_of(*parts: c.Callable[[], Document]) -> list[Document]:
    """What all parts give. Raises FleetError, or Failures with the faults of all."""
    found, faults = [], []
    for part in parts:
        try:
            found.append(part())
        except FleetError as fault:
            faults.append(fault)
    raise_all(faults)
    return found


def _code(spec: Document, previous: Document | None, resolution: Resolution) -> Document:
    """Core, nodes and the packages that they need."""
    wanted = wanted_of(spec)
    checkouts = _checkouts(wanted, previous, resolution)
    return {
        "core": _core_entry(wanted[0], checkouts[CORE]),
        "nodes": [_node_entry(spec, each, checkouts[each.owner]) for each in wanted[1:]],
        "targets": _targets(spec, previous, resolution, wanted, checkouts),
        "requirements": _requirements(spec, wanted, checkouts),
    }


def _models(spec: Document, previous: Document | None, resolution: Resolution) -> Document:
    kept: dict[str, list[Document]] = {}
    for entry in (previous or {}).get("models", ()):
        kept.setdefault(entry["source"], []).append(entry)
    models = resolve_models(
        spec["models"], kept=kept, upgrade=resolution.upgrade, settings=resolution.models, report=resolution.report
    )
    return {"models": models}


def _checkouts(wanted: c.Sequence[Wanted], previous: Document | None, resolution: Resolution) -> dict[str, Locked]:
    def upgrade(each: Wanted) -> bool:
        return bool(resolution.upgrade & {EVERYTHING, each.name, each.owner, each.owner.removeprefix(NODE)})

    return resolve_checkouts(resolution.git, wanted, _kept_checkouts(previous), upgrade, resolution.report)


def _kept_checkouts(previous: Document | None) -> dict[str, Kept]:
    if previous is None:
        return {}
    lines = {entry["owner"]: entry for entry in previous["requirements"]}
    entries = {CORE: previous["core"], **{f"{NODE}{node['directory']}": node for node in previous["nodes"]}}
    kept = {}
    for each in wanted_of(previous["spec"]):
        entry, own = entries[each.owner], lines.get(each.owner, {"file": None, "lines": ()})
        locked = Locked(entry["commit"], tuple(entry["submodules"]), own["file"], tuple(own["lines"]))
        kept[each.owner] = Kept(each, locked)
    return kept


def _targets(
    spec: Document,
    previous: Document | None,
    resolution: Resolution,
    wanted: c.Sequence[Wanted],
    checkouts: c.Mapping[str, Locked],
) -> Document:
    demands = [
        packages.Demand(each.owner, checkouts[each.owner].file, checkouts[each.owner].lines)
        for each in wanted
        if checkouts[each.owner].lines
    ]
    found: Document = {}
    faults = []
    for name, target in spec["python"]["targets"].items():
        try:
            entry = _target(name, target, spec, previous, resolution, demands)
            before = (previous or {}).get("targets", {}).get(name)
            found[name] = {**entry, "interpreter": _interpreter(entry, before, resolution)}
        except FleetError as error:
            faults.append(error)
    raise_all(faults)
    return found


def _target(
    name: str,
    target: Document,
    spec: Document,
    previous: Document | None,
    resolution: Resolution,
    demands: c.Sequence[packages.Demand],
) -> Document:
    before = (previous or {}).get("targets", {}).get(name)
    python = _python(target, spec, before, resolution)
    moving = resolution.upgrade or resolution.every_byte
    same = before and previous and not moving and _same_demands(spec, previous, name, python, demands)
    if same and not resolution.builds.store.lost(before["packages"]):
        return t.cast(Document, before)
    resolution.report(f"target {name}: resolving packages for Python {python}")
    with tempfile.TemporaryDirectory(prefix="comfy-lock.") as work:
        return packages.resolve_target(
            name,
            target,
            python=python,
            demands=demands,
            python_section=spec["python"],
            packages=spec["python_packages"],
            index_urls=resolution.python_indexes,
            kept=before["packages"] if before and before["python"] == python else None,
            upgrade=resolution.upgrade,
            work=pathlib.Path(work),
            cache=resolution.cache / "uv",
            site=resolution.builds,
            report=resolution.report,
            access=HttpAccess(resolution.models.credentials, resolution.models.allow_http),
            every_byte=resolution.every_byte,
        )


def _interpreter(target: Document, before: Document | None, resolution: Resolution) -> Document | None:
    """The Python that hosts without one may get."""
    kept = before["interpreter"] if before else None
    access = HttpAccess(resolution.models.credentials, resolution.models.allow_http)
    return interpreters.locked_interpreter(
        resolution.python_mirror, target["python"], target["platform"], kept, resolution.upgrade, access
    )


def _python(target: Document, spec: Document, before: Document | None, resolution: Resolution) -> str:
    declared = target["version"] or spec["python"]["version"]
    if declared:
        return str(declared)
    if before and EVERYTHING not in resolution.upgrade:
        return str(before["python"])
    return resolution.python or resolution.host_python()


def _same_demands(
    spec: Document, previous: Document, name: str, python: str, demands: c.Sequence[packages.Demand]
) -> bool:
    """Whether everything that feeds a target's packages is as it was: then not even the index is asked."""
    before = previous["spec"]
    asked = [(demand.owner, demand.lines) for demand in demands]
    lines = [(each["owner"], tuple(each["lines"])) for each in previous["requirements"] if each["owner"] != SPEC]
    # Who comes later matters where the later line wins.
    in_order = list if spec["python"]["resolution"] == LAYERED else sorted
    return (
        in_order(asked) == in_order(lines)
        and before["python_packages"] == spec["python_packages"]
        and _without_targets(before) == _without_targets(spec)
        and before["python"]["targets"].get(name) == spec["python"]["targets"][name]
        and previous["targets"][name]["python"] == python
    )


def _without_targets(spec: Document) -> Document:
    return {key: value for key, value in spec["python"].items() if key != "targets"}


def _core_entry(wanted: Wanted, locked: Locked) -> Document:
    return {
        "repo": wanted.repo,
        "ref": wanted.ref,
        "commit": locked.commit,
        "submodules": [dict(each) for each in locked.submodules],
    }


def _node_entry(spec: Document, wanted: Wanted, locked: Locked) -> Document:
    directory = wanted.owner.removeprefix(NODE)
    writable = next(node["writable"] for node in spec["custom_nodes"] if node["directory"] == directory)
    return {**_core_entry(wanted, locked), "name": wanted.name, "directory": directory, "writable": list(writable)}


def _requirements(spec: Document, wanted: c.Sequence[Wanted], checkouts: c.Mapping[str, Locked]) -> list[Document]:
    found: list[Document] = []
    for each in wanted:
        locked = checkouts[each.owner]
        if locked.lines:
            found.append({"owner": each.owner, "file": locked.file, "lines": list(locked.lines)})
    own = [entry["requirement"] for entry in spec["python_packages"] if "requirement" in entry]
    if own:
        found.append({"owner": SPEC, "file": None, "lines": own})
    return found


def _refuse_unknown_names(spec: Document, previous: Document | None, upgrade: frozenset[str]) -> None:
    """A name that nothing has would silently upgrade nothing."""
    known = {EVERYTHING, CORE, "ComfyUI", interpreters.UPGRADE}
    for each in wanted_of(spec):
        known |= {each.name, each.owner.removeprefix(NODE)}
    known |= {model["name"] for model in spec["models"]}
    for target in (previous or {}).get("targets", {}).values():
        known |= {package["name"] for package in target["packages"]}
    unknown = sorted(upgrade - known)
    if unknown:
        raise FleetError(
            f"nothing in the lock is called {', '.join(unknown)}",
            where="comfy_lock_upgrade",
            remedy="Name a node, a model, a Python package, core, or all",
        )
