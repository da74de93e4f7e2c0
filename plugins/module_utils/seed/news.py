# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of a site says to the others about the models of a lock: what it has, how its run goes, what failed."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import os
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.converge_lock import start_time
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.models.progress import FAILED
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob

FORMAT = 1
NEWS_PATH = "/news"
# How far the run is that fetches models on a host.
EXPECTED, RUNNING, ENDED, BROKEN = "expected", "running", "ended", "broken"


@dataclasses.dataclass(frozen=True)
class News:
    """whole: sha256 of models. failed: sha256 to the reason. run: how far the models' converge is on that host."""

    whole: frozenset[str] = frozenset()
    failed: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    run: str = EXPECTED

    def text(self) -> str:
        """As hosts tell it to each other."""
        told = {"whole": sorted(self.whole), "failed": dict(self.failed), "run": self.run}
        return json.dumps({"format": FORMAT, **told})


def read_news(text: bytes) -> News:
    """What another host tells. Raises ValueError for what is none."""
    said = json.loads(text)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ValueError("it is of another format")
    return News(frozenset(said["whole"]), said["failed"], said["run"])


class Contents:
    """The models of a lock on this host, and the run that fetches them from now on."""

    def __init__(self, layout: Layout, sha256s: frozenset[str]) -> None:
        self._layout = layout
        self._sha256s = sha256s
        # By which an earlier run is known. Clocks are set while machines start: times are not compared.
        self._earlier = self._document().get("began")

    def file(self, sha256: str) -> pathlib.Path | None:
        """The file of a model of the lock, where it is there whole."""
        path = blob(self._layout, sha256)
        return path if sha256 in self._sha256s and os.path.isfile(path) else None

    def news(self) -> News:
        """How it is now. The run is asked first: what it completes meanwhile is in the store then."""
        progress = self._document()
        if progress.get("began") == self._earlier:
            progress = {}
        run = self._run(progress)
        return News(
            whole=frozenset(sha256 for sha256 in self._sha256s if self.file(sha256) is not None),
            failed={
                file["sha256"]: file["error"]
                for file in progress.get("files", ())
                if file["sha256"] in self._sha256s and file["state"] == FAILED
            },
            run=run,
        )

    def _document(self) -> dict[str, t.Any]:
        """The progress of the latest run; empty where there has been none."""
        try:
            document: dict[str, t.Any] = json.loads(self._layout.models_progress.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return document

    @staticmethod
    def _run(progress: c.Mapping[str, t.Any]) -> str:
        if not progress:
            return EXPECTED
        if progress["finished"]:
            return BROKEN if progress["broken"] else ENDED
        return RUNNING if start_time(progress["pid"]) == progress["start_time"] else BROKEN
