# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an environment of the store's wheels, beside those that serve, and prove that it is what the lock says."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import flush_file_system, remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import (
    Environment,
    package_changes,
    python_fits,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import environment_site
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import fetched, installed_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.imports import import_faults, import_modules
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.indexes import netrc
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.look import inspect
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.pip_settings import keep_out
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.placing import COPY, Placed, link_mode, place
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.provided import link_provided
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.replacing import make_room
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import (
    Entry,
    damaged,
    discard,
    entry_path,
    look_again,
    read_entry,
    store_of,
    write_list,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.torch_build import other_torch
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.unpacking import unpack
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv import (
    Uv,
    make_virtual_environment,
    uv_cache,
)


def making_prefix(environment: pathlib.Path) -> str:
    """What the names of directories begin with that are to become ``environment``."""
    return f".{environment.name}."


def make_environment(
    context: Context, interpreter: pathlib.Path, before_removal: c.Callable[[], None] | None = None
) -> pathlib.Path:
    """An environment with the target's packages in a directory of its own, proven; its caller renames it into place.

    before_removal: given, the environments that there are go first, and this is done last before it. Raises FleetError;
    then nothing is left but what has come into the store.
    """
    layout = context.layout
    for directory in (layout.envs, store_of(layout)):
        directory.mkdir(parents=True, exist_ok=True)
    with Uv(context, netrc(context)) as uv:
        if before_removal is not None:
            make_room(context, uv, interpreter, _missing(context, _sound(context)), before_removal)
        entries = _stock(context, uv, interpreter)
        environment = pathlib.Path(tempfile.mkdtemp(dir=layout.envs, prefix=making_prefix(context.environment)))
        try:
            make_virtual_environment(uv, environment, interpreter)
            mode = link_mode(store_of(layout), layout.envs)
            _furnish(environment, entries, mode)
            link_provided(context, environment, environment_site(environment, context.target.python))
            keep_out(environment)
            _prove(context, environment, deep=mode == COPY)
            raise_all(import_faults(import_modules(context, environment)))
            flush_file_system(environment)
        except BaseException:
            remove_tree(environment)
            raise
        # All that these had is in the store now, and what is damaged there must not come from them again.
        remove_tree(uv_cache(layout))
        remove_tree(fetched(layout))
    return environment


def remember_links(context: Context) -> None:
    """Know the store's files by what they look like now that environments have come and gone.

    Otherwise all would be read before they are used the next time.
    """
    for entry in _entries(context).values():
        now = look_again(entry, proven=False)
        if now != entry:
            write_list(now)


def _stock(context: Context, uv: Uv, interpreter: pathlib.Path) -> list[Entry]:
    """The entries of all packages, each file of them as it should be, in the order of the packages' names."""
    packages = installed_of(context.target.packages)
    sound = _sound(context)
    missing = _missing(context, sound)
    if missing:
        unpack(context, uv, interpreter, missing)
        sound.update(_sound(context, {package.name for package in missing}))
    return [sound[package.name] for package in packages]


def _missing(context: Context, sound: c.Collection[str]) -> list[Package]:
    return [package for package in installed_of(context.target.packages) if package.name not in sound]


def _sound(context: Context, names: c.Collection[str] | None = None) -> dict[str, Entry]:
    """The entries whose files are as they should be, by name of the package; what is damaged is taken out."""
    sound = {}
    for name, entry in _entries(context, names).items():
        if damaged(entry):
            discard(entry.directory)
            continue
        sound[name] = look_again(entry, proven=True)
        if sound[name] != entry:
            write_list(sound[name])
    return sound


def _entries(context: Context, names: c.Collection[str] | None = None) -> dict[str, Entry]:
    found = {}
    for package in installed_of(context.target.packages):
        if names is None or package.name in names:
            entry = read_entry(entry_path(context.layout, package, context.target.python))
            if entry is not None:
                found[package.name] = entry
    return found


def _furnish(environment: pathlib.Path, entries: c.Sequence[Entry], mode: str) -> None:
    """Place the entries' files. What two of them have is the later one's, as if they were installed in that order."""
    placed: dict[str, Placed] = {}
    for entry in entries:
        for path, file in entry.files.items():
            placed[path] = Placed(f"{entry.directory}/{path}", f"{environment}/{path}", file.mode)
    for directory in sorted({os.path.dirname(each.destination) for each in placed.values()}):
        os.makedirs(directory, exist_ok=True)
    # Activation scripts of the empty environment, which a package may have in another form.
    for path in placed.keys() & {f"bin/{name}" for name in os.listdir(environment / "bin")}:
        (environment / path).unlink()
    place(list(placed.values()), mode)


def _prove(context: Context, environment: pathlib.Path, deep: bool) -> None:
    """Read back names, versions, and files: existence and size, and where they were copied each byte.

    Raises FleetError when something is not what the lock says.
    """
    target = context.target
    found = inspect(context, environment, None, deep=deep)
    listed = Environment(found.python, found.fault, found.versions)
    wrong = [f"{each.name} is {each.before or 'missing'}" for each in package_changes(target, listed)]
    wrong += [f"{entry} is of no package" for entry in found.foreign]
    wrong += [f"{name}: {', '.join(files[:3])}" for name, files in sorted(found.damaged.items())]
    torch = other_torch(environment_site(environment, target.python), target)
    wrong += [torch] if torch else []
    if not python_fits(target, found):
        wrong.append(found.fault or f"its Python is {found.python}, not {target.python}")
    if wrong:
        raise FleetError(
            f"the new environment is not what the lock says: {', '.join(wrong[:10])}",
            where=str(context.layout.envs),
            remedy="Either the disk is failing, or a wheel writes what is another's: lock another version of it",
        )
