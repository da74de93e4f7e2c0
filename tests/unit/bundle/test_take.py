# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host lacks of a bundle comes to its place, whole, and nowhere else."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pathlib
import tarfile

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.arrivals import (
    MODEL,
    REPOSITORY,
    Arrival,
    Contained,
    arrivals_of,
    plan,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.bundle.take import take
from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.mirror import has_commit, mirror_path
from ansible_collections.comfyops.fleet.plugins.module_utils.drift import drift_of
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.read import Bundle
from tests.unit.bundle.conftest import UV, Library


@dataclasses.dataclass
class Host:
    """A bare host, and the bundle that is for it."""

    root: pathlib.Path
    bundle: Bundle
    settings: Settings = dataclasses.field(default_factory=Settings)

    @property
    def context(self) -> Context:
        lock = read_lock(self.bundle.lock)
        return Context(lock, lock.targets["default"], Layout(self.root), self.settings)

    def lacking(self) -> list[Arrival]:
        files = {name: (file.sha256, file.size) for name, file in self.bundle.manifest.files.items()}
        return arrivals_of(drift_of(self.context, None, switch=False), Contained(files, os.uname().machine))

    def arrive(self) -> list[Arrival]:
        """All that it lacks, as the control node brings it."""
        arrivals = self.lacking()
        for each in arrivals:
            each.path.parent.mkdir(parents=True, exist_ok=True)
            each.path.write_bytes(self.bundle.pieces[each.name].read())
        return arrivals


@pytest.fixture
def host(library: Library, tmp_path: pathlib.Path) -> Host:
    """A host whose servers are gone once the bundle is there."""
    library.write()
    library.forge.close()
    return Host(tmp_path / "machine", library.read())


def test_all_that_is_lacking_comes_to_its_place(host: Host, library: Library) -> None:
    assert {each.name for each in host.lacking()} == {
        name for name in host.bundle.manifest.files if not name.startswith("versions/")
    }
    assert not host.root.exists()
    take(host.context, host.arrive())
    assert host.lacking() == []
    mirrors = Layout(host.root).git_mirrors
    repositories = (library.core, library.node)
    for repository, commit in zip(repositories, library.commits, strict=True):
        assert has_commit(mirror_path(mirrors, repository.url), commit)
    for model in library.models:
        blob = host.root / "store" / "sha256" / model["sha256"][:2] / model["sha256"]
        assert blob.stat().st_mode & 0o777 == 0o444
        assert blob.stat().st_nlink == 1
    cache = host.root / "cache"
    places = {path.name: path.parent.parent.name for path in cache.rglob("*.whl")}
    only_here = {"inhouse-2.0-py3-none-any.whl": "pushed"}
    assert places == {**dict.fromkeys([str(each["file"]) for each in library.packages], "fetched"), **only_here}
    assert not (cache / "bundle").exists()
    assert list((host.root / "store" / "partial").iterdir()) == []
    (uv,) = host.root.glob("agent/uv-*/uv")
    assert uv.read_bytes() == UV
    assert os.access(uv, os.X_OK)


def test_a_model_that_the_host_has_elsewhere_is_not_brought(host: Host, tmp_path: pathlib.Path) -> None:
    models = [each for each in host.lacking() if each.kind == MODEL]
    old = tmp_path / "old" / "any name.bin"
    old.parent.mkdir()
    old.write_bytes(host.bundle.pieces[models[0].name].read())
    host.settings = Settings(model_search_paths=(old.parent,))
    assert [each for each in host.lacking() if each.kind == MODEL] == models[1:]


def test_a_model_that_came_is_not_read_again(host: Host) -> None:
    take(host.context, host.arrive())
    receipts = (host.root / "state" / "receipts" / "models.json").read_text()
    for sha256 in (each.sha256 for each in host.context.lock.models):
        blob = host.root / "store" / "sha256" / sha256[:2] / sha256
        assert f'"ctime_ns": {blob.stat().st_ctime_ns}' in receipts


def test_what_did_not_arrive_whole_is_brought_again(host: Host) -> None:
    arrivals = host.arrive()
    wrong = next(each for each in arrivals if each.kind == MODEL)
    wrong.path.write_bytes(wrong.path.read_bytes()[:-1] + b"!")
    with pytest.raises(FleetError, match=f"{wrong.name} of the bundle did not arrive whole"):
        take(host.context, arrivals)
    assert not wrong.path.exists()
    assert not (host.root / "store" / "sha256").exists()
    there = {each.name: each.have for each in host.lacking()}
    assert there == {each.name: 0 if each == wrong else each.size for each in arrivals}
    take(host.context, host.arrive())
    assert host.lacking() == []


def test_room_is_asked_for_what_is_still_to_come(host: Host) -> None:
    drift = drift_of(host.context, None, switch=False)
    before = sum(need.size for need in plan(host.lacking(), drift).needs)
    arrivals = host.arrive()
    drift = drift_of(host.context, None, switch=False)
    assert before - sum(need.size for need in plan(arrivals, drift).needs) == sum(each.size for each in arrivals)


def test_a_bundle_for_other_hosts_is_refused(host: Host) -> None:
    wheel = next(name for name in host.bundle.manifest.files if name.startswith("files/"))
    files = {name: file for name, file in host.bundle.manifest.files.items() if name != wheel}
    host.bundle = dataclasses.replace(host.bundle, manifest=dataclasses.replace(host.bundle.manifest, files=files))
    with pytest.raises(FleetError, match=f"the bundle has no {wheel}"):
        host.lacking()


def test_an_archive_of_a_repository_puts_nothing_elsewhere(host: Host, tmp_path: pathlib.Path) -> None:
    arrivals = host.arrive()
    archive = next(each for each in arrivals if each.kind == REPOSITORY)
    ran = tmp_path / "ran"
    with tarfile.open(archive.path, "a:") as content:
        for name in ("m/../../../escaped", "/escaped", "m/objects/../../escaped", "m/hooks/post-checkout", "escaped"):
            member = tarfile.TarInfo(name)
            member.size, member.mode = 4, 0o755
            content.addfile(member, io.BytesIO(b"evil"))
        settings = f"[uploadpack]\n\tpackObjectsHook = touch {ran}\n[core]\n\tfsmonitor = touch {ran}\n".encode()
        member = tarfile.TarInfo("m/config")
        member.size = len(settings)
        content.addfile(member, io.BytesIO(settings))
        link = tarfile.TarInfo("m/objects/info")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        content.addfile(link)
    sha256 = hashlib.sha256(archive.path.read_bytes()).hexdigest()
    altered = dataclasses.replace(archive, sha256=sha256, size=archive.path.stat().st_size)
    take(host.context, [altered if each == archive else each for each in arrivals])
    assert host.lacking() == []
    assert not ran.exists()
    assert not list(tmp_path.rglob("escaped"))
    assert not list(host.root.rglob("post-checkout"))
