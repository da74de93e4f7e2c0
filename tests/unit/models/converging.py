# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that converges and switches, to be killed: python -m tests.unit.models.converging LOCK ROOT."""

from __future__ import annotations

import json
import pathlib
import sys

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from tests.unit.models.conftest import switch


def main() -> None:
    """Say that the work begins, and do it."""
    lock = read_lock(json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8")))
    context = Context(lock, lock.targets["default"], Layout(pathlib.Path(sys.argv[2])), Settings())
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    switch(context)


if __name__ == "__main__":
    main()
