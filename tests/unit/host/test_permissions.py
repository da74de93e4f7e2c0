# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which another user was at work before: what is in the way is named, and the ways out."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from tests.support import locks
from tests.support.lab.testing import demand_lab
from tests.support.processes import environment

# A module as a host runs it, without the connection.
MODULE = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
module = importlib.import_module(f"ansible_collections.comfyops.fleet.plugins.modules.{sys.argv[1]}")
with patch_module_args(json.loads(sys.argv[2])):
    module.main()
"""
# Without what lets root into the files of others.
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
DRIFT = {"lock": locks.lock(locks.checkout("https://forge.example/core", "0" * 40)), "target": "default"}


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("comfy_gc", {"state": "absent"}),
        ("comfy_gc", {"state": "named"}),
        ("comfy_version", {**DRIFT, "state": "present"}),
        ("comfy_drift", DRIFT),
    ],
)
def test_what_can_not_be_looked_at_is_not_taken_for_missing(
    tmp_path: pathlib.Path, module: str, options: dict[str, t.Any]
) -> None:
    other = of_another_user(tmp_path / "envs", 0o700)
    (fault,) = failures(tmp_path, module, options)
    assert (fault["where"], fault["what"]) == (str(other), "user id 0 may not look here")
    other.chmod(0o755)
    tmp_path.chmod(0o000)
    assert [fault["where"] for fault in failures(tmp_path, module, options)] == [str(tmp_path)]
    tmp_path.chmod(0o755)


def test_what_can_not_be_written_is_named_with_the_way_out(tmp_path: pathlib.Path) -> None:
    other = of_another_user(tmp_path / "envs", 0o755)
    (fault,) = failures(tmp_path, "comfy_gc", {"state": "absent"})
    assert fault["where"] == str(tmp_path)
    assert fault["what"] == f"{other}/0a1b2c3d4e5f: Permission denied"
    assert "run as that one, or give it to user id 0" in fault["remedy"]


def of_another_user(directory: pathlib.Path, mode: int) -> pathlib.Path:
    """A directory that somebody else made, with something in it."""
    # Only root may make files of others.
    demand_lab()
    (directory / "0a1b2c3d4e5f").mkdir(parents=True)
    os.chown(directory, 54321, 54321)
    directory.chmod(mode)
    return directory


def failures(root: pathlib.Path, module: str, options: dict[str, t.Any]) -> list[dict[str, str]]:
    """How the module fails."""
    given = json.dumps({"root": str(root), **options})
    command = [*AS_ANYBODY, sys.executable, "-c", MODULE, module, given]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    faults: list[dict[str, str]] = json.loads(done.stdout)["failures"]
    return faults
