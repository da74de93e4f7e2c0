# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories at lock time, with real git against the forge."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout import git as program
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.checkouts import (
    Kept,
    Locked,
    Wanted,
    resolve_checkouts,
)
from tests.support.forge import Forge

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def forge(tmp_path: pathlib.Path) -> Iterator[Forge]:
    """An empty forge."""
    with Forge(tmp_path / "forge") as forge:
        yield forge


@pytest.fixture
def access(tmp_path: pathlib.Path) -> git.Access:
    """A control node with an empty cache."""
    return git.Access(tmp_path / "cache")


def wanted(repo: str, **more: t.Any) -> Wanted:
    """A node of a spec."""
    said = {"ref": None, "commit": None, "submodules": True, "requirements": True, **more}
    return Wanted(owner="node:n", pointer="/custom_nodes/0", name="n", repo=repo, **said)


def resolve(access: git.Access, each: Wanted, kept: Kept | None = None, upgrade: bool = False) -> Locked:
    """One node, resolved."""
    before = {each.owner: kept} if kept else {}
    return resolve_checkouts(access, [each], before, lambda _each: upgrade, lambda _line: None)[each.owner]


def test_references_become_commits(forge: Forge, access: git.Access) -> None:
    repository = forge.repository("o/r")
    first = repository.commit({"a": "1"})
    repository.tag("v1", annotated=True)
    repository.branch("stable")
    second = repository.commit({"a": "2"})
    assert git.commit_of(access, repository.url, None) == second
    assert git.commit_of(access, repository.url, "main") == second
    assert git.commit_of(access, repository.url, "v1") == first
    assert git.commit_of(access, repository.url, "stable") == first
    with pytest.raises(FleetError, match="has no branch or tag 'v2'"):
        git.commit_of(access, repository.url, "v2")


def test_only_what_is_read_is_fetched(forge: Forge, access: git.Access) -> None:
    repository = forge.repository("o/r")
    big = bytes(range(256)) * 20_000
    commit = repository.commit({"requirements.txt": "one\n", "big.bin": big})
    found = resolve(access, wanted(repository.url))
    assert (found.commit, found.file, found.lines) == (commit, "requirements.txt", ("one",))
    assert sum(path.stat().st_size for path in access.cache.rglob("*") if path.is_file()) < 200_000


def test_submodules_are_followed_also_relative_and_nested(forge: Forge, access: git.Access) -> None:
    inner = forge.repository("o/inner")
    deep = forge.repository("o/deep")
    deep_commit = deep.commit({"d.py": ""})
    inner.commit({"i.py": ""})
    inner_commit = inner.submodule("deep", "../deep", deep_commit)
    outer = forge.repository("o/outer")
    outer.commit({"o.py": ""})
    outer.submodule("lib/inner", inner.url, inner_commit)
    found = resolve(access, wanted(outer.url))
    assert [(each["path"], each["commit"]) for each in found.submodules] == [
        ("lib/inner", inner_commit),
        ("lib/inner/deep", deep_commit),
    ]
    assert found.submodules[1]["repo"] == deep.url


@pytest.mark.parametrize(
    ("repo", "url", "absolute"),
    [
        ("https://git.example/o/r", "../x", "https://git.example/o/x"),
        ("https://git.example/o/r/", "../../y/x", "https://git.example/y/x"),
        ("ssh://git@git.example/o/r", "../x", "ssh://git@git.example/o/x"),
        ("git@git.example:o/r", "../x", "git@git.example:o/x"),
        ("git@git.example:o/r", "../../y/x", "git@git.example:y/x"),
        ("git@git.example:/srv/r", "../x", "git@git.example:/srv/x"),
        ("file:///srv/r", "../x", "file:///srv/x"),
        ("https://git.example/o/r", "https://other.example/x", "https://other.example/x"),
    ],
)
def test_where_a_relative_submodule_is(repo: str, url: str, absolute: str) -> None:
    assert git._absolute(repo, url) == absolute


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///srv/private", "is file:///srv/private, a directory of this machine"),
        ("/srv/private", "'/srv/private' is no URL"),
        ("http://git.example/o/r", "is plain http"),
        ("ext::sh -c true", "is no URL"),
        ("--upload-pack=true", "is no URL"),
        ("https://user:secret@git.example/o/r", "has credentials in the URL"),
    ],
)
def test_a_submodule_that_no_spec_could_name(forge: Forge, access: git.Access, url: str, reason: str) -> None:
    repository = forge.repository("o/r")
    repository.commit({"a.py": ""})
    repository.submodule("lib", url, "1" * 40)
    with pytest.raises(FleetError, match="submodule lib ") as caught:
        resolve(access, wanted(repository.url))
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert resolve(access, wanted(repository.url, submodules=False)).submodules == ()


def test_nodes_of_one_repository_are_read_at_once(forge: Forge, access: git.Access) -> None:
    repository = forge.repository("o/r")
    commits = [repository.commit({"requirements.txt": f"one=={number}\n"}) for number in range(8)]
    nodes = [
        dataclasses.replace(wanted(repository.url, commit=commit), owner=f"node:{number}")
        for number, commit in enumerate(commits)
    ]
    found = resolve_checkouts(access, nodes, {}, lambda _each: False, lambda _line: None)
    assert [each.lines for each in found.values()] == [(f"one=={number}",) for number in range(8)]


def test_what_a_killed_run_left_is_repaired(forge: Forge, access: git.Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_LOCK_SECONDS", 0.1)
    repository = forge.repository("o/r")
    resolve(access, wanted(repository.url, commit=repository.commit({"requirements.txt": "one\n"})))
    (mirror,) = access.cache.glob("*.git")
    for left in ("config.lock", "shallow.lock"):
        (mirror / left).write_text("")
    (mirror / "HEAD").unlink()
    commit = repository.commit({"requirements.txt": "two\n"})
    assert resolve(access, wanted(repository.url, commit=commit)).lines == ("two",)


def test_what_is_locked_stays_and_asks_nobody(forge: Forge, access: git.Access) -> None:
    repository = forge.repository("o/r")
    repository.commit({"requirements.txt": "one\n"})
    node = wanted(repository.url, ref="main")
    first = resolve(access, node)
    newer = repository.commit({"requirements.txt": "two\n"})
    forge.forget_requests()
    assert resolve(access, node, Kept(node, first)) == first
    assert forge.requests == []
    assert resolve(access, node, Kept(node, first), upgrade=True).commit == newer
    other = wanted(repository.url, ref="main", requirements=["three"])
    assert resolve(access, other, Kept(node, first)).lines == ("three",)


def test_mirrors_are_asked_and_the_longest_prefix_wins(forge: Forge, tmp_path: pathlib.Path) -> None:
    repository = forge.repository("o/r")
    commit = repository.commit({"a": "1"})
    base = repository.url.removesuffix("o/r").removesuffix("o/r.git")
    mirrors = {"https://git.example/": "https://nowhere.invalid/", "https://git.example/o/": f"{base}o/"}
    access = git.Access(tmp_path / "cache", mirrors)
    suffix = repository.url.removeprefix(f"{base}o/")
    assert git.commit_of(access, f"https://git.example/o/{suffix}", None) == commit


@pytest.mark.parametrize(
    ("path", "reason"),
    [("o/none", "there is no such repository"), ("", "can not be reached")],
)
def test_faults_say_where_and_what_to_do(forge: Forge, access: git.Access, path: str, reason: str) -> None:
    repository = forge.repository("o/r")
    url = repository.url.replace("o/r", path) if path else "http://127.0.0.1:9/o/r"
    with pytest.raises(FleetError, match=rf"/custom_nodes/0: .*{reason}"):
        resolve(access, wanted(url))


def test_a_missing_requirement_file_names_those_that_are_there(forge: Forge, access: git.Access) -> None:
    repository = forge.repository("o/r")
    repository.commit({"requirements-no-cupy.txt": "one\n"})
    with pytest.raises(FleetError, match=r"has no file 'needs.txt'.*requirements-no-cupy.txt"):
        resolve(access, wanted(repository.url, requirements="needs.txt"))
    told: list[str] = []
    found = resolve_checkouts(access, [wanted(repository.url)], {}, lambda _each: False, told.append)["node:n"]
    assert found.lines == ()
    assert told[0] == (
        "n: has no requirements.txt, so nothing is installed for it, but requirements-no-cupy.txt: name one in its"
        ' entry of custom_nodes ("requirements": "requirements-no-cupy.txt"), or none ("requirements": false)'
    )
    told.clear()
    resolve_checkouts(access, [wanted(repository.url, requirements=False)], {}, lambda _each: False, told.append)
    assert not any("requirements-no-cupy" in line for line in told)
    assert resolve(access, wanted(repository.url, requirements="requirements-no-cupy.txt")).lines == ("one",)
