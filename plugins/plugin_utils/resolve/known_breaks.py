# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases that do not work with what came later of another package, though no metadata says so."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.rounds import Answer, constrained
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question


class _Break(t.NamedTuple):
    """Releases of a package that do not work with what came later of another: the bound that they need, and why.

    plain: only those of no particular build, without a local version.
    """

    package: str
    releases: str
    bound: str
    why: str
    plain: bool = False

    def happens(self, versions: c.Mapping[str, str | None]) -> bool:
        """Whether both are among versions, and are these."""
        from packaging.requirements import Requirement
        from packaging.specifiers import SpecifierSet

        bound = Requirement(self.bound)
        version, other = versions.get(self.package), versions.get(bound.name)
        if version is None or other is None or (self.plain and "+" in version):
            return False
        is_release = SpecifierSet(self.releases).contains(version, prereleases=True)
        return is_release and not bound.specifier.contains(other, prereleases=True)


# Each was seen when these releases were imported together.
_BREAKS: t.Final = (
    _Break("diffusers", "<0.29", "huggingface-hub<0.26", "imports cached_download, which later ones do not have"),
    # Asked for by the torch of the default index, which has a later CUDA from 2.15 on.
    _Break(
        "torchaudio", "==2.11.*", "cuda-toolkit<13.1", "refuses a torch of another CUDA than its own, 13.0", plain=True
    ),
    _Break("torch", "<2.2", "kornia<0.8.3", "cannot compile any() over several dimensions, as later ones want it"),
)


def known_breaks(answer: Answer) -> Question:
    """Bounds for what is known to break releases that a target has: a rule for ``settle``."""
    return bounded(answer.question, {package.name: package.version for package in answer.found})


def bounded(question: Question, versions: c.Mapping[str, str | None]) -> Question:
    """The question with these bounds. versions: of what was found, by name; None for what is given by its URL."""
    for each in _BREAKS:
        if each.happens(versions):
            question = constrained(question, f"{each.package} {versions[each.package]} {each.why}", each.bound)
    return question
