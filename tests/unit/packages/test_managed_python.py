# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that has no Python of the target's version gets the locked one, by its hash, and nothing else."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import hashlib
import io
import os
import pathlib
import subprocess
import tarfile
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import interpreter, managed_python
from tests.support import locks, pythons
from tests.unit.packages.conftest import PYTHON, Host, converge, locked, look, told


@pytest.fixture
def bare(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which no Python of the version is to be found."""
    monkeypatch.setattr(interpreter, "find_python", lambda _version, _preferred: None)
    return host


def entry(host: Host, content: bytes | None = None, **more: t.Any) -> locks.Document:
    """The lock's interpreter: an archive that the forge has."""
    file = host.forge.model(f"pythons/{pythons.file_name()}", pythons.archive() if content is None else content)
    facts = {"version": pythons.VERSION, "file": pythons.file_name(), "url": file.url}
    return {**facts, "sha256": file.sha256, "size": file.size, **more}


def context_of(host: Host, python: locks.Document | None, **settings: t.Any) -> Context:
    """A lock of one package for that Python."""
    document = host.document([locked(host.index.wheel("six", "1.17.0"))], interpreter=python)
    return host.context([], document=document, **settings)


def place(context: Context) -> pathlib.Path:
    """Where the Python is, when it is there."""
    assert context.target.interpreter is not None
    return interpreter.managed_python(context.layout, context.target.interpreter)


def test_a_python_is_fetched_checked_and_used(bare: Host) -> None:
    context = context_of(bare, entry(bare))
    assert look(context).obstacles == ()
    assert sum(need.size for need in look(context).needs if need.directory == context.layout.agent) > 10**7
    converge(context)
    code = "import ssl, sys, six, json; print(sys.base_prefix); print(json.__cached__)"
    argv = [str(context.environment / "bin" / "python"), "-c", code]
    base, cached = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert base == str(place(context))
    assert pathlib.Path(cached).is_file(), "a user of it could not write the bytecode"
    assert place(context).name == f"{pythons.VERSION}-{context.target.interpreter.sha256[:12]}"  # type: ignore[union-attr]
    modes = {path.stat().st_mode & 0o777 for path in place(context).rglob("*.py")}
    assert modes <= {0o444, 0o555}
    assert list(place(context).parent.iterdir()) == [place(context)]
    assert not (context.layout.cache / "fetched").exists()


def test_a_host_with_a_python_of_its_own_fetches_none(host: Host) -> None:
    context = context_of(host, entry(host))
    converge(context)
    assert not place(context).exists()
    assert [request for request in host.forge.requests if "pythons" in request.path] == []


def test_a_mirror_is_asked_first(bare: Host) -> None:
    context = context_of(bare, entry(bare, url="http://127.0.0.1:9/none"), model_mirrors=(bare.forge.mirror_url,))
    converge(context)
    assert place(context).is_dir()


def test_what_was_pushed_is_taken_without_a_network(bare: Host) -> None:
    python = entry(bare, url="file:///somewhere/on/the/control/node.tar.gz")
    first = context_of(bare, python)
    brought = first.layout.cache / "pushed" / python["sha256"][:12] / python["file"]
    brought.parent.mkdir(parents=True)
    brought.write_bytes(b"half")
    with pytest.raises(FleetError, match="has sha256"):
        converge(first)
    assert not brought.exists()
    brought.write_bytes(pythons.archive())
    bare.forge.forget_requests()
    converge(first)
    assert [request for request in bare.forge.requests if "pythons" in request.path] == []


def test_wheels_that_wait_beside_what_was_fetched_stay(bare: Host) -> None:
    release = bare.index.wheel("six", "1.17.0")
    document = bare.document([locked(release)], interpreter=entry(bare))
    wheel = bare.root / "cache" / "fetched" / release.sha256[:12] / release.filename
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(release.content.data)
    converge(bare.context([], document=document))
    assert [request.path for request in bare.forge.requests if "six" in request.path] == []


def test_one_that_went_away_comes_again(bare: Host) -> None:
    context = context_of(bare, entry(bare))
    converge(context)
    (place(context) / "lib" / f"python{PYTHON}" / "os.py").unlink()
    (place(context) / "lib" / f"python{PYTHON}" / "encodings" / "__init__.py").unlink()
    os.rename(context.environment, context.environment.with_name("gone"))
    converge(context)
    assert (place(context) / "lib" / f"python{PYTHON}" / "os.py").is_file()


def test_without_one_in_the_lock_the_ways_out_are_told(bare: Host) -> None:
    (obstacle,) = look(context_of(bare, None)).obstacles
    assert f"Python {PYTHON} is not on this host (there is: " in str(obstacle)
    assert "lock again with comfy_python_mirror to let hosts get it" in str(obstacle)


def test_offline_it_has_to_be_there(bare: Host) -> None:
    obstacles = look(context_of(bare, entry(bare), offline=True)).obstacles
    assert "run once without comfy_offline to get it" in str(obstacles[0])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sha256": "0" * 64}, "the lock says 0000"),
        ({"version": f"{PYTHON}.99"}, f"is Python {pythons.VERSION} of "),
        ({"url": "http://127.0.0.1:9/x.tar.gz"}, "cannot be reached"),
    ],
)
def test_another_than_the_locked_one_is_refused(bare: Host, change: dict[str, str], fault: str) -> None:
    context = context_of(bare, {**entry(bare), **change})
    with pytest.raises(FleetError) as caught:
        converge(context)
    assert fault in str(caught.value), str(caught.value)
    assert list((context.layout.agent / "python").iterdir()) == []
    assert not context.environment.exists()


def _tar(members: c.Iterable[tarfile.TarInfo]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archived:
        for member in members:
            archived.addfile(member, io.BytesIO(bytes(member.size)))
    return content.getvalue()


def _member(name: str, **fields: t.Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no archive", "can not be unpacked"),
        (_tar([_member("python/lib/x", size=5)]), "has no bin/python"),
        (_tar([_member("python/../../../evil", size=5)]), "leads out of it"),
        (_tar([_member("/tmp/evil", size=5)]), "leads out of it"),
        (_tar([_member("python/evil", type=tarfile.SYMTYPE, linkname="../../evil")]), "leads out of it"),
        (_tar([_member("python/evil", type=tarfile.LNKTYPE, linkname="/etc/passwd")]), "leads out of it"),
        (_tar([_member("python/evil", type=tarfile.CHRTYPE)]), "is no file"),
    ],
    ids=["none", "empty", "above", "absolute", "symlink", "hard link", "device"],
)
def test_an_archive_that_is_none_or_evil(bare: Host, content: bytes, fault: str) -> None:
    context = context_of(bare, entry(bare, content))
    with pytest.raises(FleetError) as caught:
        converge(context)
    assert fault in str(caught.value)
    assert list((context.layout.agent / "python").iterdir()) == []


def test_the_interpreter_is_part_of_the_environments_name(host: Host) -> None:
    python = entry(host)
    other = {**python, "sha256": hashlib.sha256(b"other").hexdigest()}
    names = {context_of(host, each).environment.name for each in (None, python, other)}
    assert len(names) == 3


def test_what_a_killed_run_left_goes(bare: Host) -> None:
    context = context_of(bare, entry(bare))
    left = place(context).parent / ".making-x"
    left.mkdir(parents=True)
    assert dataclasses.replace(context).target.interpreter is not None
    managed_python.install_python(context, context.target.interpreter)  # type: ignore[arg-type]
    assert not left.exists()
    assert told(look(context).changes)[0] == "install six: None > 1.17.0"
