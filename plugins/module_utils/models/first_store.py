# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of which nobody says the sha256, read into this host's store: what is read is what the host then has."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import hashlib
import pathlib
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Need
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import disk_fault, shortages, unwritable
from ansible_collections.comfyops.fleet.plugins.module_utils.models.content import defect
from ansible_collections.comfyops.fleet.plugins.module_utils.models.first_read import Content, first_read, note_beside
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import file_of
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import advice, reached
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts

PARALLEL = 4
_READ_ONLY = 0o444


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A file: the name of its model and of the file (which says what may be in it), locked URL, size if it is known."""

    name: str
    file_name: str
    url: str
    size: int | None


@dataclasses.dataclass(frozen=True)
class Site:
    """How this host reaches what files come from."""

    hf_endpoint: str | None
    civitai_endpoint: str | None
    access: Access


def read_into_store(layout: Layout, files: c.Sequence[Wanted], site: Site) -> list[Content | FleetError]:
    """The content of each file, then in the store, or what was wrong with it.

    Raises FleetError, or Failures, when there is no room or the store can not be written.
    """
    # A file that is begun is counted whole: what is there of it may have to be thrown away.
    needs = [Need(layout.store, file.size or 0) for file in files]
    raise_all([*unwritable(layout.store), *shortages(needs)])
    receipts = Receipts(layout, deep=False)
    cancelled = threading.Event()
    with receipts.kept(), concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        try:
            return list(pool.map(lambda file: _one(layout, file, site, receipts, cancelled), files))
        except BaseException:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one(
    layout: Layout, file: Wanted, site: Site, receipts: Receipts, cancelled: threading.Event
) -> Content | FleetError:
    local = file_of(file.url)
    if local is not None:
        return _local(local, file, receipts)
    keep = layout.partial / f"{hashlib.sha256(file.url.encode()).hexdigest()}.first"
    asked = reached(file.url, site.hf_endpoint, site.civitai_endpoint)
    try:
        content = first_read(asked, file.file_name, site.access, keep=keep, cancelled=cancelled)
        _admit(layout, file, keep, content, receipts)
    except HttpFault as fault:
        return FleetError(fault.what, where=f"model {file.name}", remedy=advice(fault, file.url, asked, file.name))
    except FleetError as error:
        return FleetError(error.what, where=f"model {file.name}", remedy=error.remedy)
    except OSError as error:
        return disk_fault(error, f"model {file.name}")
    return content


def _local(path: pathlib.Path, file: Wanted, receipts: Receipts) -> Content | FleetError:
    """A file of this host: it stays where it is until the host is converged."""
    try:
        reason = defect(path, file.file_name)
        sha256 = receipts.verified([str(path)])[str(path)]
        size = path.stat().st_size
    except OSError as error:
        return FleetError(f"{path}: {error.strerror}", where=f"model {file.name}", remedy="Put it there")
    except FleetError as error:
        return FleetError(f"{path} {error.what}", where=f"model {file.name}")
    if reason is not None:
        return FleetError(f"{path} is no model: {reason}", where=f"model {file.name}", remedy="Correct the source")
    return Content(sha256, size)


def _admit(layout: Layout, file: Wanted, keep: pathlib.Path, content: Content, receipts: Receipts) -> None:
    reason = defect(keep, file.file_name)
    if reason is not None:
        keep.unlink()
        note_beside(keep).unlink(missing_ok=True)
        raise FleetError(f"what came is no model: {reason}", remedy="Correct the source")
    place = layout.store / content.sha256[:2] / content.sha256
    place.parent.mkdir(parents=True, exist_ok=True)
    keep.chmod(_READ_ONLY)
    # First, so that it does not stay behind when this is cut off here.
    note_beside(keep).unlink(missing_ok=True)
    keep.replace(place)
    receipts.remember(str(place), content.sha256)
