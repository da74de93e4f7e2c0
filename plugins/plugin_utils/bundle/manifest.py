# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a bundle: what it is for, and each of its files with sha256 and size."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import hashlib
import json
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

FORMAT: t.Final = 1
NAME: t.Final = "manifest.json"


class Listed(t.NamedTuple):
    """A file. size: bytes."""

    sha256: str
    size: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself. targets: of the lock; models: whether it has models; uv: its machine type."""

    version: str
    targets: tuple[str, ...]
    models: bool
    uv: str
    files: c.Mapping[str, Listed]

    def text(self) -> str:
        """As it is written: JSON with a sha256 of all that it says, so that a slip in it is seen."""
        document = self._document()
        return json.dumps({**document, "sha256": _digest(document)}, indent=1, sort_keys=True) + "\n"

    def _document(self) -> dict[str, t.Any]:
        return {
            "format": FORMAT,
            "version_id": self.version,
            "targets": list(self.targets),
            "models": self.models,
            "uv": self.uv,
            "files": {name: file._asdict() for name, file in self.files.items()},
        }


def read_manifest(text: bytes, where: str) -> Manifest:
    """The manifest of a text. Raises FleetError for one that is none, or that was altered."""
    try:
        document = json.loads(text)
        said = document.pop("sha256")
        if document["format"] != FORMAT:
            raise FleetError(
                f"the bundle has the format {document['format']}, and this release reads {FORMAT}",
                where=where,
                remedy="Write it again with bundle.yml",
            )
        if said != _digest(document):
            raise FleetError(f"{NAME} was altered", where=where, remedy="Copy it again, or write it with bundle.yml")
        return Manifest(
            version=str(document["version_id"]),
            targets=tuple(document["targets"]),
            models=bool(document["models"]),
            uv=str(document["uv"]),
            files={name: Listed(str(file["sha256"]), int(file["size"])) for name, file in document["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FleetError(
            f"{NAME} is no manifest of a bundle ({type(error).__name__}: {error})",
            where=where,
            remedy="Copy it again, or write it with bundle.yml",
        ) from error


def _digest(document: c.Mapping[str, t.Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
