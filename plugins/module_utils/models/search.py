# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of models that a host has already under any name: in MODELS_DIR, and in directories that the user names.

Only files of a wanted size are read, and only when a model is missing: a look at a host that has all searches nothing.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import pathlib
import stat

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.models.receipt import Receipts


def elsewhere(
    missing: c.Mapping[str, int],
    layout: Layout,
    directories: c.Iterable[pathlib.Path],
    receipts: Receipts,
) -> dict[str, str]:
    """Where files are that have the bytes of missing models: sha256 to the first such path.

    missing: sha256 to size. directories: searched after MODELS_DIR; one that is not there is none. What may not be read
    is passed over: then the model is fetched.
    """
    if not missing:
        return {}
    roots = [layout.models, *directories]
    sizes = frozenset(missing.values())
    found: dict[str, str] = {}
    for path, sha256 in receipts.verified(_files(roots, sizes, layout)).items():
        if sha256 in missing:
            found.setdefault(sha256, path)
    return {sha256: found[sha256] for sha256 in missing if sha256 in found}


def _files(roots: c.Iterable[pathlib.Path], sizes: c.Container[int], layout: Layout) -> list[str]:
    """Files of these sizes below the roots, each once, in a stable order; the store is not searched."""
    store = os.path.realpath(layout.store.parent)
    seen: set[tuple[int, int]] = set()
    found: list[str] = []
    for root in roots:
        for directory, names, files in os.walk(root, followlinks=True):
            names[:] = [name for name in sorted(names) if _is_new(os.path.join(directory, name), store, seen)]
            for name in sorted(files):
                path = os.path.join(directory, name)
                if _fits(path, sizes, store, seen):
                    found.append(path)
    return found


def _is_new(directory: str, store: str, seen: set[tuple[int, int]]) -> bool:
    """Whether a directory is still to be searched: links may lead in a circle, or to where one was already."""
    with contextlib.suppress(OSError):
        status = os.stat(directory)
        place = status.st_dev, status.st_ino
        if place not in seen and os.path.realpath(directory) != store:
            seen.add(place)
            return True
    return False


def _fits(path: str, sizes: c.Container[int], store: str, seen: set[tuple[int, int]]) -> bool:
    with contextlib.suppress(OSError):
        status = os.stat(path)
        place = status.st_dev, status.st_ino
        right = stat.S_ISREG(status.st_mode) and status.st_size in sizes and os.access(path, os.R_OK)
        if right and place not in seen and not os.path.realpath(path).startswith(f"{store}/"):
            seen.add(place)
            return True
    return False
