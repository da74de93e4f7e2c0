# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The custom nodes of a spec."""

from __future__ import annotations

import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.git_revisions import read_revision
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import (
    COMFY_HOME,
    comparable,
    relative_problem,
    segment_problem,
    split_root,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import read_requirement_lines
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.urls import REPOSITORY, url_problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import (
    as_flag,
    as_list,
    as_object,
    as_text,
    as_texts,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings, Location

FOLDER: t.Final = f"{COMFY_HOME}/custom_nodes"

OWNED_BY_CORE: t.Final = frozenset({"__pycache__", "example_node.py.example", "websocket_image_save.py"})
"""What ComfyUI itself has in custom_nodes, and what it never loads from there."""


def read_nodes(values: object, at: Location, findings: Findings, *, allow_http: bool) -> list[dict[str, t.Any]]:
    """Give the strict meaning of custom_nodes."""
    nodes = [
        _read_node(as_object(entry), (*at, index), findings, allow_http) for index, entry in enumerate(as_list(values))
    ]
    _check_duplicates(nodes, at, findings)
    return nodes


def node_directory(entry: Mapping[str, t.Any]) -> str | None:
    """Give the name of a node's directory as its entry says it, unchecked."""
    target = as_text(entry.get("target_dir"))
    if target:
        return target.rstrip("/").rpartition("/")[2]
    return as_text(entry.get("name")) or repository_name(as_text(entry.get("repo")) or "")


def repository_name(repo: str) -> str | None:
    """Give the name that git clone would give the checkout."""
    path = repo.partition("?")[0].partition("#")[0].rstrip("/").removesuffix("/.git")
    return path.replace(":", "/").rpartition("/")[2].removesuffix(".git") or None


def check_repository(entry: Mapping[str, t.Any], at: Location, findings: Findings, allow_http: bool) -> str:
    """Check the key repo of an entry and give it."""
    repo = as_text(entry.get("repo")) or ""
    problem = url_problem(repo, REPOSITORY, allow_http=allow_http) if repo else None
    if problem:
        findings.error((*at, "repo"), *problem)
    return repo


def _read_node(entry: dict[str, t.Any], at: Location, findings: Findings, allow_http: bool) -> dict[str, t.Any]:
    directory = node_directory(entry) or ""
    _check_directory(entry, directory, at, findings)
    revision = read_revision(entry, at, findings)
    return {
        "name": as_text(entry.get("name")) or directory,
        "directory": directory,
        "repo": check_repository(entry, at, findings, allow_http),
        "ref": revision.ref,
        "commit": revision.commit,
        "requirements": _read_requirements(entry, at, findings),
        "submodules": as_flag(entry.get("submodules"), True),
        "install_script": _read_install_script(entry.get("install_script"), (*at, "install_script"), findings),
        "enabled": as_flag(entry.get("enabled"), True),
        "registry": _read_registry(entry.get("registry")),
        "writable": _read_writable(entry.get("writable"), (*at, "writable"), findings),
    }


def _check_directory(entry: Mapping[str, t.Any], directory: str, at: Location, findings: Findings) -> None:
    target = as_text(entry.get("target_dir"))
    place = (*at, next((key for key in ("target_dir", "name") if as_text(entry.get(key))), "repo"))
    if target:
        root, rest = split_root(target.rstrip("/"))
        if root not in {None, "COMFY_HOME"} or rest != f"custom_nodes/{directory}":
            findings.error(
                place, f"{shown(target)} is no directory of custom_nodes", f"Write {FOLDER}/<name of the directory>"
            )
            return
    problem = _directory_problem(directory) if directory else None
    if problem:
        findings.error(
            place, f"cannot be the name of a directory: {problem}", f"Set target_dir to {FOLDER}/<another name>"
        )


def _directory_problem(directory: str) -> str | None:
    if comparable(directory) in OWNED_BY_CORE:
        return f"{shown(directory)} belongs to ComfyUI itself"
    if directory.startswith("."):
        return f"{shown(directory)} begins with '.', as the folders of tools do"
    if directory.lower().endswith(".disabled"):
        return f"{shown(directory)} ends with '.disabled', which ComfyUI does not load (to switch a node off: enabled)"
    return segment_problem(directory)


def _read_requirements(entry: Mapping[str, t.Any], at: Location, findings: Findings) -> bool | str | list[str]:
    install, given = entry.get("install_requirements"), entry.get("requirements")
    place = (*at, "requirements")
    if install is False and isinstance(given, (str, list)):
        findings.error(place, "is there although install_requirements is false", "Keep one of the two")
    if isinstance(given, str) and given:
        _check_inside(given, place, findings)
        return given
    if isinstance(given, list):
        return read_requirement_lines(given, place, findings)
    return install is not False and given is not False


def _read_install_script(value: object, at: Location, findings: Findings) -> bool | str:
    if value is True:
        return "install.py"
    if not isinstance(value, str) or not value:
        return False
    _check_inside(value, at, findings)
    return value


def _read_registry(value: object) -> dict[str, t.Any] | None:
    registry = as_object(value)
    return {"id": registry.get("id"), "version": as_text(registry.get("version"))} if registry else None


def _read_writable(value: object, at: Location, findings: Findings) -> list[str]:
    paths = as_texts(value)
    for index, path in enumerate(paths):
        _check_inside(path, (*at, index), findings)
        for earlier in paths[:index]:
            if f"{path}/".startswith(f"{earlier}/") or f"{earlier}/".startswith(f"{path}/"):
                findings.error((*at, index), f"{shown(path)} and {shown(earlier)} overlap", "Keep the outer one")
    return paths


def _check_inside(path: str, at: Location, findings: Findings) -> None:
    problem = relative_problem(path)
    if problem:
        findings.error(at, *problem)
    elif comparable(path.partition("/")[0]) == ".git":
        findings.error(at, f"{shown(path)} is git's own", "Name a file of the node")


def _check_duplicates(nodes: list[dict[str, t.Any]], at: Location, findings: Findings) -> None:
    first: dict[tuple[str, str], int] = {}
    for index, node in enumerate(nodes):
        for key in ("directory", "name"):
            earlier = first.setdefault((key, comparable(node[key])), index)
            if node[key] and earlier != index:
                reason = f"has the {key} {shown(node[key])}, as custom node {earlier} has"
                remedy = "Take one of the two out, or give them different values of name and target_dir"
                findings.error((*at, index), reason, remedy)
                break
