# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``comfy_lock_models=download``: the control node reads files of which nobody says the sha256. It keeps no byte."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import threading
import time

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.models.first_read import Content, first_read
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import advice
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.progress_lines import duration
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_known import Known
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_unhashed import Unhashed, not_here

_PARALLEL = 4
_SECONDS_BETWEEN_LINES = 5.0


@dataclasses.dataclass(frozen=True)
class ControlNode:
    """Reads on this machine. ways: how a URL may be asked for."""

    ways: c.Callable[[str], c.Iterable[Access]]
    known: Known
    report: c.Callable[[str], None]

    def __call__(self, files: c.Sequence[Unhashed]) -> list[Content]:
        """The contents of files, in their order. Raises FleetError, or Failures with the faults of all."""
        cancelled = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(_PARALLEL) as pool:
            try:
                results = list(pool.map(lambda file: self._content(file, cancelled), files))
            except BaseException:
                cancelled.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        raise_all([result for result in results if isinstance(result, FleetError)])
        return [result for result in results if isinstance(result, Content)]

    def _content(self, file: Unhashed, cancelled: threading.Event) -> Content | FleetError:
        if file.url.startswith("file:"):
            return not_here(file)
        found = self.known.get(file)
        if found is not None:
            return found
        try:
            content = self._read(file, cancelled)
        except HttpFault as fault:
            return FleetError(fault.what, where=file.where, remedy=advice(fault, file.url, file.asked, file.name))
        except FleetError as error:
            return FleetError(error.what, where=file.where, remedy=error.remedy)
        self.known.add(file, content)
        return content

    def _read(self, file: Unhashed, cancelled: threading.Event) -> Content:
        refused: HttpFault | None = None
        for access in self.ways(file.asked):
            progress = _Progress(file.name, self.report)
            try:
                return first_read(file.asked, file.file_name, access, report=progress.tell, cancelled=cancelled)
            except HttpFault as fault:
                refused = fault
                if not fault.denied:
                    break
        raise refused or HttpFault("nobody was asked")


class _Progress:
    """A line now and then on one file."""

    def __init__(self, name: str, report: c.Callable[[str], None]) -> None:
        self._name = name
        self._report = report
        self._began = self._said = time.monotonic()

    def tell(self, size: int, whole: int | None) -> None:
        now = time.monotonic()
        if now - self._said < _SECONDS_BETWEEN_LINES and size != whole:
            return
        self._said = now
        rate = size / max(now - self._began, 0.001)
        left = f", {duration((whole - size) / rate)} left" if whole and rate and size != whole else ""
        of = "" if whole is None else f" of {human(whole)}"
        self._report(f"{self._name}: read {human(size)}{of} for its sha256, {human(rate)}/s{left}")
