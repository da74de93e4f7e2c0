# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle has all that its lock names; what is there is not fetched again, whatever has ended the run before."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from tests.support.processes import environment, kill_tree
from tests.unit.bundle.conftest import UV, Library

FORMS = ("directory", "tar")


def kinds(library: Library, form: str) -> set[str]:
    return {name.partition("/")[0] for name in library.read(form).manifest.files}


@pytest.mark.parametrize("form", FORMS)
def test_it_has_all_and_a_second_run_asks_nobody(library: Library, form: str) -> None:
    assert library.write(form) == []
    assert kinds(library, form) == {"agent", "files", "git", "models", "versions"}
    bundle = library.read(form)
    assert bundle.pieces["agent/uv"].read() == UV
    assert (
        bundle.pieces["versions/test.lock.json"].read()
        == (library.directory / "versions" / "test.lock.json").read_bytes()
    )
    assert library.write(form) == ["nothing to do"]
    assert library.asked == []
    beside = {path.name for path in library.path(form).parent.iterdir()}
    assert beside == {library.path(form).name}


def test_a_tar_is_one_for_any_tar(library: Library) -> None:
    library.write("tar")
    listed = subprocess.run(["tar", "-tf", library.path("tar")], capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    assert set(listed.stdout.splitlines()) == {*library.read("tar").manifest.files, "manifest.json"}


def test_an_unpacked_tar_is_the_same_bundle(library: Library) -> None:
    library.write("tar")
    library.path().mkdir()
    subprocess.run(["tar", "-xf", library.path("tar"), "-C", library.path()], check=True)
    assert library.read().manifest == library.read("tar").manifest


@pytest.mark.parametrize("form", FORMS)
def test_a_killed_run_is_gone_on_with(library: Library, form: str) -> None:
    slow = library.model("slow", size=4_000_000)
    library.models.append(slow)
    library.write_lock()
    number = library.forge.fault("stall", "/models/slow*", after=3_000_000)
    command = [sys.executable, "-m", "tests.unit.bundle.writing", str(library.directory), form]
    with subprocess.Popen(command, env=environment()) as process:
        deadline = time.monotonic() + 60
        while not (len(came(library)) == len(MODELS) and part_of(library) > 1_000_000):
            assert time.monotonic() < deadline, "the first run did not get that far"
            time.sleep(0.05)
        time.sleep(0.5)
        kill_tree(process.pid)
    library.forge.faults.remove(number)
    with pytest.raises(FleetError, match=r"incomplete|no bundle"):
        library.read(form)
    library.write(form)
    assert not any(path.startswith(("/models/one", "/models/two", "/files", "/git")) for path in library.asked)
    (request,) = [each for each in library.forge.requests if each.path.startswith("/models/slow")]
    assert request.sent < 3_000_000, "the bytes that had come were not fetched again"
    assert slow["sha256"] in {file.sha256 for file in library.read(form).manifest.files.values()}


def test_a_tar_that_ends_within_a_file_is_gone_on_with(library: Library) -> None:
    library.write("tar")
    everything = len(library.asked)
    pieces = sorted(library.read("tar").pieces.values(), key=lambda piece: piece.offset)
    growing = library.path("tar").rename(library.path("tar").with_name("bundle.tar.unfinished"))
    os.truncate(growing, pieces[len(pieces) // 2].offset + 1)
    library.write("tar")
    assert len(library.asked) < everything
    listed = subprocess.run(["tar", "-tf", library.path("tar")], capture_output=True, text=True, check=True)
    assert sorted(listed.stdout.splitlines()) == sorted({*library.read("tar").manifest.files, "manifest.json"})


MODELS = ("/models/one.safetensors", "/models/two.safetensors")


def came(library: Library) -> set[str]:
    return {each.path for each in library.forge.requests if each.path in MODELS}


def part_of(library: Library) -> int:
    return max((path.stat().st_size for path in library.directory.glob("media/**/*.part")), default=0)


@pytest.mark.parametrize("form", FORMS)
def test_another_lock_takes_over_what_stays(library: Library, form: str) -> None:
    library.write(form)
    before = set(library.read(form).manifest.files)
    library.commits[1] = library.node.commit({"__init__.py": "NEW = 1\n"})
    library.models.pop()
    library.write_lock()
    library.write(form)
    assert library.asked
    assert all("palette" in path for path in library.asked), library.asked
    bundle = library.read(form)
    assert set(bundle.pieces) == {*bundle.manifest.files, "manifest.json"}
    assert len(before - set(bundle.manifest.files)) == 2, "the node's former archive, and the model"


@pytest.mark.parametrize("form", FORMS)
def test_what_was_altered_is_fetched_again(library: Library, form: str) -> None:
    library.write(form)
    model = next(name for name in library.read(form).pieces if name.startswith("models/"))
    piece = library.read(form).pieces[model]
    piece.path.chmod(0o644)
    with piece.path.open("r+b") as stream:
        stream.seek(piece.offset + 1000)
        stream.write(b"\xff\x00\xff")
    library.write(form)
    assert [path.partition("/")[2].partition("/")[0] for path in library.asked] == ["models"]
    library.read(form)


def test_an_optional_model_may_be_left_out_and_nothing_else(library: Library) -> None:
    library.models.append(library.model("style", optional=True))
    library.forge.remove_model("style.safetensors")
    library.write_lock()
    (note,) = library.write()
    assert "style" in note
    library.read()
    library.models.append(library.model("needed"))
    library.forge.remove_model("needed.safetensors")
    library.write_lock()
    with pytest.raises(FleetError, match="needed"):
        library.write()


def test_a_directory_of_something_else_stays_as_it_is(library: Library) -> None:
    library.path().mkdir(parents=True)
    (library.path() / "thesis.txt").write_text("years of work")
    with pytest.raises(FleetError, match="no bundle"):
        library.write()
    assert [path.name for path in library.path().iterdir()] == ["thesis.txt"]
