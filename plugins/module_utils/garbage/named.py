# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What locks name, as the names that hosts have for it. The same on every host, whatever its directories are."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import mirror_path
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import build_name
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import PUSHED_SOURCES, named_by_content
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.interpreter import managed_python
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import entry_path

_NOWHERE = Layout(pathlib.Path())


@dataclasses.dataclass(frozen=True)
class Named:
    """builds: names. models: sha256. wheels, pythons, repositories: directories. files: directories of held wheels.

    linked: sha256 of models that no lock need name, because links of other hosts lead to them.
    """

    builds: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    wheels: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    pythons: frozenset[str] = frozenset()
    repositories: frozenset[str] = frozenset()
    linked: frozenset[str] = frozenset()

    def __or__(self, other: Named) -> Named:
        """What either of them names."""
        return Named(*(getattr(self, name) | getattr(other, name) for name in FIELDS))

    def result(self) -> dict[str, list[str]]:
        """As modules pass it on."""
        return {name: sorted(getattr(self, name)) for name in FIELDS}


FIELDS = tuple(field.name for field in dataclasses.fields(Named))


def names_of(lock: Lock) -> Named:
    """What ``lock`` names, for all of its targets."""
    targets = list(lock.targets.values())
    packages = [(package, target) for target in targets for package in target.packages if package.sha256]
    interpreters = [target.interpreter for target in targets if target.interpreter]
    held = [(package.sha256, package.file) for package, _target in packages if package.source in PUSHED_SOURCES]
    held += [(each.sha256, each.file) for each in interpreters]
    checkouts = (lock.core, *lock.nodes)
    repositories = [one.repo for one in checkouts] + [each.repo for one in checkouts for each in one.submodules]
    return Named(
        builds=frozenset(build_name(lock, target) for target in targets),
        models=frozenset(model.sha256 for model in lock.models),
        wheels=frozenset(entry_path(_NOWHERE, package, target.python).name for package, target in packages),
        files=frozenset(named_by_content(pathlib.Path(), *each).parent.name for each in held),
        pythons=frozenset(managed_python(_NOWHERE, each).name for each in interpreters),
        repositories=frozenset(mirror_path(pathlib.Path(), repo).name for repo in repositories),
    )


def read_names(given: c.Mapping[str, c.Iterable[str]]) -> Named:
    """What ``Named.result`` said."""
    return Named(*(frozenset(given.get(name, ())) for name in FIELDS))
