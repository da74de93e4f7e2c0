# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is, and which Pythons it has."""

from __future__ import annotations

import subprocess
import sys

from tests.support.lab.testing import demand_lab
from tests.support.processes import environment

FIND = """
import os
from ansible_collections.comfyops.fleet.plugins.module_utils.host.facts import find_python
os.setuid(54321)
find_python("3.12")
"""


def test_pythons_are_looked_for_without_a_home_too() -> None:
    # Only root may become somebody else.
    demand_lab()
    variables = {name: value for name, value in environment().items() if name != "HOME"}
    done = subprocess.run([sys.executable, "-c", FIND], env=variables, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
