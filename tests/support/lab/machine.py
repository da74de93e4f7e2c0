# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of the lab is started with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Machine:
    """A host as it is started. Paths are the lab's; ``authorized_key`` may log in as root and as comfy."""

    name: str
    address: str
    base: str
    control_groups: tuple[str, ...]
    authorized_key: str
    host_key: str

    def write(self, path: Path) -> None:
        """Write the file that ``read`` reads."""
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Machine:
        """Read what ``write`` wrote."""
        data = json.loads(path.read_text())
        return cls(**{**data, "control_groups": tuple(data["control_groups"])})
