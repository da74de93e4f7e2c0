# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine must have for the lab, said before anything is tried."""

from __future__ import annotations

import os
import shutil

from .commands import SYSTEM_PATH
from .errors import LabError

SWITCH = "COMFY_LAB"
# Command -> the Debian package that has it.
TOOLS = {
    "systemd-nspawn": "systemd-container",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}


def require() -> None:
    """Return when the lab can run here; LabError that says what to do when it cannot."""
    if os.geteuid() != 0:
        raise LabError(
            "the lab needs root: it makes namespaces, mounts and network devices (only its own). Run as root, or set "
            f"{SWITCH}=off to leave out the tests that need it"
        )
    path = os.pathsep.join((os.environ.get("PATH", ""), SYSTEM_PATH))
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool, path=path) is None})
    if missing:
        raise LabError(
            f"the lab lacks tools on this machine: apt-get install {' '.join(missing)} (to make its base tree also "
            f"debootstrap), or set {SWITCH}=off to leave out the tests that need it"
        )


def switched_off() -> bool:
    """Whether the user said that tests are to do without the lab."""
    return os.environ.get(SWITCH) == "off"
