# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the planned packages: an environment beside the old one, proven, then swapped in; then the build's link."""

from __future__ import annotations

import contextlib
import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import ENVIRONMENT_LINK
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import (
    move,
    new_aside,
    remove_tree,
    replace_link,
    swap_in,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import (
    distributions,
    environment_site,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.environment import (
    make_environment,
    remember_links,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.interpreter import find_interpreter
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.managed_python import install_python
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import (
    observe_environment,
    unfinished_environments,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.plan import CREATE, LINK, REBUILD, link_text
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.provided import provided_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.receipt import (
    receipt_path,
    take_fingerprints,
    write_receipt,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.record import read_record
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.replacing import MAKE_ROOM


def apply(context: Context, plan: Plan) -> None:
    """Do what was planned; the caller holds the host's lock. Raises FleetError; what serves then serves as before."""
    for name in unfinished_environments(context.layout):
        remove_tree(context.layout.envs / name)
    actions = {change.action for change in plan.changes}
    if actions & {CREATE, REBUILD}:
        _make(context, replaces=MAKE_ROOM in actions)
    if LINK in actions:
        _link(context)


def _make(context: Context, replaces: bool) -> None:
    interpreter = find_interpreter(context)
    if interpreter is None and context.target.interpreter is not None:
        interpreter = install_python(context, context.target.interpreter)
    if interpreter is None:
        raise FleetError(f"Python {context.target.python} is not on this host any more")

    def keep_edits() -> None:
        if context.environment.is_dir():
            _put_aside(context, context.environment, _edits(context))

    new = make_environment(context, interpreter, keep_edits if replaces else None)
    try:
        edits = _edits(context)
        # Before the environment is in its place: then none ever is there that a look would have to read in full.
        _keep_receipt(context, new)
        old = new.with_name(f"{new.name}.old")
        swap_in(new, context.environment, old)
    except BaseException:
        remove_tree(new)
        raise
    _put_aside(context, old, edits)
    with contextlib.suppress(FileNotFoundError):
        remove_tree(old)
    remember_links(context)


def _keep_receipt(context: Context, environment: pathlib.Path) -> None:
    site = environment_site(environment, context.target.python)
    installed, _unreadable = distributions(site, os.listdir(site), {})
    provided = {package.name for package in provided_of(context)}
    records = {each.name: read_record(site / each.entry) or [] for each in installed if each.name not in provided}
    write_receipt(receipt_path(context.layout, context.environment.name), take_fingerprints(site, records))


def _edits(context: Context) -> list[str]:
    """Files of the environment that is replaced which somebody edited or added, by path in its packages' directory."""
    found = observe_environment(context, deep=context.settings.deep)
    if found is None:
        return []
    return sorted({*found.foreign, *(file for files in found.damaged.values() for file in files)})


def _put_aside(context: Context, old: pathlib.Path, edits: list[str]) -> None:
    site = environment_site(old, context.target.python)
    there = [path for path in edits if os.path.lexists(site / path)]
    if not there:
        return
    aside = new_aside(context.layout.aside) / f"environment-{context.environment.name}"
    for path in there:
        place = os.path.normpath(site / path)
        move(pathlib.Path(place), aside / os.path.relpath(place, old))


def _link(context: Context) -> None:
    link = context.home / ENVIRONMENT_LINK
    if link.exists() and not link.is_symlink():
        move(link, new_aside(context.layout.aside) / context.home.name / link.name)
    try:
        replace_link(link, link_text(context))
    except OSError as error:
        raise FleetError(
            f"a symbolic link can not be made ({error.strerror})",
            where=str(link),
            remedy="Builds and environments need a file system with symbolic links: put comfy_root on one; models and "
            "comfy_cache_dir may stay on another",
        ) from error
