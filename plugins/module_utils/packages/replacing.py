# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room for an environment on a host that can not hold two: what is there goes first (``comfy_space=replace``).

There is no way back then, so nothing goes before everything that is to come is known to be obtainable, and nothing at
all while a program runs from it.
"""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import re
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Need
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_whole
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.running import programs_of
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import freed, human, shortages
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import DIGEST_LENGTH
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import SHIM, Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.batches import batches
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import PART
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import installed_of, local_file
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import (
    discard,
    entry_path,
    sha256_of,
    store_of,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv import Uv, make_virtual_environment
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv_faults import explain

MAKE_ROOM = "make room"
_ENVIRONMENT = re.compile(rf"[0-9a-f]{{{DIGEST_LENGTH}}}")
_SHOWN = 3
_DRY_RUN = ("pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:")


class Old(t.NamedTuple):
    """What may go. environments: their directories. entries: of the store, that the target does not want.

    freed: bytes by device. programs: what runs from an environment, for messages.
    """

    environments: tuple[pathlib.Path, ...]
    entries: tuple[pathlib.Path, ...]
    freed: c.Mapping[int, int]
    programs: tuple[str, ...]

    @property
    def change(self) -> Change:
        """The removal, as a plan has it."""
        names = ", ".join(path.name for path in self.environments)
        before = f"environments {names or 'none'}; {len(self.entries)} stored wheels"
        return Change(PART, MAKE_ROOM, "environments", before=before, after=f"{human(sum(self.freed.values()))} free")

    def faults(self, needs: c.Iterable[Need]) -> list[FleetError]:
        """Why it can not be done: it is not enough either, or in use."""
        short = shortages(needs, self.freed)
        if not self.programs:
            return short
        more = ", ..." if len(self.programs) > _SHOWN else ""
        in_use = FleetError(
            f"these run from an environment that has to make room: {', '.join(self.programs[:_SHOWN])}{more}",
            where=str(self.environments[0].parent),
            remedy="Stop them first: comfy_space=replace leaves nothing to run until the new environment is there",
        )
        return [*short, in_use]


def find_old(context: Context) -> Old:
    """Look for all environments, and for stored wheels that the target does not want."""
    layout = context.layout
    environments = tuple(layout.envs / name for name in _listed(layout.envs) if _ENVIRONMENT.fullmatch(name))
    entries = _unwanted(context)
    return Old(environments, entries, freed((*environments, *entries)), programs_of(environments))


def make_room(
    context: Context,
    uv: Uv,
    interpreter: pathlib.Path,
    missing: c.Sequence[Package],
    before_removal: c.Callable[[], None],
) -> None:
    """Remove what is old, once all of ``missing`` is known to be obtainable. Raises FleetError, or Failures."""
    packages = [package for package in missing if package.source != SHIM]
    raise_all([*_changed_files(context, packages), *_not_offered(context, uv, interpreter, packages)])
    old = find_old(context)
    before_removal()
    for environment in old.environments:
        remove_whole(environment)
    for entry in old.entries:
        discard(entry)


def _changed_files(context: Context, packages: c.Iterable[Package]) -> list[FleetError]:
    """Files that are here already, and have other bytes than the lock."""
    here = [(package, path) for package in packages if (path := local_file(context, package)) is not None]
    return [
        FleetError(
            f"has other bytes for {package.name}=={package.version} than the lock",
            where=str(path),
            remedy="Bring it again; nothing was removed",
        )
        for package, path in here
        if sha256_of(str(path)) != package.sha256
    ]


def _not_offered(
    context: Context, uv: Uv, interpreter: pathlib.Path, packages: c.Sequence[Package]
) -> list[FleetError]:
    """What uv says against fetching the rest; it asks for it and fetches nothing."""
    with tempfile.TemporaryDirectory(dir=context.layout.state, prefix=".asking-") as scratch:
        make_virtual_environment(uv, pathlib.Path(scratch), interpreter)
        where = ("--python", f"{scratch}/bin/python", "--requirements", "-")
        faults = []
        for batch in batches(context, packages):
            done = uv.run(*_DRY_RUN, *batch.options, *where, stdin=batch.requirements)
            if done.returncode != 0:
                faults.append(explain(done.stderr, batch.origin, uv.log))
    return faults


def _unwanted(context: Context) -> tuple[pathlib.Path, ...]:
    """Entries of the store that the target has no use for; none where others may use the store, too."""
    layout = context.layout
    if layout.cache_dir is not None and not _is_below(layout.cache_dir, layout.root):
        return ()
    packages = installed_of(context.target.packages)
    wanted = {entry_path(layout, package, context.target.python).name for package in packages}
    store = store_of(layout)
    names = [name for name in _listed(store) if not name.startswith(".") and (store / name).is_dir()]
    return tuple(store / name for name in names if name not in wanted)


def _is_below(path: pathlib.Path, root: pathlib.Path) -> bool:
    return os.path.realpath(path).startswith(f"{os.path.realpath(root)}/")


def _listed(directory: pathlib.Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
