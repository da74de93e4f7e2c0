# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether all that says which variables the role has says the same: python -m tests.checks.role_docs.

An entry point documents exactly the variables that its tasks use, with their defaults; the role's README names every
entry point and variable, and no others; the inventories name only variables that the role has.
"""

from __future__ import annotations

import re
import typing as t

import yaml

from tests.checks.checkout import ROOT, report

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = ROOT / "roles" / "comfy"
Values = dict[str, t.Any]


def read(path: str) -> t.Any:
    """Give what a YAML file of the role says."""
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


class Variables:
    """The variables of the role, and those that it makes of them."""

    def __init__(self) -> None:
        self.defaults: Values = read("defaults/main.yml")
        self._values: Values = {**self.defaults, **read("vars/main.yml")}

    def used_by(self, tasks: str) -> set[str]:
        """Give the variables that a file of tasks uses, in values of others and in tasks that it includes too."""
        text = (ROLE / "tasks" / tasks).read_text(encoding="utf-8")
        includes = re.findall(r"(?:import|include)_tasks: (.*)", text)
        # A name may be chosen by an expression.
        included = [name for line in includes for name in re.findall(r"[\w-]+\.yml", line)]
        return self._named(text, set()).union(*(self.used_by(each) for each in included)) & self.defaults.keys()

    def _named(self, text: str, known: set[str]) -> set[str]:
        for name in re.findall(r"(?<![\w.])(?:__)?comfy_\w+", text):
            if name in self._values and name not in known:
                known.add(name)
                self._named(str(self._values[name]), known)
        return known


def entry_problems(name: str, options: Values, variables: Variables) -> Iterator[str]:
    """Compare what an entry point documents with what its tasks use."""
    where = f"roles/comfy/meta/argument_specs.yml: {name}"
    if not (ROLE / "tasks" / f"{name}.yml").is_file():
        yield f"{where}: there is no tasks/{name}.yml"
        return
    used = variables.used_by(f"{name}.yml")
    yield from (f"{where}: {each} is used and not documented" for each in sorted(used - options.keys()))
    yield from (f"{where}: {each} is documented and not used" for each in sorted(options.keys() - used))
    for each in sorted(used & options.keys()):
        said, meant = options[each].get("default"), variables.defaults[each]
        is_computed = isinstance(meant, str) and ("{{" in meant or not meant)
        if said != (None if is_computed else meant):
            yield f"{where}: {each} has the default {said!r}, and defaults/main.yml says {meant!r}"


def readme_problems(specs: Values, known: set[str]) -> Iterator[str]:
    """Compare the README with what there is."""
    named = set(re.findall(r"`(\w+)`", (ROLE / "README.md").read_text(encoding="utf-8")))
    missing = sorted((specs.keys() | known) - named)
    yield from (f"roles/comfy/README.md: {name} is not in it" for name in missing)
    other = sorted(name for name in named - known if name.startswith("comfy_"))
    yield from (f"roles/comfy/README.md: {name} is no variable of the role" for name in other)


def inventory_problems(known: set[str]) -> Iterator[str]:
    """Look for variables in the inventories, in comments too, that the role has not."""
    for path in sorted((ROOT / "inventories").rglob("*.yml")):
        for name in re.findall(r"^(?:# )?\s*(comfy_\w+):", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if name not in known and path.name != "hosts.yml":
                yield f"{path.relative_to(ROOT)}: {name} is no variable of the role comfy"


def main() -> int:
    """Check the role, and the variables of the inventories."""
    variables = Variables()
    specs: Values = read("meta/argument_specs.yml")["argument_specs"]
    options = {name: spec.get("options", {}) for name, spec in specs.items()}
    known = {name for entry in options.values() for name in entry}
    problems = [problem for name, entry in options.items() for problem in entry_problems(name, entry, variables)]
    unknown = sorted(variables.defaults.keys() - known)
    problems += [f"roles/comfy/defaults/main.yml: {name} is of no entry point" for name in unknown]
    problems += [*readme_problems(options, known), *inventory_problems(known)]
    return report("documentation of the role", problems)


if __name__ == "__main__":
    raise SystemExit(main())
