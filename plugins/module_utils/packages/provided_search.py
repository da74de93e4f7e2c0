# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages a Python has, and which files they consist of; run by that Python, so nothing of ours is imported."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import sys
import typing as t

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_BYTECODE = "__pycache__"
# Who knows the rules of markers; pip and setuptools bring a copy.
_LIBRARIES = ("packaging", "pip._vendor.packaging", "setuptools._vendor.packaging", "pkg_resources.extern.packaging")


def search(names: list[str], locked: list[str]) -> dict[str, t.Any]:
    """The packages ``names`` (canonical), None for one that is not there, and what they require that nobody has.

    locked: what the environment has beside them. What is required is followed through the packages of this Python.
    """
    installed: dict[str, importlib.metadata.Distribution] = {}
    for each in importlib.metadata.distributions():
        name = _name_of(each)
        if name:
            installed.setdefault(_canonical(name), each)
    found = {name: _described(installed[name]) if name in installed else None for name in names}
    known, asked, required = {*names, *locked}, list(names), []
    while asked:
        name = asked.pop()
        for other in _required(installed[name]) if name in installed else ():
            if other not in known:
                known.add(other)
                asked.append(other)
                version = installed[other].version if other in installed else None
                required.append({"package": name, "name": other, "version": version})
    return {"python": sys.executable, "found": found, "required": required}


def _name_of(distribution: importlib.metadata.Distribution) -> str | None:
    """None for what somebody has half removed."""
    try:
        return distribution.metadata["Name"]
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _described(distribution: importlib.metadata.Distribution) -> dict[str, t.Any]:
    """Version, directory, the entry with its metadata, its files, and its modules where it lists no files."""
    site, entry = os.path.split(str(getattr(distribution, "_path")))  # noqa: B009
    recorded = distribution.files if entry.endswith(".dist-info") else None
    files = [str(path) for path in recorded or () if _BYTECODE not in path.parts]
    inside = [path for path in files if not path.startswith("..") and not os.path.isabs(path)]
    modules = [] if recorded else [*_modules(site, distribution), entry]
    return {
        "version": distribution.version,
        "site": site,
        "files": [path for path in inside if os.path.exists(os.path.join(site, path))],
        "modules": modules,
    }


def _modules(site: str, distribution: importlib.metadata.Distribution) -> list[str]:
    """The entries of the directory that are a package's by its list of modules (setuptools)."""
    names = set((distribution.read_text("top_level.txt") or "").split())
    return sorted(entry for entry in os.listdir(site) if entry.partition(".")[0] in names and _is_module(site, entry))


def _is_module(site: str, entry: str) -> bool:
    return entry.endswith((".py", ".so")) or ("." not in entry and os.path.isdir(os.path.join(site, entry)))


def _required(distribution: importlib.metadata.Distribution) -> set[str]:
    """The names that it requires here, without extras."""
    reader = _reader()
    names = set()
    for line in distribution.requires or []:
        name = _NAME.match(line)
        if name is None:
            continue
        if reader is None:
            counts = ";" not in line
        else:
            marker = reader(line).marker
            counts = marker is None or marker.evaluate({"extra": ""})
        if counts:
            names.add(_canonical(name[1]))
    return names


def _reader() -> t.Any:
    for library in _LIBRARIES:
        try:
            return importlib.import_module(f"{library}.requirements").Requirement
        except ImportError:
            continue
    return None


def main() -> None:
    """Read the question from standard input and write the answer to standard output, both JSON."""
    question = json.load(sys.stdin)
    json.dump(search(question["names"], question["locked"]), sys.stdout)


if __name__ == "__main__":
    main()
