# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that a lock names for hosts that have none: found in a directory or behind a URL, entered by its hash."""

from __future__ import annotations

import collections.abc as c
import hashlib
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import interpreters
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.interpreters import locked_interpreter
from tests.support.forge import Forge

PLATFORM = "x86_64-manylinux_2_28"
TRIPLE = "x86_64-unknown-linux-gnu"
Document = dict[str, t.Any]


def name(version: str, date: str, triple: str = TRIPLE, stripped: str = "_stripped") -> str:
    """An archive's name."""
    return f"cpython-{version}+{date}-{triple}-install_only{stripped}.tar.gz"


ARCHIVES = (
    name("3.12.9", "20250101"),
    name("3.12.10", "20250201"),
    name("3.12.10", "20250301"),
    name("3.12.10", "20250301", stripped=""),
    name("3.12.11", "20250401", "aarch64-unknown-linux-gnu"),
    name("3.12.11", "20250401", "x86_64-unknown-linux-musl"),
    name("3.13.0", "20250401"),
    name("3.12.12", "20250501").replace("install_only", "freethreaded-install_only"),
)
BEST = ARCHIVES[2]


def locked(
    mirror: str | None,
    python: str = "3.12",
    *,
    platform: str = PLATFORM,
    kept: Document | None = None,
    upgrade: c.Collection[str] = (),
) -> Document | None:
    """The lock's entry."""
    return locked_interpreter(mirror, python, platform, kept, upgrade, Access())


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    """A mirror that is a directory, as uv's own would be copied."""
    for each in (*ARCHIVES, "SHA256SUMS", "notes.txt"):
        place = tmp_path / "mirror" / each.partition("+")[2][:8] / each
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.encode())
    return tmp_path / "mirror"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_newest_that_fits_is_taken_from_a_directory(directory: pathlib.Path, scheme: str) -> None:
    assert locked(f"{scheme}{directory}") == {
        "version": "3.12.10",
        "file": BEST,
        "url": (directory / "20250301" / BEST).as_uri(),
        "sha256": hashlib.sha256(BEST.encode()).hexdigest(),
        "size": len(BEST),
    }


@pytest.mark.parametrize(
    ("python", "platform", "file"),
    [
        ("3.12.9", PLATFORM, ARCHIVES[0]),
        ("3.12", "aarch64-manylinux_2_17", ARCHIVES[4]),
        ("3.12", "x86_64-musllinux_1_2", ARCHIVES[5]),
        ("3.13", "x86_64-unknown-linux-gnu", ARCHIVES[6]),
    ],
)
def test_version_and_platform_decide(directory: pathlib.Path, python: str, platform: str, file: str) -> None:
    found = locked(str(directory), python, platform=platform)
    assert found is not None
    assert found["file"] == file


def test_without_a_mirror_there_is_none() -> None:
    assert locked(None) is None


def test_what_is_locked_stays_until_it_is_to_move(directory: pathlib.Path) -> None:
    old = locked(str(directory), "3.12.9")
    for mirror in (None, str(directory)):
        assert locked(mirror, kept=old) == old
        assert locked(mirror, kept=old, upgrade=["numpy"]) == old
    assert locked(None, kept=old, upgrade=["all"]) == old, "nobody says where another is"
    for upgrade in ("all", "python"):
        moved = locked(str(directory), kept=old, upgrade=[upgrade])
        assert moved is not None
        assert moved["version"] == "3.12.10"
    changed = locked(str(directory), "3.13", kept=old)
    assert changed is not None
    assert changed["version"] == "3.13.0"
    assert locked(None, "3.13", kept=old) is None


def test_what_is_there_is_told_when_nothing_fits(directory: pathlib.Path) -> None:
    with pytest.raises(FleetError) as caught:
        locked(str(directory), "3.14")
    assert f"has no Python 3.14 for {TRIPLE} (there is: 3.12.10 for {TRIPLE}, " in str(caught.value)
    with pytest.raises(FleetError, match="is no directory"):
        locked(str(directory / "nowhere"))


@pytest.fixture
def forge(tmp_path: pathlib.Path) -> c.Iterator[Forge]:
    """A site."""
    with Forge(tmp_path / "forge") as forge:
        yield forge


def test_a_url_with_sums_is_not_read_whole(forge: Forge) -> None:
    """One place with files and SHA256SUMS: the sum is taken, and enforced when a host gets the file."""
    for each in ARCHIVES:
        forge.model(f"pythons/{each}", each.encode())
    sums = "".join(f"{hashlib.sha256(each.encode()).hexdigest()}  {each}\n" for each in ARCHIVES)
    forge.model("pythons/SHA256SUMS", sums.encode())
    found = locked(f"{forge.base_url}/models/pythons/")
    assert found is not None
    assert found["url"] == f"{forge.base_url}/models/pythons/{BEST.replace('+', '%2B')}"
    assert (found["sha256"], found["size"]) == (hashlib.sha256(BEST.encode()).hexdigest(), len(BEST))
    assert {request.method for request in forge.requests if request.path.endswith(".gz")} == {"HEAD"}


@pytest.mark.parametrize("with_sums", [True, False])
def test_a_mirror_of_the_releases_has_what_uv_knows(
    forge: Forge, with_sums: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [url for url in interpreters._known_to_uv("3.12") if TRIPLE in url]
    date, file = max(known).split("/")[-2:]
    body = b"an archive"
    monkeypatch.setattr(interpreters, "_known_to_uv", lambda _python: [max(known)])
    forge.model(f"pbs/{date}/{file.replace('%2B', '+')}", body)
    if with_sums:
        line = f"{'a' * 64}  {file.replace('%2B', '+')}\n"
        forge.model(f"pbs/{date}/SHA256SUMS", line.encode())
    found = locked(f"{forge.base_url}/models/pbs")
    assert found is not None
    assert found["url"] == f"{forge.base_url}/models/pbs/{date}/{file}"
    assert found["sha256"] == ("a" * 64 if with_sums else hashlib.sha256(body).hexdigest())
    assert found["size"] == len(body)


def test_a_mirror_that_fails_is_told(forge: Forge) -> None:
    forge.fault("status", "/models/*", status=503)
    with pytest.raises(FleetError, match=r"comfy_python_mirror: .* answers 503"):
        locked(f"{forge.base_url}/models/pythons")
    with pytest.raises(FleetError, match="plain http"):
        locked("http://mirror.example/pythons")


def test_a_file_that_the_mirror_lacks_is_told(forge: Forge) -> None:
    with pytest.raises(FleetError, match="answers 404"):
        locked(f"{forge.base_url}/models/nothing")
