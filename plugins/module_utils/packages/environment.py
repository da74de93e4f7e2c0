# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an environment with uv, beside those that serve, and prove that it is what the lock says."""

from __future__ import annotations

import collections.abc as c
import ctypes
import os
import pathlib
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree, write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import Completed
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.batches import Batch, batches
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.bytecode import compile_bytecode
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.compare import (
    Environment,
    package_changes,
    python_fits,
    wanted_versions,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import environment_site
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.indexes import netrc
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.look import inspect
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv import Uv
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.uv_faults import explain, unusable_package

_INSTALL = ("pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:")


def making_prefix(environment: pathlib.Path) -> str:
    """What the names of directories begin with that are to become ``environment``."""
    return f".{environment.name}."


def make_environment(context: Context, interpreter: pathlib.Path) -> pathlib.Path:
    """An environment with the target's packages in a directory of its own, proven; its caller renames it into place.

    A file that is not as its wheel recorded it came from uv's cache, where a stray edit through a hard link ends up:
    what is damaged is taken out of the cache, and all is done once more. Raises FleetError; then nothing is left.
    """
    context.layout.envs.mkdir(parents=True, exist_ok=True)
    with Uv(context, netrc(context)) as uv:
        for retry in (True, False):
            prefix = making_prefix(context.environment)
            environment = pathlib.Path(tempfile.mkdtemp(dir=context.layout.envs, prefix=prefix))
            try:
                damaged = _fill(context, uv, environment, interpreter, retry)
                if not damaged:
                    compile_bytecode(environment, environment_site(environment, context.target.python))
                    _flush(environment)
                    return environment
                if not retry:
                    raise _faulty_wheels(damaged, uv.log)
            except BaseException:
                remove_tree(environment)
                raise
            remove_tree(environment)
            uv.run("cache", "clean", *sorted(damaged))
    raise FleetError("no attempt was made", where=str(context.environment))


def _fill(
    context: Context, uv: Uv, environment: pathlib.Path, interpreter: pathlib.Path, retry: bool
) -> c.Mapping[str, tuple[str, ...]]:
    """Create and install; the result is distribution to damaged files. retry: what uv can not use counts as damaged."""
    # mkdtemp makes it for its owner alone, and ComfyUI may run as another user.
    environment.chmod(0o755)
    options = ("--relocatable", "--no-project", "--allow-existing", "--python", str(interpreter))
    made = uv.run("venv", *options, str(environment))
    if made.returncode != 0:
        raise explain(made.stderr, str(interpreter), uv.log)
    faults = []
    unusable: dict[str, tuple[str, ...]] = {}
    for batch in batches(context):
        done = _install(uv, environment, batch)
        name = unusable_package(done.stderr) if done.returncode != 0 and retry else None
        if name:
            unusable[name] = ()
        elif done.returncode != 0:
            faults.append(explain(done.stderr, batch.origin, uv.log))
    raise_all(faults)
    return unusable or _prove(context, environment)


def _install(uv: Uv, environment: pathlib.Path, batch: Batch) -> Completed:
    requirements = environment / ".requirements.txt"
    write_text(requirements, batch.requirements)
    where = ("--python", str(environment / "bin" / "python"), "--requirements", str(requirements))
    done = uv.run(*_INSTALL, *batch.options, *where)
    requirements.unlink()
    return done


def _prove(context: Context, environment: pathlib.Path) -> c.Mapping[str, tuple[str, ...]]:
    """Read back names, versions and every file; the result is distribution to damaged files."""
    target = context.target
    site = environment_site(environment, target.python)
    found = inspect(environment, site, wanted_versions(target), None, deep=True)
    sound = Environment(found.python, found.fault, found.versions)
    wrong = [f"{change.name} is {change.before or 'missing'}" for change in package_changes(target, sound)]
    wrong += [f"{entry} is of no package" for entry in found.foreign]
    if not python_fits(target, found):
        wrong.append(found.fault or f"its Python is {found.python}, not {target.python}")
    if wrong:
        raise FleetError(
            f"the new environment is not what the lock says: {', '.join(wrong[:10])}",
            remedy="A wheel's content is not what its name says; lock again, and report it to its index",
        )
    return found.damaged


def _faulty_wheels(damaged: c.Mapping[str, tuple[str, ...]], log: pathlib.Path) -> FleetError:
    names = "; ".join(f"{name}: {', '.join(files[:3]) or 'metadata'}" for name, files in sorted(damaged.items())[:5])
    return FleetError(
        f"freshly installed files are not as their wheels record them: {names}",
        remedy=f"Either the disk is failing, or these wheels are faulty: lock others. uv's whole output: {log}",
    )


def _flush(directory: pathlib.Path) -> None:
    """Have the file system write what it holds back, so that a power cut after the rename can not leave empty files."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    except (AttributeError, OSError):
        os.sync()
    finally:
        os.close(descriptor)
