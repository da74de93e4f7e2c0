# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the builds that a spec allows are asked for: what nothing wants is not built.

Who wants a package that no line names, only a resolution says; it is asked with stand-ins that have no content.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import builds
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_store import BuiltWheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.routing_index import LocalWheel
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question, resolve

# Builds these, where the second ones may be built as well.
Build = c.Callable[[c.Sequence[builds.Wanted], c.Sequence[builds.Wanted]], dict[str, BuiltWheel]]


def build_what_is_asked(
    wanted: c.Sequence[builds.Wanted],
    question: Question,
    build: Build,
    *,
    work: pathlib.Path,
    cache: pathlib.Path,
    report: c.Callable[[str], None],
) -> dict[str, BuiltWheel]:
    """The wheels by canonical name, of those of ``wanted`` that lines, packages or other builds ask for.

    work, cache and report: as ``resolve`` takes them. Raises FleetError, or Failures with all builds that failed.
    """
    named = {line.name for line in question.lines}
    built = build(
        [each for each in wanted if each.source.name in named],
        [each for each in wanted if each.source.name not in named],
    )
    while spare := [each for each in wanted if each.source.name not in built]:
        asked = _asked(spare, built, question, work, cache)
        if not asked:
            break
        built.update(build(asked, [each for each in spare if each not in asked]))
    for each in spare:
        report(
            f"{question.environment.where}: python.build, {each.source.name}: nothing asks for it, so it is not built"
        )
    return built


def _asked(
    spare: c.Sequence[builds.Wanted],
    built: c.Mapping[str, BuiltWheel],
    question: Question,
    work: pathlib.Path,
    cache: pathlib.Path,
) -> list[builds.Wanted]:
    """Those that the answer has; all where there is none, for then what they require may matter."""
    stand_ins = {each.source.name: [_stand_in(each)] for each in spare}
    local = {**stand_ins, **{name: [builds.local_wheel(wheel)] for name, wheel in built.items()}}
    with tempfile.TemporaryDirectory(prefix="asked.", dir=work) as directory:
        try:
            probe = dataclasses.replace(question, local={**question.local, **local})
            found = resolve(probe, directory=pathlib.Path(directory), cache=cache, report=lambda _note: None)
        except FleetError:
            return list(spare)
    names = {package.name for package in found}
    return [each for each in spare if each.source.name in names]


def _stand_in(wanted: builds.Wanted) -> LocalWheel:
    name, version = wanted.source.name, wanted.version or "0"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    return LocalWheel(f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "0" * 64, 0, metadata, {})
