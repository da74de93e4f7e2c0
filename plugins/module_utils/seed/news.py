# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of a site says to the others about the models of a lock: what it has, what is coming, what failed."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import os
import pathlib
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.models.progress import FAILED, FETCHING, WAITING
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob

FORMAT = 1
NEWS_PATH = "/news"
# A run writes its progress once per second: one that has not for so long is dead.
_DEAD_SECONDS = 20.0
# How far the run is that fetches models on a host.
EXPECTED, RUNNING, ENDED, BROKEN = "expected", "running", "ended", "broken"


@dataclasses.dataclass(frozen=True)
class News:
    """whole and coming: sha256 of models. failed: sha256 to the reason. run: of the models' converge on that host."""

    whole: frozenset[str] = frozenset()
    coming: frozenset[str] = frozenset()
    failed: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    run: str = EXPECTED

    def text(self) -> str:
        """As hosts tell it to each other."""
        told = {"whole": sorted(self.whole), "coming": sorted(self.coming), "failed": dict(self.failed)}
        return json.dumps({"format": FORMAT, "run": self.run, **told})


def read_news(text: bytes) -> News:
    """What another host tells. Raises ValueError for what is none."""
    said = json.loads(text)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ValueError("it is of another format")
    return News(frozenset(said["whole"]), frozenset(said["coming"]), said["failed"], said["run"])


@dataclasses.dataclass(frozen=True)
class Contents:
    """The models of a lock on this host. since: when its doors were opened, in seconds of the epoch."""

    layout: Layout
    sha256s: frozenset[str]
    since: float

    def file(self, sha256: str) -> pathlib.Path | None:
        """The file of a model of the lock, where it is there whole."""
        path = blob(self.layout, sha256)
        return path if sha256 in self.sha256s and os.path.isfile(path) else None

    def news(self) -> News:
        """How it is now. The run is asked first: what it completes meanwhile is in the store then."""
        progress = self._progress()
        files = {file["sha256"]: file for file in progress.get("files", ()) if file["sha256"] in self.sha256s}
        run = self._run(progress)
        return News(
            whole=frozenset(sha256 for sha256 in self.sha256s if self.file(sha256) is not None),
            coming=frozenset(
                sha256 for sha256, file in files.items() if run == RUNNING and file["state"] in (WAITING, FETCHING)
            ),
            failed={sha256: file["error"] for sha256, file in files.items() if file["state"] == FAILED},
            run=run,
        )

    def _progress(self) -> dict[str, t.Any]:
        """Of the run that began since the doors are open; empty as long as there is none."""
        try:
            document = json.loads(self.layout.models_progress.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return document if document.get("began", 0.0) >= self.since else {}

    @staticmethod
    def _run(progress: c.Mapping[str, t.Any]) -> str:
        if not progress:
            return EXPECTED
        if progress["finished"]:
            return BROKEN if progress["broken"] else ENDED
        silent = time.time() - (progress["began"] + progress["seconds"])
        dead = silent > _DEAD_SECONDS or not os.path.exists(f"/proc/{progress['pid']}")
        return BROKEN if dead else RUNNING
