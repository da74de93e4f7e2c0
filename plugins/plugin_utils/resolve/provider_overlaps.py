# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that would write the same files, each with its own content: whichever is installed last wins.

Wheels are compared by the lists of their files, which have a CRC-32 and a size for each, so none is read whole.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import itertools
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_look import Member

# Directories of a wheel's .data that are unpacked beside its modules.
_BESIDE = re.compile(r"[^/]+\.data/(?:purelib|platlib)/(?P<path>.+)")
# What people ship beside their package by mistake; nobody imports it.
_HARMLESS = re.compile(
    r"(?:tests?|testing|docs?|examples?|samples?|benchmarks?|scripts?|tools?)/.*"
    r"|[^/]+\.(?:md|rst|txt|toml|cfg|ini|in|yml|yaml|json)|(?:LICEN[SC]E|COPYING|NOTICE|README|CHANGELOG|AUTHORS)[^/]*"
    r"|(?:setup|conftest|example|test)\.py|.*__pycache__/.*"
)
# An __init__.py up to this size may only say that its directory is shared (pkgutil, pkg_resources).
_NAMESPACE: t.Final = 512
_SHARING: t.Final = (
    b"extend_path",
    b"declare_namespace",
    b"__path__",
    b"pkg_resources",
    b"pkgutil",
    b"try:",
    b"except",
)
# From this part of the smaller package's files on, both are builds of one package.
_SAME: t.Final = 0.5


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Two packages that have other content for the same paths. modules: the top-level names of these.

    covered: of the two, those of which each module is one of the other's as well, where both are builds of one package.
    """

    packages: tuple[str, str]
    paths: tuple[str, ...]
    modules: tuple[str, ...]
    covered: tuple[str, ...]


def find_overlaps(
    contents: c.Mapping[str, c.Sequence[Member]], is_namespace: c.Callable[[str, Member], bool]
) -> list[Overlap]:
    """The overlaps of packages, by their names. contents: the files of each.

    is_namespace: whether a file of a package, an ``__init__.py``, only says that others may add to its directory.
    """

    def differ(path: str, pair: tuple[str, str]) -> bool:
        first, second = (files[name][path] for name in pair)
        if (first.crc, first.size) == (second.crc, second.size):
            return False
        if not path.endswith("/__init__.py") or max(first.size, second.size) > _NAMESPACE:
            return True
        return not all(is_namespace(name, files[name][path]) for name in pair)

    files = {name: _installed(members) for name, members in contents.items()}
    owners: dict[str, list[str]] = {}
    for name in sorted(files):
        for path in files[name]:
            owners.setdefault(path, []).append(name)
    clashes: dict[tuple[str, str], list[str]] = {}
    for path, names in owners.items():
        for first, second in itertools.combinations(names, 2):
            if differ(path, (first, second)):
                clashes.setdefault((first, second), []).append(path)
    return [_overlap(pair, paths, files) for pair, paths in sorted(clashes.items())]


def _installed(members: c.Iterable[Member]) -> dict[str, Member]:
    """The files that come beside each other, by their path there."""
    found = {}
    for member in members:
        beside = _BESIDE.fullmatch(member.path)
        path = beside["path"] if beside else member.path
        top = path.partition("/")[0]
        if not top.endswith((".dist-info", ".data")) and not _HARMLESS.fullmatch(path):
            found[path] = member
    return found


def modules_of(members: c.Sequence[Member]) -> set[str]:
    """The top-level names that a package has."""
    return {_module(path) for path in _installed(members)}


def declares_namespace(content: bytes) -> bool:
    """Whether an ``__init__.py`` has no code of its own but that for sharing its directory."""
    lines = [line.strip() for line in content.splitlines()]
    code = [line for line in lines if line and not line.startswith((b"#", b'"', b"'"))]
    return all(any(word in line for word in _SHARING) for line in code)


def _overlap(pair: tuple[str, str], paths: c.Sequence[str], files: c.Mapping[str, c.Mapping[str, Member]]) -> Overlap:
    first, second = pair
    tops = {name: {_module(path) for path in files[name]} for name in pair}
    shared = len(files[first].keys() & files[second].keys())
    alike = shared >= _SAME * min(len(files[first]), len(files[second]))
    covered = [name for name, other in (pair, (second, first)) if alike and tops[name] <= tops[other]]
    modules = sorted({_module(path) for path in paths})
    return Overlap(pair, tuple(sorted(paths)), tuple(modules), tuple(covered))


def _module(path: str) -> str:
    """What is imported to get at a file: ``cv2`` of ``cv2/__init__.py`` and of ``cv2.abi3.so``."""
    return path.partition("/")[0].partition(".")[0]
