# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge: a stand-in for the internet on this machine, for tests and for the demo.

It serves git repositories, Python package indexes, models behind plain URLs, a Hugging Face Hub and a civitai,
logs every request, and misbehaves on demand. ``Forge`` is a context manager; for other processes there is
``python -m tests.support.forge --help``. Standard library only.
"""

from __future__ import annotations

from tests.support.forge.faults import Fault
from tests.support.forge.git import Link, Repository, Submodule
from tests.support.forge.packages import Index, Release
from tests.support.forge.server import Forge
from tests.support.forge.web import LoggedRequest

__all__ = ["Fault", "Forge", "Index", "Link", "LoggedRequest", "Release", "Repository", "Submodule"]
