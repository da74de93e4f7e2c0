# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch files by their hash: from content-addressed mirrors, which are asked before indexes and URLs."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import pathlib
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import SHIM, Interpreter, Model, Package
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import mirror_url
from ansible_collections.comfyops.fleet.plugins.module_utils.models.part import Part
from ansible_collections.comfyops.fleet.plugins.module_utils.models.transfer import Transfer, WrongBytes
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import (
    PUSHED_SOURCES,
    fetched,
    local_file,
    named_by_content,
)

_AT_ONCE = 8
_STALL_SECONDS = 30.0
_ATTEMPTS = 2


def fetch_from_mirrors(context: Context, packages: c.Sequence[Package]) -> None:
    """Get what the mirrors have of ``packages``; what they lack, or lie about, is left to the packages' origins."""
    settings = context.settings
    if settings.offline or not settings.model_mirrors:
        return
    wanted = [each for each in packages if each.source not in (SHIM, *PUSHED_SOURCES)]
    wanted = [each for each in wanted if local_file(context, each) is None]
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        fetcher = Fetcher(context)
        list(pool.map(fetcher.fetch_package, wanted))


class Fetcher:
    """Fetches into ``fetched``. A mirror that does not answer is asked no more. Its methods run in threads."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._layout = context.layout
        self._bases = settings.model_mirrors
        self._access = Access(settings.credentials, settings.allow_http, _STALL_SECONDS)
        self._silent: set[str] = set()

    def fetch_package(self, package: Package) -> bool:
        """Whether a mirror has given the package's file. Raises OSError when it can not be written."""
        content = Model(str(package.file), "", "", str(package.sha256), package.size, (), optional=False)
        return self._from_mirrors(content)

    def fetch_interpreter(self, interpreter: Interpreter) -> pathlib.Path:
        """The archive, from a mirror or from its URL. Raises FleetError."""
        file, url = interpreter.file, interpreter.url
        content = Model(file, "", url, interpreter.sha256, interpreter.size, (), optional=False)
        if not self._from_mirrors(content):
            try:
                self._get(content, url)
            except (HttpFault, WrongBytes) as fault:
                raise FleetError(
                    fault.what,
                    where=f"Python {interpreter.version}",
                    remedy=fault.remedy or "Look at comfy_python_mirror and the network, or install this Python",
                ) from fault
        return named_by_content(fetched(self._layout), interpreter.sha256, file)

    def _from_mirrors(self, content: Model) -> bool:
        for base in self._bases:
            if base in self._silent:
                continue
            try:
                self._get(content, mirror_url(base, content.sha256))
            except HttpFault as fault:
                if fault.status is None:
                    self._silent.add(base)
            except WrongBytes:
                continue
            else:
                return True
        return False

    def _get(self, content: Model, url: str) -> None:
        with Part(fetched(self._layout), content.sha256) as part:
            Transfer(content, part, self._access, threading.Event(), _ATTEMPTS).run(url)
            part.commit(named_by_content(fetched(self._layout), content.sha256, content.name))
