# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring wheels into the store: uv installs what is missing into a scratch environment, and what is sound goes there.

So what the store has is what uv makes of a wheel (scripts, data, ``.data`` directories), read back file by file against
its RECORD, with bytecode, and the same on all hosts.
"""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import re
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import SHIM, Package
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.batches import Batch, batches
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.bytecode import compile_bytecode
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import environment_site
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.fetch import fetch_from_mirrors
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.harvest import Damaged, Harvest, scratch_prefix
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import (
    PUSHED_SOURCES,
    fetched,
    local_file,
    named_by_content,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.shim import write_shim
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import store_of
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv import Uv, make_virtual_environment
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv_faults import explain, unusable_package

_INSTALL = ("pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:")


def unpack(context: Context, uv: Uv, interpreter: pathlib.Path, packages: c.Sequence[Package]) -> None:
    """Bring the wheels of ``packages`` into the store.

    What does not come out as its wheel records it is tried once more by itself, with fresh bytes: the cache of uv may
    be damaged, or another of these packages brings the same file. Raises FleetError, or Failures with all that fails;
    the others are in the store then.
    """
    _remove_scratch(context.layout)
    raise_all([fault for package in packages for fault in _not_pushed(context, package)])
    for package in packages:
        if package.source == SHIM:
            write_shim(package, named_by_content(fetched(context.layout), package.sha256, package.file))
    fetch_from_mirrors(context, packages)
    faults, damaged = _unpack_together(context, uv, interpreter, packages)
    left: dict[str, c.Sequence[str]] = {}
    for name in sorted(damaged):
        uv.run("cache", "clean", name)
        alone = [package for package in packages if package.name == name]
        more, still = _unpack_together(context, uv, interpreter, alone)
        faults += more
        left.update(still)
    if left:
        faults.append(_faulty_wheels(left, uv.log))
    raise_all(faults)


def _not_pushed(context: Context, package: Package) -> list[FleetError]:
    if package.source not in PUSHED_SOURCES or local_file(context, package) is not None:
        return []
    return [
        FleetError(
            "is on the control node alone and did not come from there",
            where=str(package.file),
            remedy="Run again: comfyops.fleet.comfy_pip_packages brings it, what was here was damaged or removed",
        )
    ]


def _unpack_together(
    context: Context, uv: Uv, interpreter: pathlib.Path, packages: c.Sequence[Package]
) -> tuple[list[FleetError], Damaged]:
    """What failed, and the files of what came out damaged; all else is in the store."""
    scratch = pathlib.Path(tempfile.mkdtemp(dir=store_of(context.layout), prefix=scratch_prefix()))
    try:
        make_virtual_environment(uv, scratch, interpreter)
        failed: list[FleetError] = []
        for batch in batches(context, packages):
            failed += _install(uv, scratch, batch)
        compile_bytecode(scratch, environment_site(scratch, context.target.python))
        faults, damaged = Harvest(context, scratch).bring_in(packages)
        # What is not there because it could not be had is no further fault.
        return failed or faults, damaged
    finally:
        remove_tree(scratch)


def _install(uv: Uv, scratch: pathlib.Path, batch: Batch) -> list[FleetError]:
    """Why the batch could not be installed. What uv has in its cache and can not use is fetched again."""
    cleaned: set[str | None] = {None}
    while True:
        where = ("--python", str(scratch / "bin" / "python"), "--requirements", "-")
        done = uv.run(*_INSTALL, *batch.options, *where, stdin=batch.requirements)
        if done.returncode == 0:
            return []
        name = unusable_package(done.stderr)
        if name in cleaned:
            return [explain(done.stderr, batch.origin, uv.log)]
        uv.run("cache", "clean", str(name))
        cleaned.add(name)


def _faulty_wheels(damaged: Damaged, log: pathlib.Path) -> FleetError:
    names = "; ".join(f"{name}: {', '.join(files[:3]) or 'metadata'}" for name, files in sorted(damaged.items())[:5])
    return FleetError(
        f"freshly installed files are not as their wheels record them: {names}",
        remedy=f"Either the disk is failing, or these wheels are faulty: lock others. uv's whole output: {log}",
    )


def _remove_scratch(layout: Layout) -> None:
    """What killed runs of this host left in the store."""
    mine = re.compile(re.escape(scratch_prefix().rpartition(f"{os.getpid()}-")[0]) + r"(\d+)-")
    for name in os.listdir(store_of(layout)):
        found = mine.match(name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            remove_tree(store_of(layout) / name)
