# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the project's Python sources that no linter knows: python -m tests.checks.source_rules.

Every file begins with its licence, a docstring and postponed annotations; sources are ASCII; a function has at most 40
lines without its docstring; what runs on hosts imports nothing of the collection or of ansible-core that is not shipped
to them (module_utils).
"""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

from tests.checks.checkout import COLLECTION, ROOT, files, report

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# REUSE-IgnoreStart
LICENCE = [
    "# Copyright (c) 2026, the comfyops.fleet contributors",
    "# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
]
# REUSE-IgnoreEnd
LONGEST_FUNCTION = 40
HOST_FOLDERS = (Path("plugins/modules"), Path("plugins/module_utils"))
SHIPPED = ("ansible.module_utils", f"ansible_collections.{COLLECTION}.plugins.module_utils")


def is_host_code(path: Path) -> bool:
    """Say whether Ansible sends the file to hosts."""
    return any(path.is_relative_to(folder) for folder in HOST_FOLDERS)


def beginning(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    """Check the licence, the docstring and the postponed annotations."""
    if not text:
        return
    lines = [line for line in text.splitlines() if not line.startswith("#!")]
    if lines[: len(LICENCE)] != LICENCE:
        yield f"{path}:1: the file does not begin with the three lines of its licence (see CONTRIBUTING.md)"
    if ast.get_docstring(tree) is None and path.parent != Path("plugins/modules"):
        yield f"{path}:1: the file has no docstring that says what it is for"
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    if tree.body[1:] and not futures:
        yield f"{path}:1: from __future__ import annotations is missing"


def characters(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    """Check that there is nothing but ASCII."""
    for number, line in enumerate(text.splitlines(), start=1):
        strange = [character for character in line if not character.isascii()]
        if strange:
            yield f"{path}:{number}: a character that is not ASCII: {strange[0]!r}; write {strange[0]!a} in a string"


def lengths(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    """Check the length of every function, its docstring not counted."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        documented = ast.get_docstring(node) is not None
        docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
        length = (node.end_lineno or 0) - node.lineno + 1 - docstring
        if length > LONGEST_FUNCTION:
            yield f"{path}:{node.lineno}: {node.name} has {length} lines; {LONGEST_FUNCTION} are allowed"


def imported(node: ast.AST) -> list[str]:
    """Give the full names of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}"]
    return []


def imports(path: Path, text: str, tree: ast.Module) -> Iterator[str]:
    """Check that host code imports nothing that Ansible does not ship with it."""
    if not is_host_code(path):
        return
    for node in ast.walk(tree):
        for name in imported(node):
            ours = name.startswith(("ansible.", "ansible_collections."))
            shipped = any(name == prefix or name.startswith(f"{prefix}.") for prefix in SHIPPED)
            if name.startswith(".") or (ours and not shipped):
                line = getattr(node, "lineno", 1)
                yield f"{path}:{line}: {name} is not shipped to hosts: only module_utils are, and by their full names"


def main() -> int:
    """Check every Python file of the checkout."""
    problems: list[str] = []
    for path in files():
        if path.suffix != ".py":
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        tree = ast.parse(text, filename=str(path))
        for check in (beginning, characters, lengths, imports):
            problems.extend(check(path, text, tree))
    return report("source rules", problems)


if __name__ == "__main__":
    raise SystemExit(main())
