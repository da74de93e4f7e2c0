# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one host of the lab: ``python -m tests.support.lab.supervisor FILE``, run inside the lab's namespaces.

Makes the host's network and file tree when they are not there yet, boots its systemd in them, boots it again when it
asks for a reboot, and ends when it powers off. FILE is a ``Machine`` as JSON; beside it lie the host's files: ``upper``
(what differs from the base tree), ``console.log`` and ``boots`` (how many boots have come to their end so far).
Sources: systemd-nspawn(1), sd_notify(3), overlayfs (Documentation/filesystems/overlayfs.rst of Linux).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path

from . import cgroups
from .commands import environment, run
from .errors import LabError
from .machine import Machine
from .network import CONTROL_ADDRESS, configure, plug

# systemd-nspawn's status when the container asked for a reboot and --keep-unit leaves that to the caller.
REBOOT = 133
# Without fsync: what a host wrote is only wanted for as long as the lab lives.
_OVERLAY_OPTIONS = "volatile"


def main(arguments: list[str]) -> int:
    """Run the host of the file named by the one argument until it powers off."""
    path = Path(arguments[0])
    machine, directory = Machine.read(path), path.parent
    for group in machine.control_groups:
        cgroups.join(Path(group))
    root = directory / "root"
    if not root.is_mount():
        _make_network(machine)
        _make_tree(machine, directory, root)
    run(["ip", "link", "set", machine.name, "up"])
    while _boot(machine, directory, root) == REBOOT:
        pass
    return 0


def _make_network(machine: Machine) -> None:
    run(["ip", "-batch", "-"], stdin=plug(machine.name).encode())
    run(["ip", "-n", machine.name, "-batch", "-"], stdin=configure(machine.address).encode())


def _make_tree(machine: Machine, directory: Path, root: Path) -> None:
    """Lay the host's own files over the base tree."""
    for name in ("upper", "work", "root"):
        (directory / name).mkdir()
    options = f"lowerdir={machine.base},upperdir={directory}/upper,workdir={directory}/work,{_OVERLAY_OPTIONS}"
    try:
        run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)])
    except LabError as error:
        raise LabError(
            f"{directory} cannot hold a host's files: the lab needs a directory on ext4, xfs, btrfs or tmpfs, "
            f"not on another overlay\n{error}"
        ) from error
    etc = root / "etc"
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    (etc / "hostname").write_text(f"{machine.name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {machine.name}\n{CONTROL_ADDRESS} control\n")
    # Nobody answers there: a lookup fails at once, and the lab counts that it was tried.
    (etc / "resolv.conf").write_text(f"nameserver {CONTROL_ADDRESS}\n")
    key = etc / "ssh/ssh_host_ed25519_key"
    shutil.copyfile(machine.host_key, key)
    key.chmod(0o600)
    for home in (root / "root", root / "home/comfy"):
        _authorize(home, machine.authorized_key)


def _authorize(home: Path, key: str) -> None:
    owner = home.stat()
    directory = home / ".ssh"
    directory.mkdir(mode=0o700, exist_ok=True)
    keys = directory / "authorized_keys"
    keys.write_text(key)
    for path in (directory, keys):
        os.chown(path, owner.st_uid, owner.st_gid)


def _boot(machine: Machine, directory: Path, root: Path) -> int:
    """Boot the host once and give systemd-nspawn's exit status."""
    argv = [
        *("systemd-nspawn", "--quiet", "--boot", f"--directory={root}", f"--machine={machine.name}"),
        *("--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/{machine.name}"),
        *("--console=pipe", "--resolv-conf=off", "--timezone=off", "--notify-ready=yes"),
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, (directory / "console.log").open("ab") as log:
        # A name in the abstract space belongs to the lab's network namespace: nothing to remove, no limit on the path.
        notices.bind(f"\0comfyops-fleet-lab/{machine.name}")
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment({"NOTIFY_SOCKET": f"@comfyops-fleet-lab/{machine.name}"}),
        )
        listener = threading.Thread(target=_listen, args=(notices, directory / "boots"), daemon=True)
        listener.start()
        status = process.wait()
        notices.shutdown(socket.SHUT_RDWR)
        listener.join()
    return status


def _listen(notices: socket.socket, boots: Path) -> None:
    """Count a boot when systemd says that it has come to its end."""
    with contextlib.suppress(OSError):
        while message := notices.recv(4096):
            if b"READY=1" in message.split(b"\n"):
                count = int(boots.read_text()) + 1 if boots.exists() else 1
                part = boots.with_suffix(".part")
                part.write_text(f"{count}\n")
                part.rename(boots)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
