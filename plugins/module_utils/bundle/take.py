# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put what has arrived in its place, once all its bytes are known to be right."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import shutil
import tarfile
import tempfile
import threading

from ansible_collections.comfyops.fleet.plugins.module_utils.bundle import names
from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.arrivals import (
    MODEL,
    PROGRAM,
    REPOSITORY,
    Arrival,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import ensure_commit
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.models.connections import Connections
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts
from ansible_collections.comfyops.fleet.plugins.module_utils.models.store import Store
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob, contents

# What of a bare repository is taken from an archive: nothing that says what git does, or leads elsewhere.
_FILES = ("HEAD", "packed-refs", "shallow")
_DIRECTORIES = ("objects", "refs")
_ELSEWHERE = ("alternates", "http-alternates")


def take(context: Context, arrivals: c.Sequence[Arrival]) -> None:
    """Check all files, then put each in place. What is wrong is removed, so that it is brought again.

    Raises FleetError, or Failures with all that did not arrive as it left.
    """
    receipts = Receipts(context.layout, deep=False)
    with receipts.kept():
        _check(arrivals, receipts)
        cancelled = threading.Event()
        settings = context.settings
        budget = Connections(settings.model_connections, settings.model_rate_limit)
        store = Store(context, receipts, cancelled, budget)
        for arrival in arrivals:
            if arrival.kind == MODEL:
                _take_model(context, arrival, store, receipts)
            elif arrival.kind == REPOSITORY:
                _take_repository(context, arrival)
            else:
                _take_file(arrival)
    remove_tree(names.waiting(context.layout))


def _check(arrivals: c.Sequence[Arrival], receipts: Receipts) -> None:
    found = receipts.verified([str(each.path) for each in arrivals if each.path.is_file()])
    faults = []
    for each in arrivals:
        if found.get(str(each.path)) != each.sha256:
            each.path.unlink(missing_ok=True)
            faults.append(
                FleetError(
                    f"{each.name} of the bundle did not arrive whole",
                    where=str(each.path.parent),
                    remedy="Look at the connection and at the room on the host, and run again",
                )
            )
    raise_all(faults)


def _take_model(context: Context, arrival: Arrival, store: Store, receipts: Receipts) -> None:
    model = contents(context.lock.models)[arrival.sha256]
    store.adopt(model, model.name, arrival.path, copy=False)
    arrival.path.unlink()
    # That it has one name less has changed how it looks.
    receipts.remember(str(blob(context.layout, arrival.sha256)), arrival.sha256)


def _take_file(arrival: Arrival) -> None:
    place = pathlib.Path(arrival.place)
    place.parent.mkdir(parents=True, exist_ok=True)
    arrival.path.chmod(0o755 if arrival.kind == PROGRAM else 0o444)
    arrival.path.replace(place)


def _take_repository(context: Context, arrival: Arrival) -> None:
    """Fetch the commits from the archive as from any server: git then checks that all is there."""
    scratch = pathlib.Path(tempfile.mkdtemp(dir=names.waiting(context.layout), prefix=".unpacked-"))
    try:
        _unpack(arrival, scratch)
        git.local(scratch, "init", "--quiet", "--bare", "--template=", ".")
        for commit in names.repositories(context.lock)[arrival.place]:
            mirrors = context.layout.git_mirrors
            ensure_commit(mirrors, arrival.place, commit, reachable_at=scratch.as_uri(), credentials={})
    finally:
        remove_tree(scratch)
    arrival.path.unlink()


def _unpack(arrival: Arrival, scratch: pathlib.Path) -> None:
    try:
        with tarfile.open(arrival.path, "r:") as content:
            for member in content:
                path = _path_of(member)
                if path is None:
                    continue
                place = scratch / path
                place.parent.mkdir(parents=True, exist_ok=True)
                stream = content.extractfile(member)
                if stream is not None:
                    with stream, place.open("wb") as target:
                        shutil.copyfileobj(stream, target)
    except (tarfile.TarError, EOFError) as error:
        raise FleetError(
            f"can not be unpacked ({error})", where=arrival.name, remedy="Write the bundle again"
        ) from error


def _path_of(member: tarfile.TarInfo) -> pathlib.PurePosixPath | None:
    """The path in the repository of a file of the archive, without the archive's directory; None: it is not taken."""
    _top, *parts = pathlib.PurePosixPath(member.name).parts or ("",)
    if not member.isreg() or not parts or os.path.isabs(member.name) or ".." in parts or parts[-1] in _ELSEWHERE:
        return None
    if parts[0] in _DIRECTORIES or (len(parts) == 1 and parts[0] in _FILES):
        return pathlib.PurePosixPath(*parts)
    return None
