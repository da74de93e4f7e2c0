# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requirements an environment does not meet; run by its own Python, so nothing of ours is imported here.

pip, which every environment has, brings the library that knows the rules (PEP 440, PEP 508).
"""

from __future__ import annotations

import collections.abc as c
import importlib
import importlib.metadata
import json
import sys
import typing as t

# Who asks, what for, and the version that is there (None: not installed).
Unmet = dict[str, t.Any]


class Checker:
    """Asks the environment with the directory of packages ``site``.

    exempt: canonical names about which the spec has decided; nobody's wish about them counts.
    """

    def __init__(self, site: str, exempt: c.Iterable[str]) -> None:
        sys.path.insert(0, site)
        self._requirement = importlib.import_module("pip._vendor.packaging.requirements").Requirement
        self._canonical = importlib.import_module("pip._vendor.packaging.utils").canonicalize_name
        self._exempt = frozenset(exempt)
        found = importlib.metadata.distributions(path=[site])
        self._installed = {self._canonical(each.metadata["Name"]): each for each in found}
        self._asked: set[tuple[str, str]] = set()

    def unmet_line(self, line: str) -> list[Unmet]:
        """What is unmet of one requirement line of core, a node or the spec, with the extras that it asks for."""
        requirement = self._requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            return []
        return self._unmet(requirement, "", line)

    def unmet_metadata(self) -> list[Unmet]:
        """What is unmet of the installed packages' own requirements, as C(pip check) says it."""
        return [each for name in sorted(self._installed) for each in self._unmet_of(name, "")]

    def _unmet(self, requirement: t.Any, package: str, text: str) -> list[Unmet]:
        name = self._canonical(requirement.name)
        if name in self._exempt:
            return []
        installed = self._installed.get(name)
        version = installed.version if installed else None
        # A requirement by URL is met by what the lock made of it: one file, checked by its hash.
        if version is None or not (requirement.url or requirement.specifier.contains(version, prereleases=True)):
            return [{"package": package, "requirement": text, "name": name, "installed": version}]
        return [each for extra in sorted(requirement.extras) for each in self._unmet_of(name, extra)]

    def _unmet_of(self, name: str, extra: str) -> list[Unmet]:
        """What is unmet of a package's requirements, or of those that ``extra`` adds; each is asked for once."""
        if (name, extra) in self._asked:
            return []
        self._asked.add((name, extra))
        unmet: list[Unmet] = []
        for text in self._installed[name].requires or []:
            requirement = self._requirement(text)
            marker = requirement.marker
            plain = marker is None or marker.evaluate({"extra": ""})
            wanted = not plain and marker.evaluate({"extra": extra}) if extra else plain
            if wanted:
                unmet += self._unmet(requirement, name, text)
        return unmet


def main() -> None:
    """Read the question from standard input and write the answer to standard output, both JSON."""
    question = json.load(sys.stdin)
    checker = Checker(question["site"], question["exempt"])
    lines = [
        {"owner": owner["owner"], "file": owner["file"], "line": line, **unmet}
        for owner in question["requirements"]
        for line in owner["lines"]
        for unmet in checker.unmet_line(line)
    ]
    json.dump(lines + checker.unmet_metadata(), sys.stdout)


if __name__ == "__main__":
    main()
