# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in the lab, told so that the reader knows what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

SHOWN_OUTPUT = 4000


class LabError(Exception):
    """The lab could not do what it was asked to do."""


class CommandError(LabError):
    """A command ended with another status than 0.

    Attributes: ``argv``, ``returncode``, ``stdout`` and ``stderr`` of the command, complete.
    """

    def __init__(self, argv: Sequence[str], returncode: int, stdout: str, stderr: str) -> None:
        self.argv = tuple(argv)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(
            f"exit status {returncode} of: {shlex.join(self.argv)}\n"
            f"--- stdout\n{stdout[-SHOWN_OUTPUT:]}\n--- stderr\n{stderr[-SHOWN_OUTPUT:]}"
        )
