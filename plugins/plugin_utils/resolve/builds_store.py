# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheels that were built, kept beside the locks that name them, each with what it was built of.

``<versions>/wheels/<first 12 of sha256>/<file>`` and ``<file>.json``: what has the same inputs is not built again.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.held import named_by_content
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import sha256_of

Record = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class BuiltWheel:
    """A wheel that was built, as the lock has it. source: ``git`` or ``sdist``; size in bytes."""

    name: str
    version: str
    file: str
    sha256: str
    size: int
    path: pathlib.Path
    source: str
    built_from: c.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Store:
    """The wheels of a directory of versions: its ``wheels``. others: directories that are looked into as well."""

    directory: pathlib.Path
    others: tuple[pathlib.Path, ...] = ()

    def find(self, inputs: Record, preferred: str | None, requires: c.Sequence[Record] | None) -> BuiltWheel | None:
        """A wheel that was built of ``inputs``, its bytes checked.

        preferred: the sha256 of the one to take when there are several. requires: only one of exactly these.
        """
        found = []
        for path in (path for place in (self.directory, *self.others) for path in sorted(place.glob("*/*.whl.json"))):
            record = _read(path)
            fits = record.get("inputs") == inputs and requires in (None, record.get("requires"))
            wheel = path.with_name(path.name.removesuffix(".json"))
            if fits and wheel.is_file() and sha256_of(wheel) == record["sha256"]:
                found.append(_wheel(record, wheel))
        found.sort(key=lambda wheel: wheel.sha256 != preferred)
        return found[0] if found else None

    def lost(self, packages: c.Iterable[c.Mapping[str, t.Any]]) -> list[str]:
        """The names of the lock's packages that were built and whose wheel is not here."""
        places = (self.directory, *self.others)
        return [
            package["name"]
            for package in packages
            if package["built_from"]
            and not any(named_by_content(place, package["sha256"], package["file"]).is_file() for place in places)
        ]

    def keep(self, wheel: pathlib.Path, record: Record) -> BuiltWheel:
        """Put a wheel and its record into the store. record: name, version, inputs, requires, python, builder.

        Raises FleetError when it cannot be written.
        """
        sha256 = sha256_of(wheel)
        place = named_by_content(self.directory, sha256, wheel.name)
        document = {**record, "file": wheel.name, "sha256": sha256, "size": wheel.stat().st_size}
        text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open("rb") as content:
                _write(place, content)
            with tempfile.TemporaryFile() as stream:
                stream.write(text.encode())
                stream.seek(0)
                _write(place.with_name(f"{place.name}.json"), stream)
        except OSError as error:
            raise FleetError(
                f"a wheel that was built cannot be kept ({error.strerror})",
                where=str(place),
                remedy="Set comfy_versions_dir to a directory that you may write",
            ) from error
        return _wheel(document, place)


def _write(place: pathlib.Path, content: t.IO[bytes]) -> None:
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as stream:
        shutil.copyfileobj(content, stream)
    os.chmod(stream.name, 0o644)
    os.replace(stream.name, place)


def _read(path: pathlib.Path) -> Record:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _wheel(record: Record, path: pathlib.Path) -> BuiltWheel:
    source = record["inputs"]["source"]
    return BuiltWheel(
        name=record["name"],
        version=record["version"],
        file=record["file"],
        sha256=record["sha256"],
        size=record["size"],
        path=path,
        source="git" if "git" in source else "sdist",
        built_from={**source, "requires": record["requires"], "python": record["python"]},
    )
