# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in's buildPythonPackage runs: install a wheel, or build a source with its backend and install that.

Arguments: the wheel or source, the output, site-packages below it, ``1`` for a wheel, the directory of the source that
is built, and what it is built with.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path


def unpacked(source: Path, directory: Path) -> Path:
    """The source as a directory that may be written."""
    if source.is_dir():
        place = directory / source.name.partition("-")[2]
        shutil.copytree(source, place, symlinks=True)
        for path in (place, *place.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o200)
        return place
    with tarfile.open(source) as archive:
        archive.extractall(directory, filter="data")
    (place,) = directory.iterdir()
    return place


def built(source: Path, scratch: Path, root: str, paths: list[str]) -> Path:
    """The wheel of a source."""
    place = unpacked(source, scratch)
    os.chdir(scratch / root if root else place)
    sys.path[:0] = paths
    project = Path("pyproject.toml")
    # PEP 517: a project without one is setuptools'.
    system = tomllib.loads(project.read_text(encoding="utf-8") if project.is_file() else "").get("build-system", {})
    sys.path[:0] = system.get("backend-path", [])
    module, _colon, attribute = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
    backend = importlib.import_module(module)
    backend = getattr(backend, attribute) if attribute else backend
    wheels = scratch / "wheels"
    wheels.mkdir()
    return wheels / str(backend.build_wheel(str(wheels)))


def main() -> None:
    """Fills the output."""
    source, output, packages, is_wheel, root, *tools = sys.argv[1:]
    site = Path(output, packages)
    site.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        paths = [f"{tool}/{packages}" for tool in tools]
        wheel = Path(source) if is_wheel else built(Path(source), Path(scratch), root, paths)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


main()
