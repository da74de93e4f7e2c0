# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This checkout: where it is, and which files belong to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "comfyops.fleet"
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__")
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))


def tool(name: str) -> str:
    """Give the path of a command line tool that is installed beside the running Python."""
    return str(Path(sys.executable).with_name(name))


def files() -> list[Path]:
    """Give the files that git has or would take, relative to ROOT: neither ignored ones nor those that were deleted."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    names = {os.fsdecode(name) for name in listing.split(b"\0") if name}
    return sorted(Path(name) for name in names if os.path.lexists(ROOT / name))


def report(title: str, problems: list[str]) -> int:
    """Print the problems, or that there are none; give the exit code."""
    for problem in problems:
        print(problem)
    print(f"{title}: {len(problems)} problems" if problems else f"{title}: passed")
    return 1 if problems else 0
