# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge's git host, with the real git as its client."""

from __future__ import annotations

import subprocess
import typing as t

import pytest

from tests.support.forge import Forge, Link
from tests.support.forge.git import environment

if t.TYPE_CHECKING:
    from pathlib import Path


def git(*arguments: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs git as a client without any configuration; it never asks for a password."""
    variables = {**environment(), "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", *(["-C", str(directory)] if directory else []), *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def succeed(*arguments: str, directory: Path | None = None) -> str:
    """Runs git, which must succeed, and gives what it printed."""
    done = git(*arguments, directory=directory)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_same_content_has_the_same_commits_everywhere(forge: Forge) -> None:
    repository = forge.repository("o/n")
    first = repository.commit({"a.txt": "one\n", "bin/run": "#!/bin/sh\n"}, "Begin", executable=["bin/run"])
    second = repository.commit({"a.txt": None, "b": b"\x00\xff", "link": Link("b")}, "Go on")
    assert first == "0d56ed10ac16b88d2e96c4d28a62fe89c1368097"
    assert second == "2eb112310c637e3159028b44031c10790e032532"
    assert repository.head() == second


def test_clone_gives_files_modes_links_and_history(forge: Forge, tmp_path: Path) -> None:
    repository = forge.repository("o/n")
    repository.commit({"a.txt": "one\n", "bin/run": "#!/bin/sh\n", "d/x": "x"}, executable=["bin/run"])
    repository.commit({"a.txt": None, "d": None, "b": b"\x00\xff", "link": Link("b")})
    repository.branch("stable", repository.head("main~1"))
    for url in (repository.url, f"{repository.url}.git"):
        target = tmp_path / url.rpartition("/")[2]
        succeed("clone", "--quiet", url, str(target))
        assert {path.name for path in target.iterdir()} == {".git", "b", "bin", "link"}
        assert (target / "bin/run").stat().st_mode & 0o100
        assert (target / "link").read_bytes() == b"\x00\xff"
        assert succeed("log", "--format=%an %ae %s", directory=target) == "\n".join(
            ["Forge forge@forge.example Change files"] * 2
        )
        assert succeed("rev-parse", "origin/stable", directory=target) == repository.head("stable")


def test_a_commit_that_nothing_names_is_fetched_alone(forge: Forge, tmp_path: Path) -> None:
    repository = forge.repository("o/n")
    old = repository.commit({"a": "1"})
    repository.commit({"a": "2"})
    succeed("init", "--quiet", str(tmp_path))
    succeed("fetch", "--quiet", "--depth=1", repository.url, old, directory=tmp_path)
    assert succeed("rev-parse", "FETCH_HEAD", directory=tmp_path) == old
    assert succeed("rev-list", "--all", "--count", "FETCH_HEAD", directory=tmp_path) == "1"


@pytest.mark.parametrize("by_fault", [False, True])
def test_a_server_that_refuses_commits_still_gives_branches(forge: Forge, tmp_path: Path, by_fault: bool) -> None:
    repository = forge.repository("o/n")
    old = repository.commit({"a": "1"})
    new = repository.commit({"a": "2"})
    if by_fault:
        forge.fault("refuse-commit", "/git/o/n/*")
    else:
        repository.fetch_by_commit = False
    succeed("init", "--quiet", str(tmp_path))
    refused = git("fetch", repository.url, old, directory=tmp_path)
    assert refused.returncode == 128
    assert f"Server does not allow request for unadvertised object {old}" in refused.stderr
    succeed("fetch", "--quiet", repository.url, "main", directory=tmp_path)
    assert succeed("rev-parse", "FETCH_HEAD", directory=tmp_path) == new


def test_a_commit_that_is_not_there_is_refused(forge: Forge, tmp_path: Path) -> None:
    forge.repository("o/n").commit({"a": "1"})
    succeed("init", "--quiet", str(tmp_path))
    refused = git("fetch", forge.repository("o/n").url, "1" * 40, directory=tmp_path)
    assert "not our ref" in refused.stderr


def test_partial_clones_where_filters_are_on(forge: Forge, tmp_path: Path) -> None:
    repository = forge.repository("o/n")
    repository.commit({"a": "1", "b": "2"})
    succeed("clone", "--quiet", "--bare", "--filter=blob:none", repository.url, str(tmp_path / "partial"))
    listed = "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"
    assert "blob" not in succeed(*listed, directory=tmp_path / "partial")
    repository.filters = False
    ignored = git("clone", "--bare", "--filter=blob:none", repository.url, str(tmp_path / "whole"))
    assert "filtering not recognized by server" in ignored.stderr
    assert succeed(*listed, directory=tmp_path / "whole").count("blob") == 2


def test_tags_branches_and_the_default_branch_are_listed(forge: Forge) -> None:
    repository = forge.repository("o/n")
    first = repository.commit({"a": "1"})
    repository.tag("v1")
    second = repository.commit({"a": "2"})
    repository.tag("v2", annotated=True)
    repository.branch("next")
    repository.default_branch("next")
    lines = [line.partition("\t") for line in succeed("ls-remote", "--symref", repository.url).splitlines()]
    assert ("ref: refs/heads/next", "\t", "HEAD") in lines
    listed = {reference: commit for commit, _tab, reference in lines}
    assert listed["refs/tags/v1"] == first
    assert listed["refs/tags/v2^{}"] == second != listed["refs/tags/v2"]
    assert listed["HEAD"] == second
    with pytest.raises(LookupError, match="o/n has no refs/heads/none"):
        repository.head("refs/heads/none")


def test_submodules_are_cloned_with_their_repository(forge: Forge, tmp_path: Path) -> None:
    inner, outer = forge.repository("o/inner"), forge.repository("o/outer")
    pinned = inner.commit({"inner.py": "x = 1\n"})
    inner.commit({"inner.py": "x = 2\n"})
    outer.commit({"outer.py": ""})
    outer.submodule("vendor/inner", inner.url, pinned)
    outer.submodule("other", inner.url, inner.head())
    succeed("clone", "--quiet", "--recurse-submodules", outer.url, str(tmp_path / "outer"))
    assert (tmp_path / "outer/vendor/inner/inner.py").read_text() == "x = 1\n"
    assert (tmp_path / "outer/other/inner.py").read_text() == "x = 2\n"


def test_a_private_repository_asks_for_its_token(forge: Forge) -> None:
    repository = forge.repository("o/n")
    repository.commit({"a": "1"})
    repository.token = "right"
    assert "could not read Username" in git("ls-remote", repository.url).stderr
    assert "403" in git("-c", "http.extraHeader=Authorization: Bearer wrong", "ls-remote", repository.url).stderr
    succeed("-c", "http.extraHeader=Authorization: Bearer right", "ls-remote", repository.url)
    succeed("ls-remote", repository.url.replace("http://", "http://user:right@"))


def test_an_unknown_repository_and_a_push_are_refused(forge: Forge, tmp_path: Path) -> None:
    assert "not found" in git("ls-remote", f"{forge.base_url}/git/o/none").stderr
    repository = forge.repository("o/n")
    head = repository.commit({"a": "1"})
    succeed("clone", "--quiet", repository.url, str(tmp_path / "clone"))
    assert git("push", "origin", "main:other", directory=tmp_path / "clone").returncode != 0
    assert repository.head() == head


def test_a_request_that_comes_in_chunks(forge: Forge, tmp_path: Path) -> None:
    repository = forge.repository("o/n")
    head = repository.commit({"a": "1"})
    (tmp_path / "request").write_bytes(b"0014command=ls-refs\n0000")
    command = ["curl", "-sS", "--fail", "--data-binary", f"@{tmp_path}/request", "-H", "Transfer-Encoding: chunked"]
    command += ["-H", "Git-Protocol: version=2", "-H", "Content-Type: application/x-git-upload-pack-request"]
    answer = subprocess.run([*command, f"{repository.url}/git-upload-pack"], check=True, capture_output=True)
    assert f"{head} refs/heads/main".encode() in answer.stdout


def test_many_clone_at_once(forge: Forge, tmp_path: Path) -> None:
    repository = forge.repository("o/n")
    repository.commit({"a": "x" * 100_000})
    commands = [["git", "clone", "--quiet", repository.url, str(tmp_path / f"{number}")] for number in range(6)]
    clones = [subprocess.Popen(command, env=environment()) for command in commands]
    assert [clone.wait(timeout=20) for clone in clones] == [0] * 6


def test_faults_meet_git_too(forge: Forge, tmp_path: Path) -> None:
    repository = forge.repository("o/n")
    repository.commit({"a": "1"})
    forge.fault("status", "/git/o/n/info/refs", status=503, times=1)
    assert "503" in git("ls-remote", repository.url).stderr
    forge.fault("html", "/git/o/n/info/refs", times=1)
    assert git("ls-remote", repository.url).returncode != 0
    forge.fault("short-body", "/git/o/n/git-upload-pack", after=20, times=1)
    assert git("clone", repository.url, str(tmp_path / "clone")).returncode != 0
    succeed("clone", "--quiet", repository.url, str(tmp_path / "clone"))
