# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host lacks of a bundle: exactly what its plans need and it does not have."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import pathlib
import platform
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.bundle import names
from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Need, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import has_commit, mirror_path
from ansible_collections.comfyops.fleet.plugins.module_utils.drift import Drift
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.models import plan as models_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.models import wanted as models_wanted
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import plan as packages_plan
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import (
    PUSHED_SOURCES,
    fetched,
    local_file,
    named_by_content,
    pushed,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.interpreter import (
    find_interpreter,
    managed_python,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import damaged, entry_path, read_entry

PART = "bundle"
BRING = "bring"
# What is put in place, and how: a repository's commits go into its mirror, a model into the store.
REPOSITORY, MODEL, FILE, PROGRAM = "repository", "model", "file", "program"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Contained:
    """What a bundle says of its files: name to sha256 and size in bytes. uv_machine: what its uv is for."""

    files: c.Mapping[str, tuple[str, int]]
    uv_machine: str


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A file of the bundle that is to come. path: where it arrives; place: where it goes (of a repository: its URL)."""

    name: str
    kind: str
    path: pathlib.Path
    place: str
    sha256: str
    size: int

    @property
    def have(self) -> int:
        """Bytes of it that are here; what is longer than it can be is nothing."""
        size = size_of(self.path) or 0
        return size if size <= self.size else 0


def plan(arrivals: c.Sequence[Arrival], drift: Drift | None) -> Plan:
    """What is to be brought. drift: None once it has come, when only its place is to be found for it."""
    changes = tuple(Change(PART, BRING, each.name, None, human(each.size)) for each in arrivals)
    if drift is None or not changes:
        return Plan(changes)
    whole = drift.whole()
    here = [Need(each.path.parent, -each.have) for each in arrivals]
    return Plan(changes, (*whole.needs, *here), whole.obstacles, whole.notes)


def arrivals_of(drift: Drift, contained: Contained) -> list[Arrival]:
    """What the host lacks for the plans of ``drift``. Raises FleetError where the bundle is for other hosts."""
    context = drift.context
    needed = [*_repositories(drift), *_packages(drift, contained), *_models(drift)]
    missing = [each for each in needed if each[0] not in contained.files and each[1] != MODEL]
    if missing:
        raise FleetError(
            f"the bundle has no {missing[0][0]}",
            where=f"target {context.target.name}",
            remedy=f"Write it with bundle.yml -e target={context.target.name} as well, or for all targets",
        )
    return [
        Arrival(name, kind, _arrival(context.layout, kind, sha256), place, sha256, size)
        for name, kind, place in needed
        if name in contained.files
        for sha256, size in [contained.files[name]]
    ]


def uv_place(layout: Layout, contained: Contained) -> pathlib.Path:
    """Where the bundle's uv is on the host, as comfy_pip_packages names it, too."""
    return layout.agent / f"uv-{contained.files[names.UV][0][:_DIGITS]}" / "uv"


def size_of(path: pathlib.Path) -> int | None:
    """The size of a file; None where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _arrival(layout: Layout, kind: str, sha256: str) -> pathlib.Path:
    if kind == MODEL:
        # Of this host alone: others may bring the same into a store that they share.
        return layout.partial / f"{sha256}.{_NOT_IN_NAMES.sub('_', platform.node())}.brought"
    return names.waiting(layout) / sha256


def _repositories(drift: Drift) -> c.Iterator[tuple[str, str, str]]:
    context, lock = drift.context, drift.context.lock
    checkouts = [lock.core] if drift.plans["core"].changes else []
    checkouts += lock.nodes if drift.plans["nodes"].changes else []
    wanted = {each.repo for each in checkouts} | {sub.repo for each in checkouts for sub in each.submodules}
    for repo, commits in names.repositories(lock).items():
        mirror = mirror_path(context.layout.git_mirrors, repo)
        if repo in wanted and not all(has_commit(mirror, commit) for commit in commits):
            yield names.repository_name(repo, commits), REPOSITORY, repo


def _packages(drift: Drift, contained: Contained) -> c.Iterator[tuple[str, str, str]]:
    """Wheels, Python and uv, where an environment is to be made."""
    context, changes = drift.context, drift.plans["packages"].changes
    if not any(change.action in (packages_plan.CREATE, packages_plan.REBUILD) for change in changes):
        return
    for package in names.wheels(context.target):
        if local_file(context, package) is None and not _is_stored(context, package):
            # As if the host itself had fetched it, if it could have: it goes once it is in the store.
            directory = (pushed if package.source in PUSHED_SOURCES else fetched)(context.layout)
            yield names.package_name(package), FILE, str(named_by_content(directory, package.sha256, package.file))
    python = context.target.interpreter
    if python is not None and find_interpreter(context) is None:
        place = named_by_content(pushed(context.layout), python.sha256, python.file)
        if size_of(place) is None and not managed_python(context.layout, python).exists():
            yield names.interpreter_name(python), FILE, str(place)
    place = uv_place(context.layout, contained)
    if platform.machine() == contained.uv_machine and size_of(place) != contained.files[names.UV][1]:
        yield names.UV, PROGRAM, str(place)


def _is_stored(context: Context, package: Package) -> bool:
    """Whether the store has it whole: what is damaged there is unpacked again."""
    entry = read_entry(entry_path(context.layout, package, context.target.python))
    return entry is not None and not damaged(entry)


def _models(drift: Drift) -> c.Iterator[tuple[str, str, str]]:
    context = drift.context
    called = {name: sha256 for sha256, name in models_wanted.names(context.lock.models, context.layout).items()}
    for change in drift.plans["models"].changes:
        if change.action == models_plan.FETCH:
            yield names.model_name(called[change.name]), MODEL, called[change.name]
