# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a document to its strict meaning: the one form that the lock is made from, with all keys present.

The result depends on what the document says alone: not on the order of its keys, the file's place, or this machine.
"""

from __future__ import annotations

import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.contradictions import check_contradictions
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.custom_nodes import check_repository, read_nodes
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.environment import (
    PYTHON_VARIABLE,
    check_caches,
    named_python,
    read_environment,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.git_revisions import read_revision
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.launch import (
    read_launch,
    read_smoke,
    read_system,
    read_verify,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.models import read_models
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.python_settings import read_python
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import read_packages
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import as_flag, as_integer, as_object, as_text

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings


def normalize(document: object, version: str, findings: Findings) -> dict[str, t.Any]:
    """Give the strict meaning of the spec of a version and report what the JSON Schema cannot say.

    The document may be any JSON; what has the wrong type counts as absent, as the schema has reported it. The result is
    of use only when no error was found.
    """
    spec = as_object(document)
    _check_version_id(spec, version, findings)
    policy = as_object(spec.get("policy"))
    allow_http = as_flag(policy.get("allow_http"), False)
    nodes = read_nodes(spec.get("custom_nodes"), ("custom_nodes",), findings, allow_http=allow_http)
    env = read_environment(spec.get("env"), ("env",), findings)
    python = read_python(spec.get("python"), ("python",), findings, allow_http=allow_http)
    _choose_python(python, env, findings)
    options = as_object(spec.get("options"))
    models = read_models(
        spec.get("models"),
        ("models",),
        findings,
        node_directories=frozenset(node["directory"] for node in nodes if node["enabled"]),
        schema=as_integer(spec.get("schema_version")) or 0,
        allow_http=allow_http,
    )
    check_caches(env, models, ("env",), findings)
    return {
        "version_id": version,
        "comfy": _read_core(spec.get("comfy"), findings, allow_http),
        "custom_nodes": nodes,
        "models": models,
        "python_packages": _read_python_packages(spec, python, findings, allow_http),
        "python": python,
        "env": env,
        "options": {key: as_flag(options.get(key), False) for key in ("offline", "skip_models")},
        "system": read_system(spec.get("system")),
        "launch": read_launch(spec.get("launch"), ("launch",), findings),
        "smoke": read_smoke(spec.get("smoke"), ("smoke",), findings),
        "verify": read_verify(spec.get("verify")),
        "policy": {
            "allow_http": allow_http,
            "pickle": as_text(policy.get("pickle")) or "allow",
            "unhashed": as_text(policy.get("unhashed")) or "refuse",
        },
    }


def _check_version_id(spec: dict[str, t.Any], version: str, findings: Findings) -> None:
    old, new = as_text(spec.get("id")), as_text(spec.get("version_id"))
    if old and new and old != new:
        findings.error(("id",), f"{shown(old)} is not the version_id {shown(new)}", "Take 'id' out")
    elif old:
        findings.warning(("id",), "is the old spelling of version_id", f"Write version_id: {shown(old)}")
    found = new or old
    if found and found != version:
        place = ("version_id",) if new else ("id",)
        remedy = f"Write {shown(version)}, or rename the file to {shown(f'{found}.json')}"
        findings.error(place, f"{shown(found)} is not the file's name, {shown(version)}", remedy)


def _read_core(value: object, findings: Findings, allow_http: bool) -> dict[str, t.Any]:
    entry = as_object(value)
    revision = read_revision(entry, ("comfy",), findings)
    repo = check_repository(entry, ("comfy",), findings, allow_http)
    return {"repo": repo, "ref": revision.ref, "commit": revision.commit}


def _choose_python(python: dict[str, t.Any], env: dict[str, str], findings: Findings) -> None:
    named, version = named_python(env, ("env",), findings), python["version"]
    if named and version and not (f"{version}.".startswith(f"{named}.") or f"{named}.".startswith(f"{version}.")):
        reason = f"names Python {named}, but python.version is {version}, which counts"
        findings.warning(("env", PYTHON_VARIABLE), reason, "Take one of the two out")
    python["version"] = version or named


def _read_python_packages(
    spec: dict[str, t.Any], python: dict[str, t.Any], findings: Findings, allow_http: bool
) -> list[dict[str, t.Any]]:
    packages = read_packages(
        spec.get("python_packages"),
        ("python_packages",),
        findings,
        index_names=frozenset(index["name"] for index in python["indexes"]),
        allow_http=allow_http,
    )
    check_contradictions(packages, python["exclude"], findings)
    return [package.normalized for package in packages]
