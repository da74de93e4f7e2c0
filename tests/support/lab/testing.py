# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For tests that need the lab: they fail where it cannot run, unless the user said to do without it."""

from __future__ import annotations

import pytest

from .errors import LabError
from .requirements import SWITCH, require, switched_off


def demand_lab() -> None:
    """Skip with ``COMFY_LAB=off``; else fail, with what to do, where the lab cannot run. Call it before making one."""
    if switched_off():
        pytest.skip(f"needs the fleet lab, which {SWITCH}=off leaves out")
    try:
        require()
    except LabError as error:
        pytest.fail(str(error), pytrace=False)
