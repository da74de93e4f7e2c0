# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of a spec: source, checksum, and where the file goes."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.hashes import in_hexadecimal
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_source import ModelSource
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.model_sources import read_source
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import (
    CACHE_HOME,
    COMFY_HOME,
    MODELS_DIR,
    comparable,
    relative_problem,
    segment_problem,
    split_root,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import (
    as_flag,
    as_integer,
    as_list,
    as_object,
    as_text,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings, Location

SCHEMA_WITH_FOLDERS: t.Final = 3

# hf:, organisation, repository, revision: what is beyond is a folder of it.
_FOLDER_PARTS: t.Final = 4
_BELOW_A_NODE = re.compile(r"custom_nodes/[^/]+/.+")
_SHA256_CHECKSUM = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_BARE_SHA256 = re.compile(r"(?:sha-?256[-=])?([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_EMPTY_FILE = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_TARGET_REMEDY = f"Write {MODELS_DIR}/<folder>/<file> or {COMFY_HOME}/custom_nodes/<node>/<file>"
_ROOTS = frozenset(variable.removeprefix("$") for variable in (MODELS_DIR, COMFY_HOME, CACHE_HOME))


def read_models(
    values: object, at: Location, findings: Findings, *, node_directories: frozenset[str], schema: int, allow_http: bool
) -> list[dict[str, t.Any]]:
    """Give the strict meaning of models. node_directories are those of the custom nodes that are installed."""
    models = []
    for index, value in enumerate(as_list(values)):
        entry, place = as_object(value), (*at, index)
        source = _read_source(entry, place, findings, schema, allow_http)
        target = _read_target(entry, source, place, findings) if source else None
        if target:
            _check_owner(target, place, findings, node_directories)
        models.append(_normalized(entry, source, target, place, findings))
    _check_overlaps(models, at, findings)
    return models


def model_target(entry: Mapping[str, t.Any]) -> str | None:
    """Give the path of a model as its entry says it; nothing when the entry is not right."""
    source = read_source(as_text(entry.get("source")) or "", allow_http=True)
    target = None if isinstance(source, Problem) or _is_only_cached(entry) else _target(entry, source)
    return target if isinstance(target, str) else None


def _normalized(
    entry: Mapping[str, t.Any], source: ModelSource | None, target: str | None, at: Location, findings: Findings
) -> dict[str, t.Any]:
    return {
        "name": (_name(entry, source) if source else None) or _last_part(target, source),
        "source": source.text if source else None,
        "paths": [target] if target else [],
        "sha256": _read_checksum(entry, source, at, findings),
        "size": _read_size(entry, source, at, findings),
        "optional": as_flag(entry.get("optional"), False),
        "hf_cache": _read_cache(entry, source, at, findings),
    }


def _last_part(target: str | None, source: ModelSource | None) -> str:
    """The name of a folder: that of its target, or else its own, or its repository's."""
    text = target or (source.text.replace("@", "/", 1) if source else "")
    parts = [part for part in text.split("/") if part and not set("*[") & set(part)]
    if target or len(parts) > _FOLDER_PARTS:
        return parts[-1]
    return parts[-2] if len(parts) > 1 else ""


def _read_source(
    entry: Mapping[str, t.Any], at: Location, findings: Findings, schema: int, allow_http: bool
) -> ModelSource | None:
    text, place = as_text(entry.get("source")), (*at, "source")
    if text is None:
        return None
    source = read_source(text, allow_http=allow_http)
    if isinstance(source, Problem):
        findings.error(place, *source)
        return None
    if source.quirk:
        findings.warning(place, *source.quirk)
    if source.folder and schema < SCHEMA_WITH_FOLDERS:
        findings.error(
            place, "a folder of a repository needs schema_version 3", "Set schema_version to 3, or name a file"
        )
    return source


def _read_size(entry: Mapping[str, t.Any], source: ModelSource | None, at: Location, findings: Findings) -> int | None:
    size = as_integer(entry.get("size"))
    if size is not None and source and source.folder:
        findings.error((*at, "size"), "is one size for a whole folder", "Leave it out: the lock has one for each file")
    return size


def _read_cache(entry: Mapping[str, t.Any], source: ModelSource | None, at: Location, findings: Findings) -> bool:
    cached = as_flag(entry.get("hf_cache"), False)
    if cached and source and not source.text.startswith("hf://"):
        findings.error((*at, "hf_cache"), "is for files of the Hub, and this is none", "Take it out")
    return cached


def _is_only_cached(entry: Mapping[str, t.Any]) -> bool:
    """Whether a model is nowhere but in the Hub's cache."""
    targets = ("target_path", "path", "target_subdir")
    return as_flag(entry.get("hf_cache"), False) and not any(as_text(entry.get(key)) for key in targets)


def _name(entry: Mapping[str, t.Any], source: ModelSource) -> str | None:
    return as_text(entry.get("name")) or source.file_name


def _read_target(entry: Mapping[str, t.Any], source: ModelSource, at: Location, findings: Findings) -> str | None:
    name = as_text(entry.get("name"))
    problem = segment_problem(name) if name else None
    if problem:
        remedy = "Write a plain file name; folders go into target_subdir"
        findings.error((*at, "name"), f"cannot be the name of a file: {problem}", remedy)
        return None
    if _is_only_cached(entry):
        return None
    keys = [key for key in ("target_path", "path") if as_text(entry.get(key))]
    targets = {key: _canonical(as_text(entry.get(key)) or "", folder=False) for key in keys}
    if len(set(targets.values())) > 1:
        findings.error((*at, "path"), "names another path than target_path does", "Keep one of the two")
        return None
    target = _target(entry, source)
    if isinstance(target, Problem):
        place = (*at, *[key for key in (*keys, "target_subdir") if as_text(entry.get(key))][:1])
        findings.error(place, *target)
        return None
    _check_subdir(entry, target, at, findings, explicit=bool(keys))
    return target


def _check_subdir(entry: Mapping[str, t.Any], target: str, at: Location, findings: Findings, explicit: bool) -> None:
    subdir, place = as_text(entry.get("target_subdir")), (*at, "target_subdir")
    if subdir and explicit:
        folder = _canonical(subdir, folder=True)
        if folder != f"{target.rstrip('/').rpartition('/')[0]}/":
            findings.error(place, "is another folder than that of target_path", "Keep one of the two")
    elif not subdir and not explicit:
        findings.warning(
            at,
            f"has no target, so it goes to {target}, where ComfyUI does not look: it looks into the folders there",
            "Set target_subdir, such as loras",
        )


def _target(entry: Mapping[str, t.Any], source: ModelSource) -> str | Problem:
    explicit = as_text(entry.get("target_path")) or as_text(entry.get("path"))
    subdir, name = as_text(entry.get("target_subdir")), _name(entry, source)
    if source.folder:
        if not (explicit or subdir):
            return Problem("is a folder without a place to go", "Set target_subdir")
        return _canonical(explicit or subdir or "", folder=True)
    if explicit and not explicit.endswith("/"):
        return _canonical(explicit, folder=False)
    if not name:
        return Problem(
            "has no name: the source does not tell it before the download",
            "Set name (with its extension), or target_path",
        )
    return _canonical(f"{(explicit or subdir or MODELS_DIR).rstrip('/')}/{name}", folder=False)


def _canonical(path: str, *, folder: bool) -> str | Problem:
    """Write a path as $MODELS_DIR/..., $COMFY_HOME/custom_nodes/... or $XDG_CACHE_HOME/...: by default the first."""
    root, rest = split_root(path)
    rest = rest.rstrip("/") if folder else rest
    if root is None and rest.startswith("models/"):
        return Problem(f"{shown(path)} would be {MODELS_DIR}/{rest}", "Leave the 'models/' out")
    if root == "COMFY_HOME" and rest.startswith("models/"):
        root, rest = "MODELS_DIR", rest.removeprefix("models/")
    if root is not None and root not in _ROOTS:
        return Problem(f"{shown(path)} begins with a variable that is not known here", _TARGET_REMEDY)
    if not rest:
        return Problem(f"{shown(path)} names a directory and no file", _TARGET_REMEDY)
    problem = relative_problem(rest)
    if problem:
        return Problem(f"{shown(path)}: {problem.reason}", _TARGET_REMEDY)
    if root == "COMFY_HOME" and not _BELOW_A_NODE.fullmatch(f"{rest}/" if folder else rest):
        return Problem(f"{shown(path)} is no place for a model", _TARGET_REMEDY)
    return f"${root or 'MODELS_DIR'}/{rest}{'/' if folder else ''}"


def _check_owner(target: str, at: Location, findings: Findings, node_directories: frozenset[str]) -> None:
    root, rest = split_root(target)
    directory = rest.split("/")[1] if root == "COMFY_HOME" else None
    if directory is not None and directory not in node_directories:
        findings.error(
            at,
            f"goes to {shown(target)}, but no custom node that is installed has the directory {shown(directory)}",
            f"Add the node to custom_nodes, or put the model below {MODELS_DIR}",
        )


def _read_checksum(
    entry: Mapping[str, t.Any], source: ModelSource | None, at: Location, findings: Findings
) -> str | None:
    checksum, place = as_text(entry.get("checksum")), (*at, "checksum")
    if checksum is None:
        return None
    match = _SHA256_CHECKSUM.fullmatch(checksum)
    if not match:
        findings.error(place, *_checksum_problem(checksum))
        return None
    digest = match[1].lower()
    if source and source.folder:
        findings.error(place, "is one checksum for a whole folder", "Leave it out: the lock has one for each file")
    if len(set(digest)) == 1:
        findings.error(place, "is a placeholder, not the sha256 of a file", "Write the real one, or leave it out")
    if digest == _EMPTY_FILE:
        findings.error(place, "is the sha256 of an empty file", "Write that of the model, or leave it out")
    return digest


def _checksum_problem(checksum: str) -> Problem:
    bare = _BARE_SHA256.fullmatch(checksum)
    if bare:
        return Problem("has no algorithm", f"Write sha256:{bare[1].lower()}")
    known = in_hexadecimal(checksum)
    if known:
        return Problem(f"{shown(checksum)} is not hexadecimal", f"Write sha256:{known}, which is the same")
    algorithm, colon, digest = checksum.partition(":")
    if colon and algorithm.lower() != "sha256":
        remedy = "Write sha256:<64 hexadecimal characters> ('sha256sum file' prints them), or leave it out"
        return Problem(f"{shown(algorithm)} is not accepted: only sha256 is", remedy)
    length = len(digest if colon else checksum)
    remedy = "Write sha256: and the 64 hexadecimal characters that 'sha256sum file' prints"
    return Problem(
        f"{shown(checksum)} is no sha256: it has {length} characters where 64 hexadecimal ones belong", remedy
    )


def _check_overlaps(models: list[dict[str, t.Any]], at: Location, findings: Findings) -> None:
    """Report models that would go to the same path, or to a path inside of another model's."""
    owners: dict[str, int] = {}
    for index, path in ((index, path) for index, model in enumerate(models) for path in model["paths"]):
        earlier = owners.setdefault(comparable(path), index)
        if earlier != index:
            findings.error(
                (*at, index),
                f"goes to {path}, as model {earlier} does",
                "Take one of the two out, or give them different targets",
            )
    for folded, index in owners.items():
        parts = folded.split("/")
        for end in range(2, len(parts)):
            inner = owners.get("/".join(parts[:end]))
            if inner is not None:
                findings.error(
                    (*at, index),
                    f"goes to {models[index]['paths'][0]}, inside of model {inner}, which is a file",
                    "Give one of the two another target",
                )
