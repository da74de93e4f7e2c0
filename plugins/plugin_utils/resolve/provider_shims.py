# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions of a provider there are for a target, and the shims that lead those who ask for another name to it.

Of packages that have the same code in the same version, a shim requires its provider in that very version. So whoever
asks for a version of the one gets that of the other, and the resolver finds what suits all.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import SHIM
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.shim import make_shim
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_versions import (
    files_by_version,
    has_fitting_wheel,
    locate_default,
    pinned_versions,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import Indexes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.provider_groups import Group
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.routing_index import LocalWheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question

if t.TYPE_CHECKING:
    from packaging.version import Version


def is_shim(question: Question, name: str) -> bool:
    """Whether a package of the question is a shim."""
    return any(wheel.entry.get("source") == SHIM for wheel in question.local.get(name, ()))


class Stock:
    """What there is of packages, each asked for once. uv_cache: uv's."""

    def __init__(self, uv_cache: pathlib.Path) -> None:
        self._uv_cache = uv_cache
        self._located: Indexes | None = None

    def fitting(self, question: Question, name: str) -> list[Version]:
        """The versions of a package that the target can have without a build, the oldest first."""
        own = _own_versions(question, name)
        if own:
            return own
        found = self._files(question, name)
        return sorted(version for version, files in found.items() if has_fitting_wheel(files, question))

    def all(self, question: Question, name: str) -> list[Version]:
        """All versions of a package, also those that would have to be built."""
        return _own_versions(question, name) or sorted(self._files(question, name))

    def _files(self, question: Question, name: str) -> dict[Version, list[t.Any]]:
        indexes = self._located if self._located and name not in question.indexes.bound else question.indexes
        located = locate_default(indexes, name, self._uv_cache)
        if name not in question.indexes.bound:
            self._located = located
        return files_by_version(located.files_of(name) or (), question, pinned_versions(question.lines, name))


def _own_versions(question: Question, name: str) -> list[Version]:
    """The version of a package that no index gives: a wheel of ours, what the image provides, a line with its URL."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    files = [] if is_shim(question, name) else [wheel.file for wheel in question.local.get(name, ())]
    urls = [line.url for line in (*question.overrides, *question.lines) if line.name == name and line.url]
    files += [urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2]) for url in urls]
    try:
        return sorted({parse_wheel_filename(file)[1] for file in files})
    except InvalidWheelFilename:
        return []


@dataclasses.dataclass(frozen=True)
class Stand:
    """Versions of a shim that stand for versions of its provider. requires: the shim's requirement line."""

    version: Version
    requires: str
    stands_for: tuple[Version, ...]


def stands_of(
    group: Group, name: str, provider: str, versions: c.Sequence[Version], own: c.Sequence[Version]
) -> list[Stand]:
    """The shims of ``name`` that there can be. versions: of the provider; own: those of the package itself."""
    if not group.in_step:
        kept = [version for version in own if group.holds(name, str(version))]
        return [Stand(version, provider, tuple(versions)) for version in kept]
    stands = [Stand(version, f"{provider}=={version}", (version,)) for version in versions]
    series: dict[tuple[int, ...], list[Version]] = {}
    for version in versions:
        series.setdefault(_series(version), []).append(version)
    # A release that the provider has left out is the one next to it.
    for version in set(own) - set(versions):
        if _series(version) in series and not version.is_prerelease:
            line = f"{provider}=={'.'.join(map(str, _series(version)))}.*"
            stands.append(Stand(version, line, tuple(series[_series(version)])))
    return sorted(stands, key=lambda stand: stand.version)


def _series(version: Version) -> tuple[int, ...]:
    return (version.major, version.minor)


def local_shims(name: str, provider: str, stands: c.Iterable[Stand]) -> list[LocalWheel]:
    """The shims as candidates of a resolution."""
    made = [make_shim(name, str(stand.version), provider, [stand.requires]) for stand in stands]
    entry = {"source": SHIM, "provider": provider}
    return [LocalWheel(shim.file, shim.sha256, len(shim.content), shim.metadata, entry) for shim in made]
