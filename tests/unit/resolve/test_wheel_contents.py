# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels that are read: once, whole, and no other than their names say."""

from __future__ import annotations

import hashlib
import io
import resource
import time
import typing as t
import zipfile

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import patience
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.index_pages import ListedFile
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_contents import (
    check_names,
    read_content,
    read_metadata,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_look import look_into
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.wheel_reading import read_all, sizes_of
from tests.support.forge import Fault
from tests.support.forge.distributions import Project, wheel

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.support.forge import Forge, Release

ACCESS = Access()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.01, 0.02))


def listed(release: Release, **more: t.Any) -> ListedFile:
    return ListedFile(release.filename, release.url, **more)


def gets(forge: Forge) -> int:
    """Requests for a file's content since it was asked last."""
    found = [request for request in forge.requests if request.method == "GET"]
    forge.forget_requests()
    return len(found)


def test_a_wheel_is_read_once_while_it_stays_as_it_is(forge: Forge, tmp_path: Path) -> None:
    release = forge.index().wheel("box", "1.0+cu1")
    for times in (1, 0):
        content = read_content(listed(release), ACCESS, tmp_path)
        assert (content.sha256, content.size) == (release.sha256, release.size)
        assert b"Version: 1.0+cu1" in content.metadata
        assert gets(forge) == times
    other = forge.index().wheel("box", "1.0+cu1", modules={"box.py": "A = 1\n"})
    assert read_content(listed(other), ACCESS, tmp_path).sha256 == other.sha256 != release.sha256
    assert gets(forge) == 1


def test_a_wheel_of_this_machine_is_read_each_time(tmp_path: Path) -> None:
    name, content = wheel(Project("box", "1.0"))
    path = tmp_path / "my wheels" / name
    path.parent.mkdir()
    file = ListedFile(name, path.as_uri())
    with pytest.raises(FleetError, match=r"box-1.0-py3-none-any.whl: cannot be read: No such file"):
        read_content(file, ACCESS, tmp_path)
    path.write_bytes(content)
    found = read_content(file, ACCESS, tmp_path)
    assert (found.sha256, found.size) == (hashlib.sha256(content).hexdigest(), len(content))


def test_metadata_is_read_without_the_rest(forge: Forge, tmp_path: Path) -> None:
    release = forge.index().wheel("box", "1.0", requires=["lid"], modules={"box.py": "#" * 3_000_000})
    assert b"Requires-Dist: lid" in read_metadata(listed(release), ACCESS, tmp_path)
    ranges = [request.headers.get("range", "all") for request in forge.requests]
    assert 2 <= len(ranges) <= 4
    assert "all" not in ranges
    assert sum(request.sent for request in forge.requests) < 700_000


def test_metadata_of_a_server_without_ranges_and_of_what_is_no_wheel(forge: Forge, tmp_path: Path) -> None:
    release = forge.index().wheel("box", "1.0", requires=["lid"])
    forge.faults.add(Fault("no-range", "/files/pypi/*"))
    assert b"Requires-Dist: lid" in read_metadata(listed(release), ACCESS, tmp_path)
    other = forge.index().publish("lid-1.0-py3-none-any.whl", b"PK" * 99, b"Name: lid\nVersion: 1.0\n")
    forge.faults.clear()
    for file in (listed(other), ListedFile("cap-1.0-py3-none-any.whl", release.url)):
        with pytest.raises(
            FleetError, match=f"{file.url}: (is no wheel|cap-1.0-py3-none-any.whl holds|.* holds box 1.0)"
        ):
            read_metadata(file, ACCESS, tmp_path)


@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        (Fault("html", "/files/pypi/box*"), "is no wheel: it begins with b'<!DOCTYPE html>"),
        (Fault("short-body", "/files/pypi/box*"), "came short: |broke off"),
        (Fault("lying-length", "/files/pypi/box*"), "came short: |broke off"),
        (Fault("status", "/files/pypi/box*", status=404), "answers 404"),
        (Fault("drop", "/files/pypi/box*"), "cannot be reached"),
        (Fault("redirect-loop", "/files/pypi/box*"), "redirects in a circle"),
    ],
)
def test_what_is_not_read(forge: Forge, tmp_path: Path, sabotage: Fault, reason: str) -> None:
    release = forge.index().wheel("box", "1.0")
    forge.faults.add(sabotage)
    with pytest.raises(FleetError, match=reason) as caught:
        read_content(listed(release), ACCESS, tmp_path)
    assert release.url in str(caught.value)


def test_a_connection_that_breaks_once_is_no_fault(forge: Forge, tmp_path: Path) -> None:
    release = forge.index().wheel("box", "1.0")
    forge.faults.add(Fault("short-body", "/files/pypi/box*", times=1))
    assert read_content(listed(release), ACCESS, tmp_path).sha256 == release.sha256


def test_no_room_to_read(forge: Forge, tmp_path: Path) -> None:
    release = forge.index().wheel("box", "1.0", modules={"box.py": "#" * 400_000})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(FleetError, match=f"{tmp_path}/wheel-contents: {release.filename} cannot be kept there"):
            read_content(listed(release), ACCESS, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_content(listed(release), ACCESS, tmp_path).sha256 == release.sha256


def test_another_size_than_the_index_says(forge: Forge, tmp_path: Path) -> None:
    release = forge.index().wheel("box", "1.0")
    with pytest.raises(FleetError, match=f"has {release.size} bytes, and its index says 7"):
        read_content(listed(release, size=7), ACCESS, tmp_path)


def archive(members: dict[str, str]) -> zipfile.ZipFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        for name, text in members.items():
            written.writestr(name, text)
    return zipfile.ZipFile(buffer)


def said(name: str, version: str, tags: str) -> zipfile.ZipFile:
    """A wheel that says this of itself."""
    lines = "".join(f"Tag: {tag}\n" for tag in tags.split())
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    information = f"{name}-{version}.dist-info"
    return archive({f"{information}/METADATA": metadata, f"{information}/WHEEL": f"Wheel-Version: 1.0\n{lines}"})


@pytest.mark.parametrize(
    ("file", "name", "version", "tags"),
    [
        ("my_box-1.0-py3-none-any.whl", "My.Box", "1.0.0", "py2-none-any py3-none-any"),
        ("box-1.0+cu130-cp312-cp312-manylinux_2_28_x86_64.whl", "box", "1.0+CU130", "cp312-cp312-linux_x86_64"),
        ("box-1.0-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "box", "1.0", "cp39-abi3-linux_x86_64"),
        ("box-1.0-2-py3-none-any.whl", "box", "1.0", ""),
    ],
)
def test_wheels_that_are_what_their_names_say(file: str, name: str, version: str, tags: str) -> None:
    assert check_names(file, said(name, version, tags)).startswith(b"Metadata-Version")


@pytest.mark.parametrize(
    ("file", "name", "version", "tags", "reason"),
    [
        ("box-1.0-py3-none-any.whl", "lid", "1.0", "", "holds lid 1.0, which is not what its name says"),
        ("box-1.0-py3-none-any.whl", "box", "1.1", "", "holds box 1.1, which is not what its name says"),
        ("box-1.0+cu130-py3-none-any.whl", "box", "1.0", "", "holds box 1.0, which is not"),
        ("box-1.0-py3-none-any.whl", "box", "none", "", "holds box none, which is not"),
        ("box-1.0.whl", "box", "1.0", "", "is no name of a wheel"),
        (
            "box-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
            *("box", "1.0", "cp312-cp312-linux_aarch64"),
            "was built for cp312-cp312-linux_aarch64",
        ),
        ("box-1.0-cp312-cp312-linux_x86_64.whl", "box", "1.0", "cp311-cp311-linux_x86_64", "was built for cp311"),
        ("box-1.0-cp314-cp314t-linux_x86_64.whl", "box", "1.0", "cp314-cp314-linux_x86_64", "was built for cp314"),
    ],
)
def test_wheels_that_are_not(file: str, name: str, version: str, tags: str, reason: str) -> None:
    with pytest.raises(FleetError, match=reason):
        check_names(file, said(name, version, tags))


def test_an_archive_with_two_distributions() -> None:
    members = {f"box-{each}.dist-info/{file}": "" for each in ("1.0", "2.0") for file in ("METADATA", "WHEEL")}
    for found in (members, {"box/__init__.py": ""}):
        with pytest.raises(FleetError, match=r"it has not one directory \.dist-info"):
            check_names("box-1.0-py3-none-any.whl", archive(found))


def test_an_archive_that_ships_the_metadata_of_others() -> None:
    vendored: dict[str, str | bytes] = {"box/_vendor/lid-1.0.dist-info/METADATA": "Name: lid\n"}
    file, content = wheel(Project("box", "1.0", modules=vendored))
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        assert b"Name: box" in check_names(file, made)


def spoiled(damage: str) -> bytes:
    """A wheel whose archive a reader may stumble over."""
    metadata = "Metadata-Version: 2.1\nName: box\nVersion: 1.0\n"
    if damage == "too much":
        metadata += "\n" + "\0" * (17 << 20)
    buffer = io.BytesIO()
    method = zipfile.ZIP_LZMA if damage == "packing" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(buffer, "w", method) as written:
        written.writestr("box-1.0.dist-info/METADATA", metadata)
        written.writestr("box-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    content = bytearray(buffer.getvalue())
    directory = content.find(b"PK\x01\x02")
    if damage == "password":
        content[6] |= 1
        content[directory + 8] |= 1
    elif damage == "name":
        content[directory + 9] |= 8
        content[directory + 46] = 0xFF
    elif damage == "packing":
        data = 30 + len("box-1.0.dist-info/METADATA")
        content[data + 9 : data + 20] = b"\xff" * 11
    return bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("password", "is encrypted"),
        ("name", "'utf-8' codec"),
        ("packing", "Corrupt"),
        ("too much", r"its box-1\.0\.dist-info/METADATA has \d+ bytes"),
    ],
)
def test_an_archive_that_breaks_its_readers_is_no_wheel(forge: Forge, tmp_path: Path, damage: str, reason: str) -> None:
    file = "box-1.0-py3-none-any.whl"
    (tmp_path / file).write_bytes(spoiled(damage))
    release = forge.index().publish(file, spoiled(damage), b"Name: box\nVersion: 1.0\n")
    here = ListedFile(file, (tmp_path / file).as_uri())
    for read in (
        lambda: read_content(here, ACCESS, tmp_path),
        lambda: read_metadata(listed(release), ACCESS, tmp_path),
    ):
        with pytest.raises(FleetError, match=f"is no wheel: .*{reason}"):
            read()
    for look in look_into([here, listed(release)], ACCESS, tmp_path):
        assert isinstance(look, FleetError)
        assert "is no wheel: " in str(look)


def test_what_one_server_says_of_a_hash_is_not_believed_of_another(forge: Forge, tmp_path: Path) -> None:
    own = forge.index().wheel("box", "1.0", requires=["lid"])
    other = forge.index("other").wheel("box", "1.0", requires=["evil"])
    lie = ListedFile(other.filename, other.url.replace("127.0.0.1", "localhost"), sha256=own.sha256)
    looks = [look_into([file], ACCESS, tmp_path)[0] for file in (lie, listed(own, sha256=own.sha256))]
    assert [b"Requires-Dist: evil" in getattr(look, "metadata", b"") for look in looks] == [True, False]
    forge.forget_requests()
    look_into([lie, listed(own, sha256=own.sha256)], ACCESS, tmp_path)
    assert forge.requests == []


def test_many_are_read_at_once_with_word_of_how_far_it_is(forge: Forge, tmp_path: Path) -> None:
    names = ("box", "lid", "cap", "cup", "mug", "jar")
    releases = [forge.index().wheel(name, "1.0", modules={f"{name}.py": "#" * 400_000}) for name in names]
    forge.faults.add(Fault("rate", "/files/pypi/*", rate=400_000))
    forge.faults.add(Fault("status", "/files/pypi/lid*", status=410, methods=("GET", "HEAD")))
    notes: list[str] = []
    began = time.monotonic()
    files = [listed(release) for release in releases]
    results = read_all(files, ACCESS, tmp_path, notes.append, interval=0.2)
    assert time.monotonic() - began < 4
    assert [getattr(result, "sha256", "fault") for result in results] == [
        "fault" if release.name == "lid" else release.sha256 for release in releases
    ]
    assert 1 <= len(notes) <= 8
    assert notes[-1].startswith("reading 6 wheels for their sha256: ")
    assert notes[-1].endswith(" of 2 MB or more")
    sizes = sizes_of(files, ACCESS)
    assert [size for size in sizes if not isinstance(size, FleetError)] == [r.size for r in releases if r.name != "lid"]
    assert "410" in str(sizes[1])
