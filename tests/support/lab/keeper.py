# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that keeps a lab together and takes all of it away when it ends.

``python -m tests.support.lab.keeper DIRECTORY CACHE OWNER`` starts a second process, the *first* of a new pid
namespace, in a new mount and a new network namespace. Hosts run inside those. When the keeper's standard input comes
to its end (its owner has ended, in whatever way) or it gets SIGTERM, it kills that first process: the kernel then kills
all that runs in the pid namespace, and the mounts and devices go with the namespaces, since nothing else holds them.
With ``-`` as OWNER nobody holds the lab's standard input: it stays until SIGTERM.

The first process does nothing but to be there and to leave the reaping of orphans to the kernel.
Sources: pid_namespaces(7), mount_namespaces(7), network_namespaces(7).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from . import cgroups, kernel
from .commands import environment
from .errors import LabError
from .network import BRIDGE, CONTROL_ADDRESS, PREFIX_LENGTH
from .processes import PROC, Process, identity, kill_families, running, wait_until
from .record import Record, Registry

TEARDOWN_SECONDS = 10


def main(arguments: list[str]) -> int:
    """Keep the lab of ``DIRECTORY``; the exit status is 0 when all of it is gone."""
    directory, cache, owner = Path(arguments[0]), Path(arguments[1]), arguments[2]
    ended, end = os.pipe()
    signal.signal(signal.SIGTERM, lambda _number, _frame: _notify(end))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control_groups = tuple(group / f"comfyops-fleet-lab-{os.getpid()}" for group in cgroups.own())
    first = _start_first()
    keeper = identity(os.getpid())
    if keeper is None:
        raise LabError("/proc does not show this process: is it mounted?")
    record = Record(directory=directory, keeper=keeper, first=first, control_groups=control_groups)
    with (PROC / str(first) / "ns/net").open() as network:
        Registry(cache).add(record)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        select.select([ended] if owner == "-" else [ended, sys.stdin.fileno()], [], [])
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        _end_visitors(os.fstat(network.fileno()).st_ino, spared={os.getpid(), *({int(owner)} if owner != "-" else ())})
    Registry(cache).sweep(record)
    return 0


def _notify(end: int) -> None:
    os.write(end, b"end")


def _start_first() -> int:
    """Start the first process of the lab's namespaces and give its pid once those are set up."""
    kernel.unshare(kernel.CLONE_NEWPID)
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        _be_first(done)
    os.close(done)
    with os.fdopen(ready) as stream:
        if stream.read() != "ready":
            os.waitpid(pid, 0)
            raise LabError("the lab's namespaces could not be set up; the lines above say why")
    return pid


def _be_first(done: int) -> None:
    """Set the namespaces up, say so on ``done``, and stay."""
    status = 1
    try:
        kernel.die_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET)
        _set_up()
        # The kernel reaps the orphans of the namespace itself when their parent ignores SIGCHLD.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(null, standard)
        os.write(done, b"ready")
        os.close(done)
        while True:
            signal.pause()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n{getattr(error, 'stderr', '') or ''}\n")
    finally:
        os._exit(status)


def _set_up() -> None:
    """Mounts that no other namespace sees, and the network that the hosts are plugged into."""
    steps = [
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "proc", "proc", "/proc"],
        ["mount", "-t", "tmpfs", "tmpfs", "/run"],
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", BRIDGE, "type", "bridge"],
        ["ip", "address", "add", f"{CONTROL_ADDRESS}/{PREFIX_LENGTH}", "dev", BRIDGE],
        ["ip", "link", "set", BRIDGE, "up"],
    ]
    for step in steps:
        subprocess.run(step, check=True, env=environment(), capture_output=True, text=True)
    Path("/run/netns").mkdir()
    # A host that calls an address outside, or asks for a name, is told at once that there is no way; it would wait for
    # seconds if nobody answered, and the kernel answers one in a second only.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    Path("/proc/sys/net/ipv4/icmp_ratelimit").write_text("0")


def _end_visitors(network: int, spared: set[int]) -> None:
    """Kill what was started in the control namespace from outside, such as servers and shared ssh connections."""

    def visitors(around: list[Process]) -> list[Process]:
        return [process for process in around if process.network_namespace == network and process.pid not in spared]

    kill_families(visitors)
    wait_until(lambda: not visitors(running()), TEARDOWN_SECONDS, "processes in the lab's network do not end")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
