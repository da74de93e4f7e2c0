# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the files that name Python packages: python -m tests.checks.requirement_files.

The execution environment has the libraries of the control node's set; the test set has all of the control set, at the
same versions, so that whoever has the first needs not install the second; uv is installed by the uv that the set has.
"""

from __future__ import annotations

import typing as t

import yaml
from packaging.requirements import Requirement

from tests.checks.checkout import ROOT, report

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETS = ROOT / "requirements"


def requirements(path: Path) -> set[str]:
    """Give the names and versions in a requirements file, without their hashes and markers."""
    lines = (line.partition("#")[0].strip(" \\\n") for line in path.read_text(encoding="utf-8").splitlines())
    parsed = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {f"{requirement.name}{requirement.specifier}" for requirement in parsed}


def environment_problems() -> Iterator[str]:
    """Compare what the execution environment is given with what the control node's set asks for."""
    described = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text(encoding="utf-8"))
    path = described["dependencies"]["python"]
    wanted = requirements(SETS / "control.in") - {"ansible-core"}
    for name in sorted(wanted ^ requirements(ROOT / path)):
        yield f"{name} is in only one of requirements/control.in and {path}"


def lock_problems() -> Iterator[str]:
    """Compare the locked sets with each other."""
    control = requirements(SETS / "control.txt")
    for name in sorted(control - requirements(SETS / "test.txt")):
        yield f"{name} is in requirements/control.txt, but not in requirements/test.txt (make requirements)"
    for name in sorted(requirements(SETS / "uv.txt") - control):
        yield f"{name} is in requirements/uv.txt, but not in requirements/control.txt (make requirements)"


def main() -> int:
    """Compare everything."""
    return report("requirement files", [*environment_problems(), *lock_problems()])


if __name__ == "__main__":
    raise SystemExit(main())
