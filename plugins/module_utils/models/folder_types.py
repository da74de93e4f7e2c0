# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where ComfyUI looks for models: the folder types of a core, and the extra_model_paths.yaml that adds MODELS_DIR.

The reader's rules are those of ComfyUI's utils/extra_config.py and folder_paths.py: a key is a folder type, its value
one directory a line below ``base_path``. A type that the core does not know lists files of every kind.
"""

from __future__ import annotations

import ast
import collections.abc as c
import json
import posixpath

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

FILE_NAME = "extra_model_paths.yaml"
TYPES_FILE = "folder_paths.py"
SECTION = "comfyops_fleet"
_TABLE = "folder_names_and_paths"
_MODELS_DIRECTORY = "models_dir"
# Code, which belongs to the build; and the core's own configurations, which MODELS_DIR does not replace.
_NOT_FOR_MODELS = frozenset({"custom_nodes"})
_ONLY_WHEN_USED = frozenset({"configs"})

_HEADING = f"""\
# Written by comfyops.fleet; a converge writes it anew. The names are those of this build's {TYPES_FILE}.
# ComfyUI puts each directory before those that it has, so the last line of a type is the one it looks into first.
"""


def folder_types(source: str) -> dict[str, tuple[str, ...]]:
    """The folder types of a core's ``folder_paths.py``: name to directories below its models directory, in order.

    Raises FleetError when it has none: then it is not the file that this knows.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise _unknown(f"is not Python ({error})") from error
    found: dict[str, tuple[str, ...]] = {}
    for node in tree.body:
        name, value = _entry(node)
        directories = _directories(value) if value is not None else ()
        if name is not None and directories:
            found[name] = tuple(directories)
    if not found:
        raise _unknown(f"has no entries of {_TABLE} below {_MODELS_DIRECTORY}")
    return found


def _unknown(what: str) -> FleetError:
    return FleetError(what, where=TYPES_FILE, remedy="The collection does not know this kind of core: report it")


def _entry(node: ast.stmt) -> tuple[str | None, ast.expr | None]:
    """Name and value of ``folder_names_and_paths["name"] = value``."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return None, None
    target = node.targets[0]
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name) or target.value.id != _TABLE:
        return None, None
    key = target.slice
    return (key.value, node.value) if isinstance(key, ast.Constant) and isinstance(key.value, str) else (None, None)


def _directories(value: ast.expr) -> list[str]:
    """Of ``([os.path.join(models_dir, "a"), ...], extensions)`` the directories; those elsewhere are left out."""
    first = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else None
    paths = [_below_models(each) for each in first.elts] if isinstance(first, ast.List) else []
    return [path for path in paths if path is not None]


def _below_models(call: ast.expr) -> str | None:
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr != "join":
        return None
    base, *parts = call.args
    names = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    below = isinstance(base, ast.Name) and base.id == _MODELS_DIRECTORY
    return posixpath.join(*names) if below and names and len(names) == len(parts) else None


def render(types: c.Mapping[str, c.Sequence[str]], models_directory: str, paths: c.Iterable[str]) -> str:
    """The text of extra_model_paths.yaml. paths: of the locked models, relative to MODELS_DIR.

    A top directory of theirs that no type covers becomes a type of its own: nodes register such names themselves.
    """
    used = {path.partition("/")[0] for path in paths if "/" in path}
    kept = {
        name: directories
        for name, directories in types.items()
        if name not in _NOT_FOR_MODELS and (name not in _ONLY_WHEN_USED or used & set(directories))
    }
    covered = {directory.partition("/")[0] for directories in types.values() for directory in directories}
    own = {name: (name,) for name in sorted(used - covered - _NOT_FOR_MODELS - set(types))}
    lines = [_HEADING + f"{SECTION}:", f"  base_path: {_quoted(models_directory)}", "  is_default: true"]
    for name, directories in {**kept, **own}.items():
        lines.append(f"  {_quoted(name)}: {_value(directories)}")
    return "\n".join(lines) + "\n"


def _value(directories: c.Sequence[str]) -> str:
    if len(directories) == 1:
        return _quoted(directories[0])
    # With is_default the reader puts each line before the ones it has: written backwards, the core's order comes out.
    return "\n    ".join(["|-", *reversed(directories)])


def _quoted(text: str) -> str:
    """A YAML double-quoted scalar; JSON's escapes are among YAML's (YAML 1.2 section 1.3)."""
    return json.dumps(text, ensure_ascii=False)
