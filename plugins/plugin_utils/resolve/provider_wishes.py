# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What requirement lines wish of packages that one provider stands for: one version has to suit all of them."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.owners import SPEC
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.provider_shims import Stand
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_resolution import Question

if t.TYPE_CHECKING:
    from packaging.version import Version

Replaced = list[dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What is wished of ``provider``, which fills ``module``, in one of ``versions``.

    stands: by the names of the others, the versions of their shims.
    """

    module: str
    provider: str
    versions: tuple[Version, ...]
    stands: c.Mapping[str, c.Sequence[Stand]]

    def settle(self, question: Question, joint: bool) -> tuple[list[Line], Replaced]:
        """The lines of the question, of which those that give way only name their package; and these, for the lock.

        An entry of python_packages wins over others, and a file by its URL over the URLs of those it stands for.
        joint: whether the others have to agree. Raises FleetError when they do not.
        """
        replaced: Replaced = []
        lines = list(question.lines)
        for number, line in enumerate(lines):
            if line.url and line.name in self.stands:
                lines[number] = line.bare()
                replaced.append(self._gave_way(line, self.provider, "one package fills it"))
        if not joint:
            return lines, replaced
        overridden = {line.name for line in question.overrides}
        concerned = [line for line in lines if line.name in {self.provider, *self.stands} - overridden]
        concerned += [line for line in question.overrides if line.name in {self.provider, *self.stands}]
        if self._suits(concerned):
            return lines, replaced
        losers = self._losers(concerned, question.environment.where)
        winners = "; ".join(line.text.partition("#")[0] for line in concerned if line.demand.owner == SPEC)
        why = "they cannot be met together, and python_packages overrides"
        replaced += [self._gave_way(line, f"{SPEC}: {winners}", why) for line in losers]
        return [line.bare() if line in losers else line for line in lines], replaced

    def _losers(self, lines: c.Sequence[Line], where: str) -> list[Line]:
        """The lines that the spec's own contradict. Raises FleetError when the spec does not decide."""
        own = [line for line in lines if line.demand.owner == SPEC or not line.demand.is_of_code]
        others = [line for line in lines if line not in own]
        losers = [line for line in others if not self._suits([*own, line])]
        if not own or not self._suits([line for line in lines if line not in losers]):
            raise self._disagreement(lines, where)
        return losers

    def _disagreement(self, lines: c.Sequence[Line], where: str) -> FleetError:
        wishes = "".join(f"\n  {line}" for line in lines if line.is_choosy)
        best = max(self.versions, key=lambda version: (sum(self._meets(line, version) for line in lines), version))
        return FleetError(
            f"one package fills the module {self.module}, {self.provider}, and no version of it suits all:{wishes}",
            where=where,
            remedy=f'Put "{self.provider}=={best}" into python_packages: it counts in the place of the lines that it'
            " contradicts",
        )

    def _suits(self, lines: c.Sequence[Line]) -> bool:
        return any(all(self._meets(line, version) for line in lines) for version in self.versions)

    def _meets(self, line: Line, version: Version) -> bool:
        """Whether that version of the provider gives what the line asks for."""
        specifier = line.requirement.specifier
        if line.name == self.provider:
            return bool(line.url) or specifier.contains(version, prereleases=True)
        stands = [stand for stand in self.stands[line.name] if version in stand.stands_for]
        return any(specifier.contains(stand.version, prereleases=True) for stand in stands)

    def _gave_way(self, line: Line, by: str, why: str) -> dict[str, str]:
        text = line.written or line.text
        return {"owner": line.demand.owner, "line": text, "by": by, "why": f"of {self.module}: {why}"}
