# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch files by their hash from content-addressed mirrors, which are asked before indexes and URLs."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import SHIM, Model, Package
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
        mirrors = Mirrors(context)
        list(pool.map(lambda package: mirrors.fetch(str(package.sha256), str(package.file), package.size), wanted))


class Mirrors:
    """The mirrors of one run; one that does not answer is asked no more. Its methods run in threads."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._layout = context.layout
        self._bases = settings.model_mirrors
        self._access = Access(settings.credentials, settings.allow_http, _STALL_SECONDS)
        self._silent: set[str] = set()

    def fetch(self, sha256: str, file: str, size: int | None) -> bool:
        """Bring a file to its place in ``fetched``. Whether a mirror has given it. Raises OSError for a full disk."""
        content = Model(file, "", "", sha256, size, (), optional=False)
        for base in self._bases:
            if base in self._silent:
                continue
            with Part(fetched(self._layout), sha256) as part:
                try:
                    transfer = Transfer(content, part, self._access, threading.Event(), _ATTEMPTS)
                    transfer.run(mirror_url(base, sha256))
                except (HttpFault, WrongBytes) as fault:
                    if isinstance(fault, HttpFault) and fault.status is None and not part.size:
                        self._silent.add(base)
                    continue
                part.commit(named_by_content(fetched(self._layout), sha256, file))
            return True
        return False
