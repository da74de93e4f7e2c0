# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask, before anything changes, whether the sources give what a plan is to fetch: tokens, licences, what is gone.

One byte of each is asked for. What may pass (a busy server, a network that is down) is left to the download, which
tries again.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.content import impostor
from ansible_collections.comfyops.fleet.plugins.module_utils.models.inline import inline_content
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import file_of
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import (
    advice,
    how_to_get_in,
    mirror_url,
    reached,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import FETCH
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import contents, names

PARALLEL = 8
TIMEOUT_SECONDS = 15.0
_ONE_BYTE = {"Range": "bytes=0-0"}
_NOT_SATISFIABLE = 416


def refusals(context: Context, plan: Plan) -> list[FleetError]:
    """What the sources of the plan's downloads refuse, each with what to do. Optional models are left out."""
    if context.settings.offline:
        return []
    called = {name: sha256 for sha256, name in names(context.lock.models, context.layout).items()}
    known = contents(context.lock.models)
    needed = {model.sha256 for model in context.lock.models if not model.optional}
    fetched = [called[change.name] for change in plan.changes if change.action == FETCH]
    asked = [(known[sha256], name) for name, sha256 in called.items() if sha256 in needed and sha256 in set(fetched)]
    access = Access(context.settings.credentials, context.settings.allow_http, TIMEOUT_SECONDS)
    mirrors = _Mirrors(context.settings.model_mirrors, access)
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        found = pool.map(lambda each: _refusal(each[0], each[1], context.settings, mirrors), asked)
    return [fault for fault in found if fault is not None]


class _Mirrors:
    """The mirrors of a run. One that does not answer is not asked for each of many models."""

    def __init__(self, bases: c.Iterable[str], access: Access) -> None:
        self.access = access
        self._bases = tuple(bases)
        self._silent: set[str] = set()

    def have(self, model: Model) -> bool:
        """Whether one of them has it."""
        for base in self._bases:
            if base in self._silent:
                continue
            try:
                with request(mirror_url(base, model.sha256), self.access, headers=_ONE_BYTE):
                    return True
            except HttpFault as fault:
                if fault.status is None:
                    self._silent.add(base)
        return False


def _refusal(model: Model, name: str, settings: Settings, mirrors: _Mirrors) -> FleetError | None:
    file = file_of(model.url)
    if inline_content(model.url) is not None or mirrors.have(model):
        return None
    if file is not None:
        return None if file.is_file() else _lost(str(file), name)
    url = reached(model.url, settings.hf_endpoint, settings.civitai_endpoint)
    try:
        with request(url, mirrors.access, headers=_ONE_BYTE) as answer:
            kind = answer.headers.get("Content-Type", "").lower()
    except HttpFault as fault:
        if fault.transient or fault.status in (None, _NOT_SATISFIABLE):
            return None
        return FleetError(fault.what, where=f"model {name}", remedy=advice(fault, model.url, url, name))
    # The head of a text: so what is declared decides.
    page = impostor(b"-", kind, (*model.paths, model.name)[0].rpartition("/")[2])
    if page is None:
        return None
    return FleetError(
        f"{shown(url)} gives {page} in place of the model",
        where=f"model {name}",
        remedy=f"It may be a log-in page. {how_to_get_in(model.url, url)}",
    )


def _lost(file: str, name: str) -> FleetError:
    return FleetError(
        f"{file} is not on this host", where=f"model {name}", remedy="Put it there, or lock it from another source"
    )
