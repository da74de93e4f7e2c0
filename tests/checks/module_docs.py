# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation of modules must have beyond what ansible-test demands: python -m tests.checks.module_docs.

Every module says how it behaves (the house attributes), its examples name it in full, every returned value has a
sample, and the action group in meta/runtime.yml has exactly the modules of the collection.
"""

from __future__ import annotations

import json
import subprocess
import typing as t

import yaml

from tests.checks.checkout import COLLECTION, MODULES, ROOT, report, tool

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ATTRIBUTES = ("action_group", "check_mode", "diff_mode", "idempotent", "platform")


def documentation(names: list[str]) -> dict[str, t.Any]:
    """Give what ansible-doc says about the modules, fragments included."""
    command = [tool("ansible-doc"), "--type", "module", "--json", *names]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    documents: dict[str, t.Any] = json.loads(printed)
    return documents


def without_sample(values: dict[str, t.Any], path: str = "") -> Iterator[str]:
    """Give the paths of returned values that have no sample, neither themselves nor in what they contain."""
    for name, value in values.items():
        here = f"{path}{name}"
        if "sample" in value:
            continue
        if "contains" in value:
            yield from without_sample(value["contains"], f"{here}.")
        else:
            yield here


def module_problems(name: str, document: dict[str, t.Any]) -> Iterator[str]:
    """Check one module."""
    attributes = document["doc"].get("attributes", {})
    for attribute in ATTRIBUTES:
        if "support" not in attributes.get(attribute, {}):
            yield f"{name}: the attribute {attribute} is missing (fragment {COLLECTION}.attributes)"
    if f"{name}:" not in (document.get("examples") or ""):
        yield f"{name}: EXAMPLES do not use {name} by its full name"
    returned = document.get("return") or {}
    if not returned:
        yield f"{name}: RETURN is empty"
    for path in without_sample(returned):
        yield f"{name}: RETURN {path} has no sample"


def action_group_problems() -> Iterator[str]:
    """Compare the action group with the modules."""
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    group = runtime["action_groups"]["comfy"]
    for name in sorted(set(MODULES) - set(group)):
        yield f"meta/runtime.yml: the action group comfy lacks {name}"
    for name in sorted(set(group) - set(MODULES)):
        yield f"meta/runtime.yml: the action group comfy names {name}, which is no module"


def main() -> int:
    """Check all modules."""
    names = [f"{COLLECTION}.{module}" for module in MODULES]
    documents = documentation(names) if names else {}
    problems = [*action_group_problems()]
    for name in names:
        if name in documents:
            problems.extend(module_problems(name, documents[name]))
        else:
            problems.append(f"{name}: ansible-doc finds no documentation")
    return report("module documentation", problems)


if __name__ == "__main__":
    raise SystemExit(main())
