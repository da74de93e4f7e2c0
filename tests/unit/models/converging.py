# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that converges and switches, to be killed: python -m tests.unit.models.converging LOCK ROOT [eager].

eager: large files are what is small elsewhere, so that they come in ranges over several connections.
"""

from __future__ import annotations

import json
import pathlib
import sys

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.models import answers, connections, spans
from tests.unit.models.conftest import switch


def make_eager() -> None:
    """Trials and shares as for files that are a thousand times larger."""
    connections.WINDOW_SECONDS, connections.SETTLE_SECONDS = 0.08, 0.05
    connections.TICK_SECONDS = 0.02
    connections.WORTH_SECONDS = 0.2
    answers.GATHER_SECONDS = 0.002
    spans.SHARE_SECONDS = 0.2
    spans.WORTH_SECONDS = 0.1
    spans.SMALLEST_SHARE = 20_000
    spans.FIRST_SHARE = 50_000


def main() -> None:
    """Say that the work begins, and do it."""
    lock = read_lock(json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8")))
    context = Context(lock, lock.targets["default"], Layout(pathlib.Path(sys.argv[2])), Settings())
    if "eager" in sys.argv:
        make_eager()
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    switch(context)


if __name__ == "__main__":
    main()
