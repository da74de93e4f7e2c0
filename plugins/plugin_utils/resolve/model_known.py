# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read once of files of which nobody says the sha256.

It holds as long as a file's server calls the file's state the same: its ETag or date, and its size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import threading
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.models.first_read import Content
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_unhashed import Unhashed


class Known:
    """Contents that were read before. path: of the file that has them."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._one_at_a_time = threading.Lock()

    def get(self, file: Unhashed) -> Content | None:
        """What was read of this state of a file; None where its server calls it nothing, or it was never read."""
        found = self._all().get(_identity(file)) if file.state else None
        try:
            return None if found is None else Content(str(found["sha256"]), int(found["size"]))
        except (KeyError, TypeError, ValueError):
            return None

    def add(self, file: Unhashed, content: Content) -> None:
        """Remember what was read."""
        if not file.state:
            return
        with self._one_at_a_time:
            known = {**self._all(), _identity(file): dataclasses.asdict(content)}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(known, indent=1, sort_keys=True) + "\n", 0o600)

    def _all(self) -> dict[str, dict[str, t.Any]]:
        try:
            document = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}


def _identity(file: Unhashed) -> str:
    """Of a state of a file. A hash, because URLs may hold what is nobody's business."""
    return hashlib.sha256(json.dumps([file.url, file.state, file.size]).encode()).hexdigest()
