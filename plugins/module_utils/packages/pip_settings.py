# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment that serves is not installed into: pip in it is told to find nothing.

Nodes do install when they start. ComfyUI-Manager 3 puts a numpy below 2 into every environment that has a newer one,
whatever it is configured to (glob/manager_util.py, PIPFixer.fix_broken), and what needs the newer one breaks.
"""

from __future__ import annotations

import pathlib

# Where pip looks for settings of the environment that it runs in (pip's documentation, "Configuration", site).
_FILE_NAME = "pip.conf"
_TEXT = """\
# This environment is what a lock says. Something that is installed into it would be drift, and may break what is there.
# Name the package in the spec (python_packages), lock and realize it. comfyops.fleet wrote this file.
[install]
no-index = true
"""


def keep_out(environment: pathlib.Path) -> None:
    """Let pip of the environment install nothing that is not there already."""
    (environment / _FILE_NAME).write_text(_TEXT, "ascii")


def is_kept_out(environment: pathlib.Path) -> bool:
    """Whether the environment's settings for pip are as L(keep_out) leaves them."""
    try:
        return (environment / _FILE_NAME).read_text("utf-8") == _TEXT
    except (OSError, ValueError):
        return False
