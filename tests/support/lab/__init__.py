# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet lab: bare systemd hosts on this machine, reached over real ssh, for tests and for a look by hand.

    with Lab() as lab:
        host1, host2, host3 = lab.start(3)
        lab.run(["ansible", "-i", str(lab.inventory()), "-m", "ansible.builtin.ping", "all"])
        host1.link_down()

By hand: ``python -m tests.support.lab up 3``, then ``inventory``, ``run -- COMMAND``, ``status`` and ``down``.
Needs root and Linux; ``requirements`` says which tools.
"""

from __future__ import annotations

from .errors import CommandError, LabError
from .host import Entry, Host
from .lab import Lab, default_cache
from .network import Attempt
from .processes import Process
from .requirements import require, switched_off

__all__ = [
    "Attempt",
    "CommandError",
    "Entry",
    "Host",
    "Lab",
    "LabError",
    "Process",
    "default_cache",
    "require",
    "switched_off",
]
