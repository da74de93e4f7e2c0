# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is installed in a directory of Python packages, by its metadata directories.

Source: the PyPA specifications "Recording installed projects" and "Names and normalization".
"""

from __future__ import annotations

import collections.abc as c
import pathlib
import re
import typing as t

DIST_INFO = ".dist-info"
EGG_INFO = ".egg-info"
# Where Python keeps what it compiled: checked against the sources when it is used, and never drift.
BYTECODE = "__pycache__"


class Distribution(t.NamedTuple):
    """An installed distribution: canonical name, version, and its metadata's entry in the directory."""

    name: str
    version: str
    entry: str


def canonical(name: str) -> str:
    """A distribution's name as indexes and locks write it: ``Foo._Bar`` is ``foo-bar``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def environment_site(environment: pathlib.Path, python: str) -> pathlib.Path:
    """The packages' directory of an environment of Python ``3.11`` or ``3.11.9``."""
    minor = ".".join(python.split(".")[:2])
    return environment / "lib" / f"python{minor}" / "site-packages"


def is_metadata(entry: str) -> bool:
    """Whether an entry of the directory describes a distribution. What pip began to remove begins with ``~``."""
    return entry.endswith((DIST_INFO, EGG_INFO)) and not entry.startswith("~")


def distributions(
    site: pathlib.Path, entries: c.Iterable[str], expected: c.Mapping[str, str]
) -> tuple[list[Distribution], list[str]]:
    """The distributions of ``site``, and the names of those whose metadata can not be read.

    entries: the directory's names. expected: canonical name to version; where an entry's name says just that, its
    metadata need not be opened.
    """
    found, unreadable = [], []
    for entry in sorted(filter(is_metadata, entries)):
        name, version = _from_name(entry)
        if not (entry.endswith(DIST_INFO) and expected.get(name) == version):
            described = _described(site / entry)
            if described is None:
                unreadable.append(name)
                continue
            name, version = described
        found.append(Distribution(name, version, entry))
    return found, unreadable


def _from_name(entry: str) -> tuple[str, str]:
    stem = entry.removesuffix(DIST_INFO).removesuffix(EGG_INFO)
    name, _dash, version = stem.rpartition("-") if "-" in stem else (stem, "", "")
    return canonical(name), version


def _described(entry: pathlib.Path) -> tuple[str, str] | None:
    """Name and version by the metadata's headers, which end with the first empty line."""
    candidates = [entry / "METADATA", entry / "PKG-INFO"] if entry.is_dir() else [entry]
    for path in candidates:
        try:
            head = path.read_text("utf-8", "replace").partition("\n\n")[0]
        except OSError:
            continue
        name = re.search(r"^Name:\s*(\S+)\s*$", head, re.MULTILINE | re.IGNORECASE)
        version = re.search(r"^Version:\s*(\S+)\s*$", head, re.MULTILINE | re.IGNORECASE)
        if name and version:
            return canonical(name[1]), version[1]
    return None
