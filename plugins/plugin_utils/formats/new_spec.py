# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A spec that is written for a person to go on with."""

from __future__ import annotations

import collections.abc as c
import json
import pathlib
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.load import VersionUnknown, known_versions, load

_CORE: t.Final = {"repo": "https://github.com/comfyanonymous/ComfyUI", "ref": "master"}


def new_spec(
    directory: pathlib.Path, version: str, extends: str | None, fragment: c.Mapping[str, t.Any]
) -> tuple[pathlib.Path, dict[str, t.Any]]:
    """The path and the document of a new spec, which is checked as any other. extends: a version that is there.

    Raises VersionUnknown for a base that is not there, SpecInvalid when the spec could not be used.
    """
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
        load(trial.parent, version)
    return directory / f"{version}.json", document
