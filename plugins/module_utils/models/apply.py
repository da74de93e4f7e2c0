# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a host's models what the plan says: bytes into the store first, all at once, then paths, one by one."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import functools
import pathlib
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.connections import Connections
from ansible_collections.comfyops.fleet.plugins.module_utils.models.folder_types import FILE_NAME
from ansible_collections.comfyops.fleet.plugins.module_utils.models.found import look, obstruction
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import extra_paths
from ansible_collections.comfyops.fleet.plugins.module_utils.models.place import put_all
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import ADOPT, FETCH, PLACE, REPLACE, WRITE
from ansible_collections.comfyops.fleet.plugins.module_utils.models.progress import File, Progress
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.store import NotFetched, Store
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import (
    Place,
    contents,
    names,
    places,
)

# Files at a time: small ones wait for answers more than for bytes.
PARALLEL = 8


def apply(context: Context, plan: Plan, progress: Progress | None = None) -> None:
    """Make the plan's changes; with a plan that has none, what was read to make it is recorded.

    progress: is told what comes over the network.

    Raises FleetError, or Failures with all faults of the batch: then nothing was placed, and what came whole stays in
    the store.
    """
    receipts = Receipts(context.layout, context.settings.deep)
    with receipts.kept():
        _refuse_missing_build(context, plan)
        _fill_store(context, plan, receipts, progress or Progress(context.layout.models_progress))
        wanted = places(context.lock.models, context.layout, context.home)
        put_all(context.layout, _to_put(context, plan, wanted), receipts)
        if any(change.action == WRITE for change in plan.changes):
            write_text(context.home / FILE_NAME, extra_paths(context))


def _to_put(context: Context, plan: Plan, wanted: c.Mapping[str, Place]) -> list[Place]:
    """Places of the plan, and those whose own file the store has taken: a link takes the file's place there."""
    adopted = [(change.name, change.before or "") for change in plan.changes if change.action == ADOPT]
    called = _called(context)
    taken = [donor for name, donor in adopted if _is_own(context, wanted.get(donor), called[name])]
    return [
        wanted[name]
        for name in (*taken, *(change.name for change in plan.changes if change.action in (PLACE, REPLACE)))
    ]


def _is_own(context: Context, place: Place | None, model: Model) -> bool:
    """Whether a file is to become the store's: it is at a path of that model, and not somebody else's behind a link."""
    if place is None or place.model.sha256 != model.sha256:
        return False
    found = look(place.path, context.layout, place.model.sha256)
    return not found.foreign_link and obstruction(place, context.layout) is None


def _called(context: Context) -> dict[str, Model]:
    """The models by what changes call them."""
    models = contents(context.lock.models)
    return {name: models[sha256] for sha256, name in names(context.lock.models, context.layout).items()}


def _refuse_missing_build(context: Context, plan: Plan) -> None:
    inside = [
        change.name for change in plan.changes if change.name == FILE_NAME or _is_inside(change.name, context.home)
    ]
    if inside and not context.home.is_dir():
        raise FleetError(
            f"the build is not there, and {inside[0]} belongs into it",
            where=str(context.home),
            remedy="Make it first: comfy_version with state=present and the same lock",
        )


def _is_inside(name: str, directory: pathlib.Path) -> bool:
    return name.startswith(f"{directory}/")


_Job = c.Callable[[Store], None]


def _fill_store(context: Context, plan: Plan, receipts: Receipts, progress: Progress) -> None:
    """Fetch and adopt, several at a time, and report all that failed."""
    jobs = _jobs(context, plan, progress)
    if not jobs:
        return
    cancelled = threading.Event()
    settings = context.settings
    budget = Connections(settings.model_connections, settings.model_rate_limit)
    store = Store(context, receipts, cancelled, budget)
    files_at_a_time = min(PARALLEL, settings.model_connections)
    faults: list[FleetError] = []
    with progress, budget, concurrent.futures.ThreadPoolExecutor(files_at_a_time) as pool:
        try:
            running = {pool.submit(job, store): sha256 for sha256, job in jobs.items()}
            for future in concurrent.futures.as_completed(running):
                faults += _settled(context, running[future], future, receipts)
        except BaseException:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            progress.settle()
    raise_all(faults)


def _jobs(context: Context, plan: Plan, progress: Progress) -> dict[str, _Job]:
    """What brings each content in, the largest first: they take longest."""
    called = _called(context)
    jobs: dict[str, _Job] = {}
    for change in sorted(
        plan.changes, key=lambda change: -(called[change.name].size or 0) if change.name in called else 0
    ):
        if change.action == FETCH:
            model = called[change.name]
            file = progress.file(change.name, model.size, model.sha256)
            jobs[model.sha256] = functools.partial(_fetch, model, change.name, file)
        elif change.action == ADOPT:
            model, donor = called[change.name], pathlib.Path(change.before or "")
            place = places(context.lock.models, context.layout, context.home).get(str(donor))
            copy = not _is_own(context, place, model)
            copied = progress.file(change.name, model.size, model.sha256) if copy else None
            jobs[model.sha256] = functools.partial(_adopt, model, donor, change.name, copy, copied)
    return jobs


def _fetch(model: Model, name: str, file: File, store: Store) -> None:
    store.fetch(model, name, file)


def _adopt(model: Model, donor: pathlib.Path, name: str, copy: bool, file: File | None, store: Store) -> None:
    store.adopt(model, name, donor, copy, file)


def _settled(
    context: Context, sha256: str, future: concurrent.futures.Future[None], receipts: Receipts
) -> list[FleetError]:
    """The fault of one job; that of an optional model is recorded and forgiven."""
    optional = all(model.optional for model in context.lock.models if model.sha256 == sha256)
    try:
        future.result()
    except NotFetched as fault:
        if not optional:
            return [fault]
        receipts.miss(sha256, str(fault))
    except FleetError as fault:
        return [fault]
    else:
        receipts.missed.pop(sha256, None)
        receipts.save_now_and_then()
    return []
