# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the lab's hosts are reached: keys, known hosts, ssh's options, and Ansible's inventory.

Source: ssh_config(5), ansible.builtin.ssh (connection plugin).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from .commands import run
from .errors import LabError

# A socket's path has 108 bytes at most (unix(7)); ssh appends up to 17 to the name while it makes the socket, and
# Ansible's own names have 10.
LONGEST_SOCKET_DIRECTORY = 75
HOST_PYTHON = "/usr/bin/python3"
# A connection that is cut under a shared ssh connection would otherwise be waited for without end.
# ssh's default exchange of keys, safe against quantum computers, takes a third of a short connection's time here.
FAST = ("KexAlgorithms=curve25519-sha256",)
PATIENCE = ("ServerAliveInterval=2", "ServerAliveCountMax=2", "ConnectTimeout=5")


@dataclasses.dataclass(frozen=True)
class Access:
    """The files of one lab by which its hosts are reached, all below ``directory``."""

    directory: Path

    @property
    def key(self) -> Path:
        """The private key that root and comfy accept on every host."""
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' public keys."""
        return self.directory / "known_hosts"

    @property
    def sockets(self) -> Path:
        """Where Ansible's shared connections have their sockets."""
        return self.directory / "s"

    def create(self) -> None:
        """Make the directory with a new key. Raises LabError when sockets in it would have too long a path."""
        if len(str(self.sockets)) > LONGEST_SOCKET_DIRECTORY:
            raise LabError(
                f"{self.directory} is too long a path for ssh's sockets in it: give the lab a directory of at most "
                f"{LONGEST_SOCKET_DIRECTORY - len('/ssh/s')} characters"
            )
        self.directory.mkdir(mode=0o700)
        self.sockets.mkdir()
        generate_key(self.key)
        self.known_hosts.touch()

    def authorized_key(self) -> str:
        """The line for a host's authorized_keys."""
        return self.key.with_suffix(".pub").read_text()

    def add_host(self, address: str, public_key: str) -> None:
        """Make the host known by its key."""
        with self.known_hosts.open("a") as file:
            file.write(f"{address} {public_key}")

    def options(self) -> tuple[str, ...]:
        """ssh's and scp's options; the user's own configuration is left out."""
        settings = (
            *PATIENCE,
            *FAST,
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={self.known_hosts}",
            "GlobalKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
        )
        return ("-F", "none", *(part for setting in settings for part in ("-o", setting)))

    def inventory(self, addresses: Mapping[str, str], user: str, *, own_ssh_args: bool) -> Path:
        """Write an Ansible inventory of the hosts, group ``comfy``, and give its path.

        With ``own_ssh_args`` a cut link is noticed within seconds; else ``ssh_args`` are those of the ansible.cfg.
        """
        variables = {
            "ansible_connection": "ssh",
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self.key),
            "ansible_python_interpreter": HOST_PYTHON,
            "ansible_ssh_common_args": " ".join(self.options()),
            "ansible_control_path_dir": str(self.sockets),
        }
        if own_ssh_args:
            shared = ("ControlMaster=auto", "ControlPersist=60s", *PATIENCE)
            variables["ansible_ssh_args"] = " ".join(f"-o {setting}" for setting in shared)
        hosts = {name: {"ansible_host": address} for name, address in addresses.items()}
        path = self.directory / f"inventory-{user}.yml"
        # JSON is YAML, and needs no library.
        path.write_text(json.dumps({"comfy": {"hosts": hosts, "vars": variables}}, indent=2) + "\n")
        return path


def generate_key(path: Path) -> None:
    """Make an Ed25519 key pair without passphrase at ``path`` and ``path``.pub."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "comfyops-fleet-lab", "-f", str(path)])
