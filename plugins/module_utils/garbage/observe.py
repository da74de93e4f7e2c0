# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything on a host that may be garbage, with what its removal would free. Reads no content but of kept locks."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import functools
import operator
import os
import pathlib
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.builds import observe as builds
from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.names import waiting
from ansible_collections.comfyops.fleet.plugins.module_utils.garbage.named import Named, names_of
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import OWN_CACHE, REMOVED, Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import lock_record, recorded_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import freed
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import fetched, pushed
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import list_of, store_of

BUILD, ENVIRONMENT, MODEL, PART, WHEEL = "build", "environment", "model", "part", "wheel"
FILE, REPOSITORY, PYTHON, UV, ASIDE = "file", "repository", "python", "uv", "aside"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DAY = 86400.0


class Item(t.NamedTuple):
    """Something that could be removed. name: what locks call it; size: bytes that are free then; days: since changed.

    also: what goes with it.
    """

    kind: str
    name: str
    path: pathlib.Path
    size: int
    days: float
    also: tuple[pathlib.Path, ...] = ()


@dataclasses.dataclass(frozen=True)
class Build:
    """A build. named: what its lock names; None: that is not recorded. days: since it was last switched to."""

    environment: str | None
    named: Named | None
    days: float


@dataclasses.dataclass(frozen=True)
class Builds:
    """The builds by name, and the one that serves."""

    found: c.Mapping[str, Build]
    serving: str | None

    def newest(self, count: int | None) -> set[str]:
        """The one that serves, and ``count`` others, or all."""
        others = sorted((build.days, name) for name, build in self.found.items() if name != self.serving)
        return {name for _days, name in others[:count]} | (
            {self.serving} & self.found.keys() if self.serving else set()
        )

    def named_by(self, names: c.Iterable[str]) -> Named:
        """What the recorded locks of these builds name."""
        known = (self.found[name].named for name in names)
        return functools.reduce(operator.or_, (named for named in known if named), Named())


@dataclasses.dataclass(frozen=True)
class State:
    """linked: contents of the store that a link in MODELS_DIR leads to."""

    builds: Builds
    items: tuple[Item, ...]
    linked: frozenset[str]


def observe(layout: Layout, now: float) -> State:
    """Look at the whole tree below the host's roots. now: seconds since the epoch."""
    found = observe_builds(layout, now)
    return State(found, tuple(_items(layout, found.found, now)), linked_models(layout))


def observe_builds(layout: Layout, now: float) -> Builds:
    """Look at the builds alone."""
    seen = builds.observe(layout)
    found = {name: _build(layout, name, environment, now) for name, environment in seen.environments.items()}
    return Builds(found, seen.serving)


def _build(layout: Layout, name: str, environment: str | None, now: float) -> Build:
    lock = recorded_lock(layout, name)
    record = lock_record(layout, name)
    changed = (record if record.exists() else layout.builds / name).stat().st_mtime
    return Build(environment, names_of(lock) if lock else None, (now - changed) / _DAY)


def _items(layout: Layout, names: c.Iterable[str], now: float) -> c.Iterator[Item]:
    directories = {
        ENVIRONMENT: layout.envs,
        REPOSITORY: layout.git_mirrors,
        PYTHON: layout.agent / "python",
        ASIDE: layout.aside,
    }
    yield from _present(BUILD, (*(layout.builds / name for name in names), *layout.builds.glob(f"{REMOVED}*")), now)
    for kind, directory in directories.items():
        yield from _present(kind, _children(directory), now)
    brought = (path for path in _children(layout.agent) if path.name.removeprefix(REMOVED).startswith("uv-"))
    yield from _present(UV, brought, now)
    yield from _present(MODEL, (path for half in _children(layout.store) for path in _children(half)), now)
    for directory in (layout.partial, waiting(layout)):
        yield from _present(PART, (path for path in _children(directory) if path.is_file()), now)
    others = (path for path in layout.cache.glob(f"{OWN_CACHE}*") if path != layout.own_cache)
    yield from _present(PART, others, now)
    yield from _present(WHEEL, (path for path in _children(store_of(layout)) if path.is_dir()), now, also=list_of)
    for directory in (pushed(layout), fetched(layout)):
        yield from _present(FILE, _children(directory), now)


def _present(
    kind: str, paths: c.Iterable[pathlib.Path], now: float, also: c.Callable[[pathlib.Path], pathlib.Path] | None = None
) -> c.Iterator[Item]:
    """Items of one kind; what another host, or another program, has removed meanwhile is none."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            days = (now - path.lstat().st_mtime) / _DAY
            more = (also(path),) if also else ()
            yield Item(kind, path.name, path, sum(freed((path, *more)).values()), days, more)


def linked_models(layout: Layout) -> frozenset[str]:
    """The contents of a store that links in MODELS_DIR lead to, whoever made them."""
    found = set()
    for directory, _directories, files in os.walk(layout.models):
        for name in files:
            path = os.path.join(directory, name)
            if os.path.islink(path) and _SHA256.fullmatch(target := os.path.basename(os.readlink(path))):
                found.add(target)
    return frozenset(found)


def _children(directory: pathlib.Path) -> list[pathlib.Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
