# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task as a playbook has it: uv comes along, check and diff mode tell what the run does, secrets stay secret."""

from __future__ import annotations

import collections.abc as c
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from tests.support import locks
from tests.unit.packages.conftest import Host, locked

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
Result = dict[str, t.Any]
Run = c.Callable[..., Result]


@pytest.fixture
def run(host_with_pip: Host, tmp_path: pathlib.Path) -> Run:
    """Runs the task on this machine as a host, with a lock of one package, and gives its result."""
    host = host_with_pip
    packages = [locked(host.index.wheel("six", "1.17.0"))]
    requirements = [{"owner": "node:x", "file": "requirements.txt", "lines": ["six>=1"]}]
    lock = host.document(packages, requirements=requirements)
    defaults = {"lock": lock, "root": str(host.root), "python": sys.executable}

    def task(*flags: str, **options: t.Any) -> Result:
        playbook = tmp_path / "play.yml"
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": sys.executable},
            "tasks": [{"comfyops.fleet.comfy_pip_packages": {**defaults, **options}}],
        }
        playbook.write_text(json.dumps([play]))
        program = pathlib.Path(sys.executable).with_name("ansible-playbook")
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
        environment |= {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_NOCOLOR": "1"}
        environment |= {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
        command = [str(program), "-i", "localhost,", "-vvv", *flags, str(playbook)]
        done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        return {"output": done.stdout + done.stderr, "rc": done.returncode, **_result(done.stdout)}

    return task


def _result(output: str) -> Result:
    """The task's result, which the callback prints as JSON after an arrow."""
    _before, arrow, after = output.partition(" => {")
    assert arrow, output
    found: Result = json.JSONDecoder().raw_decode("{" + after)[0]
    return found


def test_uv_comes_along_and_only_once(run: Run, host_with_pip: Host) -> None:
    root = host_with_pip.root
    foretold = run("--check", "--diff")
    assert foretold["changed"], foretold
    assert not root.exists()
    first = run("--diff")
    assert first["changed"], first["output"]
    assert (first["actions"], first["diff"]) == (foretold["actions"], foretold["diff"])
    (brought,) = root.glob("agent/uv-*/uv")
    assert brought.read_bytes() == pathlib.Path(find_uv()).read_bytes()
    assert brought.stat().st_mode & 0o777 == 0o755
    assert list(brought.parent.iterdir()) == [brought]
    inode = brought.stat().st_ino
    second = run()
    assert (second["changed"], second["actions"]) == (False, [])
    assert brought.stat().st_ino == inode
    assert "sha256sum" in first["output"]
    assert "sha256sum" not in second["output"]


def test_uv_that_arrived_in_part_is_brought_again(run: Run, host_with_pip: Host) -> None:
    run()
    (brought,) = host_with_pip.root.glob("agent/uv-*/uv")
    brought.write_bytes(b"half")
    run()
    assert brought.stat().st_size == pathlib.Path(find_uv()).stat().st_size


def test_requirements_are_verified_by_a_task_of_its_own(run: Run, host_with_pip: Host) -> None:
    assert run("--check", state="verified")["rc"] == 0, "there is nothing yet, and a check foretells no failure"
    missing = run(state="verified")
    assert "the environment is not there" in missing["msg"]
    assert not host_with_pip.root.exists()
    run()
    assert run(state="verified")["changed"] is False


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\x7fELF" + bytes(14) + b"\xb7\0" + bytes(44), "uv is for aarch64, and this host is "),
        (b"#!/bin/sh\n", "is no uv for Linux"),
    ],
    ids=["aarch64", "script"],
)
def test_uv_for_another_machine(run: Run, tmp_path: pathlib.Path, content: bytes, fault: str) -> None:
    other = tmp_path / "other-uv"
    other.write_bytes(content)
    failed = run(uv_source=str(other))
    assert fault in failed["msg"]
    assert "Set comfy_uv to the path of a uv on the control node" in failed["msg"]


def test_uv_that_does_not_arrive_whole(run: Run, host_with_pip: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = host_with_pip.root.with_name("bin")
    tools.mkdir()
    (tools / "sha256sum").write_text("#!/bin/sh\necho 'computed checksum did NOT match' >&2\nexit 1\n")
    (tools / "sha256sum").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    failed = run()
    assert "uv did not arrive whole (computed checksum did NOT match)" in failed["msg"]
    assert [path for path in host_with_pip.root.rglob("*") if path.is_file()] == []


def test_a_root_that_can_not_be_made_is_the_modules_to_explain(run: Run) -> None:
    failed = run(root="/proc/comfy")
    assert failed["rc"] != 0
    assert "/proc" in failed["msg"]
    assert "comfy_root" in failed["msg"]


def test_a_token_is_nowhere_in_what_is_printed(run: Run, host_with_pip: Host) -> None:
    host_with_pip.index.token = "s3cret-token"
    done = run(credentials={"127.0.0.1": "s3cret-token"})
    assert done["changed"], done["output"]
    assert "s3cret-token" not in done["output"]


def test_what_only_the_control_node_has_comes_along_and_only_once(
    run: Run, host_with_pip: Host, tmp_path: pathlib.Path
) -> None:
    host = host_with_pip
    release = host.forge.index("built").wheel("ours", "1.0")
    origin = {"git": "https://git.example/ours", "commit": "1" * 40, "subdirectory": None, "submodules": False}
    built_from: dict[str, t.Any] = {**origin, "requires": [], "python": "3.12.1"}
    document = locked(release, index=None, source="git", built_from=built_from)
    versions = tmp_path / "versions"
    wheel = versions / "wheels" / release.sha256[:12] / release.filename
    lock = host.document([document])
    missing = run(lock=lock, versions_dir=str(versions))
    assert f"{wheel}: is not on the control node, and hosts have it from nowhere else" in missing["msg"]
    assert not host.root.exists()
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(release.content.data)
    first = run(lock=lock, versions_dir=str(versions))
    assert first["changed"], first["output"]
    (pushed,) = host.root.glob("cache/pushed/*/*")
    assert pushed.stat().st_mode & 0o777 == 0o444
    assert [path for path in (request.path for request in host.forge.requests) if "ours" in path] == []
    pushed.unlink()
    second = run(lock=lock, versions_dir=str(versions))
    assert not second["changed"]
    assert not pushed.exists(), "the store has it"


def test_the_host_is_asked_for_hundreds_of_files(run: Run, host_with_pip: Host, tmp_path: pathlib.Path) -> None:
    # Linux takes no argument of more than 128 KiB, and a command to a host is one.
    host = host_with_pip
    origin = {"git": "https://git.example/ours", "commit": "1" * 40, "subdirectory": None, "submodules": False}
    built_from: dict[str, t.Any] = {**origin, "requires": [], "python": "3.12.1"}
    files = [(f"package-{number}", f"package_{number}-1.0+{'long' * 15}-py3-none-any.whl") for number in range(400)]
    packages = [
        locks.package(name, "1.0", file, f"{number:064x}", source="git", index=None, built_from=built_from)
        for number, (name, file) in enumerate(files)
    ]
    missing = run(lock=host.document(packages), versions_dir=str(tmp_path / "versions"))
    assert missing["msg"].count("is not on the control node") == 400, missing["msg"][:1000]


def test_the_users_wheels_come_along_as_far_as_the_host_lacks_them(
    run: Run, host_with_pip: Host, tmp_path: pathlib.Path
) -> None:
    host = host_with_pip
    releases = [host.index.wheel(name, "1.0") for name in ("alpha", "beta")]
    lock = host.document([locked(release) for release in releases])
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "unrelated-1.0-py3-none-any.whl").write_bytes(b"of another version")
    (wheels / releases[0].filename).write_bytes(releases[1].content.data)
    refused = run(lock=lock, wheels_source=str(wheels))
    assert f"{wheels / releases[0].filename}: is another file than the lock's" in refused["msg"]
    assert f"the lock has {releases[0].sha256}" in refused["msg"]
    for release in releases:
        (wheels / release.filename).write_bytes(release.content.data)
        host.index.remove(release)
    done = run(lock=lock, wheels_source=str(wheels))
    assert done["changed"], done["output"]
    brought = {path.name for path in host.root.glob("cache/pushed/*/*")}
    assert brought == {release.filename for release in releases}
