# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A spec that is written for a person to go on with."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Finding, shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import (
    SpecInvalid,
    VersionUnknown,
    known_versions,
    load,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.read import display_name
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.schema import misfits

_CORE: t.Final = {"repo": "https://github.com/comfyanonymous/ComfyUI", "ref": "master"}
_LOCK: t.Final = ".lock"


def new_spec(
    directory: pathlib.Path, version: str, extends: str | None, fragment: c.Mapping[str, t.Any]
) -> tuple[pathlib.Path, dict[str, t.Any]]:
    """The path and the document of a new spec, which is checked as any other. extends: a version that is there.

    Raises FleetError for what cannot be an id, VersionUnknown for a base that is not there, SpecInvalid when the spec
    could not be used.
    """
    _check_id(version)
    known = known_versions(directory)
    if extends is not None and extends not in known:
        raise VersionUnknown(extends, str(directory), known)
    base = {"extends": extends} if extends else {"comfy": _CORE}
    document = {"schema_version": 3, "version_id": version, **base, **fragment}
    with tempfile.TemporaryDirectory(prefix="spec.") as scratch:
        for name in known:
            (pathlib.Path(scratch) / f"{name}.json").symlink_to((directory / f"{name}.json").resolve())
        trial = pathlib.Path(scratch) / f"{version}.json"
        trial.unlink(missing_ok=True)
        trial.write_text(json.dumps(document), encoding="utf-8")
        try:
            load(trial.parent, version)
        except SpecInvalid as error:
            raise SpecInvalid(_renamed(error, str(trial), display_name(directory / trial.name))) from error
    return directory / f"{version}.json", document


def _check_id(version: str) -> None:
    """Raises FleetError for what cannot be a file's name without ``.json``; locks are in files of other names."""
    found = misfits({"schema_version": 3, "version_id": version, "comfy": _CORE})
    if found or version.endswith(_LOCK):
        raise FleetError(
            f"{shown(version)} is no version id",
            where="version",
            remedy="Write letters, digits, '.', '_' and '-', at most 64, the first a letter or a digit, and no '.lock'"
            " at the end",
        )


def _renamed(error: SpecInvalid, trial: str, name: str) -> list[Finding]:
    """The findings, those of the file that was tried as if it were the one that is to be written."""
    return [dataclasses.replace(each, file=name) if each.file == trial else each for each in error.findings]
