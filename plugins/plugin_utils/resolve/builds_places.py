# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where wheels are built: on the control node, or on a host of the target that the user names."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import pathlib
import shutil
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import find_python
from ansible_collections.comfyops.fleet.plugins.module_utils.wheels.build import (
    Interpreter,
    Order,
    Outcome,
    build,
    describe,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv


class Builder(t.Protocol):
    """A machine that builds. ``name``: for messages."""

    @property
    def name(self) -> str: ...

    def interpreter(self, python: str) -> Interpreter | None:
        """Its Python of a version (``3.12`` or ``3.12.4``), None where it has none."""

    def build(self, order: Order, interpreter: Interpreter, directory: pathlib.Path) -> Outcome:
        """Build; a wheel that comes out is put into ``directory``. All paths are of the control node."""


class ControlNode:
    """This machine."""

    name = "the control node"

    def __init__(self) -> None:
        self._found: dict[str, Interpreter | None] = {}

    def interpreter(self, python: str) -> Interpreter | None:
        """Its Python of a version."""
        if python not in self._found:
            path = find_python(python)
            self._found[python] = describe(path) if path else None
        return self._found[python]

    def build(self, order: Order, interpreter: Interpreter, directory: pathlib.Path) -> Outcome:
        """Build in a directory that is gone afterwards."""
        with _work() as work:
            outcome = build(order, interpreter, pathlib.Path(find_uv()), work)
            if outcome.wheel is None:
                return outcome
            kept = pathlib.Path(shutil.copy(outcome.wheel, directory))
            return dataclasses.replace(outcome, wheel=kept)


@contextlib.contextmanager
def _work() -> c.Iterator[pathlib.Path]:
    work = pathlib.Path(tempfile.mkdtemp(prefix="comfy-build."))
    try:
        yield work
    finally:
        # A build may leave directories that nobody may write.
        remove_tree(work)


def choose(builders: c.Sequence[Builder], environment: TargetEnvironment, label: str) -> tuple[Builder, Interpreter]:
    """The builder for a target, of those that have its machine type and Python: the first whose glibc is not newer.

    Where all have a newer one, the last, which is the host that the user named; what it makes may still fit (most
    packages have no libraries), and that is seen on the wheel. Raises FleetError when none has both.
    """
    fitting = []
    seen = []
    # Wheels are for a minor version; any of its releases makes them.
    python = ".".join(environment.python.split(".")[:2])
    for builder in builders:
        found = builder.interpreter(python)
        if found is None:
            seen.append(f"{builder.name} has no Python {python}")
        elif found.machine != environment.machine:
            seen.append(f"{builder.name} is {found.machine}")
        else:
            fitting.append((builder, found))
    if not fitting:
        raise FleetError(
            f"has to be built for Python {python} on {environment.machine}: {'; '.join(seen)}",
            where=label,
            remedy="Set comfy_builder to the inventory name of a host that has both, or install that Python on the"
            " control node",
        )
    safe = [each for each in fitting if glibc_minor(each[1]) <= environment.glibc]
    return safe[0] if safe else fitting[-1]


def glibc_minor(interpreter: Interpreter) -> int:
    """The number after ``2.`` of the glibc that an interpreter runs with; a large one for other C libraries."""
    name, _space, version = interpreter.libc.partition(" ")
    minor = version.partition(".")[2].partition(".")[0]
    return int(minor) if name == "glibc" and minor.isdecimal() else 999
