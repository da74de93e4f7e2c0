# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task of the control node that meets what the machine refuses: an error as any other, not a traceback."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def test_a_place_that_cannot_be_written_is_told_with_what_to_do(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    program = pathlib.Path(sys.executable).with_name("ansible")
    option = f"path={tmp_path / 'file' / 'report.json'}"
    command = [str(program), "localhost", "-i", "localhost,", "-m", "comfyops.fleet.comfy_report", "-a", option]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2, said
    assert f"{tmp_path / 'file'}: File exists. See on the control node who may read and write there" in said
