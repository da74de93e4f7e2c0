# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment's directories looked like when it was made, so that a look needs only to compare.

A receipt is never trusted alone: names and versions are read anew in each look, and whatever differs from the receipt
is looked at closely. It spares the look at files whose directories have not changed.
"""

from __future__ import annotations

import collections.abc as c
import json
import os
import pathlib
import posixpath
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.origin import ORIGIN_FILE
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.distributions import BYTECODE, is_metadata

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.packages.record import Records

FORMAT = 2
# What says which distribution is there, of which files, and from where.
_TELLING = ("METADATA", "RECORD", ORIGIN_FILE)
# Changes with the content of site-packages' entries, of RECORDs and of all directories: inode, size, time in ns.
Fingerprint = tuple[int, int, int]
Fingerprints = c.Mapping[str, Fingerprint]


def receipt_path(layout: Layout, environment: str) -> pathlib.Path:
    """The file that keeps the receipt of the environment of that name."""
    return layout.receipts / f"environment-{environment}.json"


def take_fingerprints(site: pathlib.Path, records: Records) -> dict[str, Fingerprint]:
    """The fingerprints of ``site``'s entries and of all directories that distributions own, by path below ``site``."""
    paths = {entry for entry in os.listdir(site) if entry != BYTECODE}
    paths |= {f"{entry}/{name}" for entry in paths if is_metadata(entry) for name in _TELLING}
    for files in records.values():
        paths |= {posixpath.dirname(file.path) for file in files}
    found = _fingerprints(site, sorted(filter(None, paths)))
    return {path: fingerprint for path, fingerprint in found.items() if fingerprint is not None}


def write_receipt(path: pathlib.Path, fingerprints: Fingerprints) -> None:
    """Keep the fingerprints; they hold when the environment is renamed."""
    # A look only reads receipts.
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text

    write_text(path, json.dumps({"format": FORMAT, "fingerprints": fingerprints}, sort_keys=True))


def read_receipt(path: pathlib.Path) -> Fingerprints | None:
    """The fingerprints that were kept; None when nothing readable is there."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != FORMAT:
            return None
        return {str(name): (value[0], value[1], value[2]) for name, value in content["fingerprints"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def changed_since(site: pathlib.Path, fingerprints: Fingerprints) -> set[str]:
    """The paths that have another fingerprint now, or are not there."""
    now = _fingerprints(site, fingerprints)
    return {path for path, seen in fingerprints.items() if now[path] != seen}


def _fingerprints(site: pathlib.Path, paths: c.Iterable[str]) -> dict[str, Fingerprint | None]:
    found: dict[str, Fingerprint | None] = {}
    # Thousands of paths: the way to ``site`` is gone once.
    descriptor = os.open(site, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in paths:
            try:
                status = os.lstat(path, dir_fd=descriptor)
                found[path] = (status.st_ino, status.st_size, status.st_mtime_ns)
            except OSError:
                found[path] = None
    finally:
        os.close(descriptor)
    return found
