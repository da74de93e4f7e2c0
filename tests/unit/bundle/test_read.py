# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not exactly a bundle of the lock that is asked for is refused."""

from __future__ import annotations

import json
import os
import pathlib
import shutil

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.manifest import Listed, Manifest
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.read import open_bundle, refuse_another
from tests.unit.bundle.conftest import Library


def named(library: Library, start: str) -> str:
    return next(name for name in sorted(library.read().manifest.files) if name.startswith(start))


@pytest.mark.parametrize("start", ["agent", "files", "git", "models", "versions"])
def test_each_kind_of_file_is_missed(library: Library, start: str) -> None:
    library.write()
    name = named(library, start)
    (library.path() / name).unlink()
    with pytest.raises(FleetError, match=f"{name} is missing"):
        library.read()


@pytest.mark.parametrize("start", ["agent", "files", "git", "models", "versions"])
def test_one_altered_byte_is_seen_also_in_what_was_read_before(library: Library, start: str) -> None:
    library.write()
    file = library.path() / named(library, start)
    status = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(FleetError, match="was altered"):
        library.read()


def test_a_tar_that_was_cut_off_or_altered(library: Library) -> None:
    library.write("tar")
    piece = library.read("tar").pieces["agent/uv"]
    content = bytearray(library.path("tar").read_bytes())
    content[piece.offset] ^= 1
    library.path("tar").write_bytes(content)
    with pytest.raises(FleetError, match="agent/uv was altered"):
        library.read("tar")
    library.path("tar").write_bytes(content[: len(content) // 2])
    with pytest.raises(FleetError, match=r"no manifest\.json"):
        library.read("tar")


def test_a_manifest_that_was_altered_or_is_gone(library: Library) -> None:
    library.write()
    path = library.path() / "manifest.json"
    document = json.loads(path.read_text())
    document["files"].popitem()
    path.write_text(json.dumps(document))
    with pytest.raises(FleetError, match=r"manifest\.json was altered"):
        library.read()
    path.write_text("{}")
    with pytest.raises(FleetError, match="no manifest of a bundle"):
        library.read()
    path.unlink()
    with pytest.raises(FleetError, match="incomplete"):
        library.read()


def test_a_manifest_that_is_not_of_its_lock(library: Library) -> None:
    library.write()
    manifest = library.read().manifest
    wheel, model = named(library, "files"), named(library, "models")
    files = {name: file for name, file in manifest.files.items() if name != wheel}
    files[model] = Listed("0" * 64, files[model].size)
    forged = Manifest(manifest.version, manifest.targets, manifest.models, manifest.uv, files)
    (library.path() / "manifest.json").write_text(forged.text())
    with pytest.raises(FleetError, match=f"{wheel}, which its lock names, is missing; {model} has another sha256"):
        library.read()


def test_another_version_or_lock(library: Library, tmp_path: pathlib.Path) -> None:
    library.write()
    bundle = library.read()
    versions = tmp_path / "versions"
    with pytest.raises(FleetError, match="of the version test, and other is asked for"):
        refuse_another(bundle, "other", None)
    refuse_another(bundle, "test", None)
    refuse_another(bundle, "test", versions)
    shutil.copytree(library.directory / "versions", versions)
    refuse_another(bundle, "test", versions)
    library.models.pop()
    library.write_lock()
    with pytest.raises(FleetError, match="lock is another than"):
        refuse_another(bundle, "test", library.directory / "versions")


def test_what_is_no_bundle(library: Library) -> None:
    with pytest.raises(FleetError, match=r"can not be read \(File name too long\).* with bundle.yml"):
        open_bundle(library.directory / ("x" * 300))
    with pytest.raises(FleetError, match="there is no bundle"):
        library.read()
    library.path().mkdir(parents=True)
    with pytest.raises(FleetError, match="incomplete"):
        library.read()
