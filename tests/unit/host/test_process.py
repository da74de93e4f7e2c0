# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are run for us: what went wrong is said."""

from __future__ import annotations

import pathlib
import sys

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import run


def test_a_program_that_is_not_there_is_to_be_installed(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FleetError, match=r"^no-such-program is not there. Install no-such-program on this host$"):
        run(("no-such-program",), cwd=tmp_path)


def test_a_directory_that_is_not_there_is_no_missing_program(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FleetError, match=rf"^{tmp_path}/gone: the directory is not there. Somebody removed it"):
        run((sys.executable, "-c", "pass"), cwd=tmp_path / "gone")
