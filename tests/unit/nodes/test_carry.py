# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run-time data goes along with a switch, while what serves goes on writing and removing its own."""

from __future__ import annotations

import subprocess
import sys
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.current.carry import carry
from tests.support.processes import environment
from tests.unit.nodes.conftest import Host, converge

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context

# A node at work: it makes and removes files in its own folder until its input ends.
NODE = """
import pathlib, select, sys
place = pathlib.Path(sys.argv[1])
print("at work", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for number in range(300):
        (place / f"{number}.tmp").write_bytes(b"x")
    for number in range(300):
        (place / f"{number}.tmp").unlink()
"""
KEPT = "custom_nodes/palette/learned.json"


def two(host: Host) -> tuple[Context, Context]:
    """A build that serves, and the one that is to serve."""
    outgoing = host.context()
    converge(outgoing)
    (outgoing.home / KEPT).write_text("{}")
    host.node.commit({"more.py": "MORE = 1\n"})
    incoming = host.context()
    converge(incoming)
    return outgoing, incoming


def test_files_that_come_and_go_stop_no_switch(host: Host) -> None:
    outgoing, incoming = two(host)
    with subprocess.Popen(
        [sys.executable, "-c", NODE, str(outgoing.home / KEPT).rpartition("/")[0]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as node:
        assert node.stdout is not None
        assert node.stdin is not None
        assert node.stdout.readline() == b"at work\n"
        try:
            for _switch in range(10):
                carry(incoming, outgoing.home, outgoing.lock)
        finally:
            node.stdin.close()
    assert (incoming.home / KEPT).read_text() == "{}"
    assert list(incoming.home.rglob("*.tmp")), "it was at work all the time"
    assert not list(incoming.home.rglob(".comfy-carry.*"))
