# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts pip into a new virtual environment of ansible-test, from a wheel.

ansible-test looks for get_pip_<version>.py in its cache before it downloads one, and runs it with the Python of the new
environment. tests.checks.sanity puts a copy of this file there under that name, and the wheel of the version beside it.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Install the wheel with the pip that is in it. The arguments, which name the version once more, are not needed."""
    version = Path(__file__).stem.removeprefix("get_pip_").replace("_", ".")
    wheel = next(Path(__file__).parent.glob(f"pip-{version}-*.whl"))
    sys.path.insert(0, str(wheel))
    sys.argv = ["pip", "install", "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel)]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
