# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found on a host's disk while others are at work there, and what its removal gives."""

from __future__ import annotations

import pathlib
import subprocess
import sys

from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from tests.support.processes import environment

# A program that makes and removes what looks like entries of a store, as other hosts do, until its input ends.
OTHER_HOST = """
import os, pathlib, select, shutil, sys
store = pathlib.Path(sys.argv[1])
print("at work", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for number in range(40):
        place = store / f"{number:02}" / "entry"
        place.mkdir(parents=True)
        (place / "file").write_bytes(b"x")
    for number in range(40):
        shutil.rmtree(store / f"{number:02}")
"""


def test_looking_goes_on_while_another_host_removes(tmp_path: pathlib.Path) -> None:
    layout = Layout(tmp_path / "root", shared_root=tmp_path / "shared")
    layout.store.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_HOST, str(layout.store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"at work\n"
        seen = [len(observe(layout, 0).items) for _look in range(200)]
        other.stdin.close()
    assert max(seen) > 0
    assert len(set(seen)) > 1, "it was at work all the time"
