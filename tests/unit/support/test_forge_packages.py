# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge's package indexes, with the real pip and the real uv as their clients."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
import urllib.request
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from tests.support.forge import Forge


def uv() -> str:
    """The uv beside this Python, or the one in PATH."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    assert found is not None, "these tests need uv"
    return found


def clean_environment(directory: Path) -> dict[str, str]:
    """An environment in which neither pip nor uv has settings or a cache of the user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON"))}
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "UV_CACHE_DIR": str(directory / "uv-cache"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


class Client:
    """uv and pip on one throw-away environment."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environment = clean_environment(directory)
        self.prefix = directory / "venv"

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command; its outcome is the caller's to judge."""
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            env=self._environment,
            check=False,
            cwd=self._directory,
        )

    def compile(self, index: str, *requirements: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
        """Resolves requirements to a locked list; the exit code, and the list or what uv complained about."""
        command = [uv(), "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--default-index", index]
        done = self.run(*command, *options, stdin="\n".join(requirements))
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    def venv(self) -> None:
        """Makes the environment."""
        assert self.run(uv(), "venv", "--quiet", "--python", sys.executable, str(self.prefix)).returncode == 0

    def python(self, code: str) -> str:
        """What a line of Python prints in the environment."""
        done = self.run(str(self.prefix / "bin/python"), "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """The real clients, without an environment yet."""
    return Client(tmp_path)


def simple(forge: Forge, path: str, accept: str = "text/html") -> str:
    """A page of an index."""
    request = urllib.request.Request(forge.base_url + path, headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:
        body: bytes = answer.read()
    return body.decode()


def test_uv_locks_with_hashes_and_installs_offline_from_what_it_fetched(forge: Forge, client: Client) -> None:
    index = forge.index()
    index.wheel("yellowbox", "1.0")
    index.wheel("yellowbox", "2.0")
    index.wheel("bluebox", "1.5", requires=["yellowbox<2"], modules={"bluebox.py": "import yellowbox\n"})
    code, locked = client.compile(index.url, "bluebox", options=("--generate-hashes",))
    assert code == 0
    by_name = {release.name + release.version: release for release in index.releases}
    wanted = [by_name["bluebox1.5"], by_name["yellowbox1.0"]]
    expected = "".join(f"{it.name}=={it.version} \\\n    --hash=sha256:{it.sha256}\n" for it in wanted)
    assert locked == expected
    assert not [request.path for request in forge.requests if request.path.endswith(".whl")]
    client.venv()
    install = [uv(), "pip", "install", "--require-hashes", "--no-deps", "--default-index", index.url]
    done = client.run(*install, "--python", str(client.prefix), "-r", "-", stdin=locked)
    assert done.returncode == 0, done.stderr
    assert client.python("import bluebox; print(bluebox.yellowbox.__version__)") == "1.0"


def test_pip_installs_with_hashes_and_checks_every_file(forge: Forge, client: Client, tmp_path: Path) -> None:
    index = forge.index()
    box = index.wheel("bluebox", "1.5", requires=["yellowbox"], scripts={"bluebox": "bluebox:main"})
    other = index.wheel("yellowbox", "1.0")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"bluebox==1.5 --hash=sha256:{box.sha256}\nyellowbox==1.0 --hash=sha256:{other.sha256}\n")
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet"]
    pip += ["--require-hashes", "--index-url", index.url]
    target = tmp_path / "target"
    done = client.run(*pip, "--target", str(target), "-r", str(requirements))
    assert done.returncode == 0, done.stderr
    assert (target / "bluebox/__init__.py").read_text() == '__version__ = "1.5"\n'
    assert (target / "bin/bluebox").exists()
    requirements.write_text(requirements.read_text().replace(box.sha256, "0" * 64))
    done = client.run(*pip, "--target", str(tmp_path / "second"), "-r", str(requirements))
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_a_wheel_has_the_same_bytes_everywhere(forge: Forge) -> None:
    release = forge.index().wheel("Blue.Box", "1.0", requires=["yellowbox>=1"], extras={"fast": ["engine ; x == 'y'"]})
    assert release.filename == "blue_box-1.0-py3-none-any.whl"
    assert release.sha256 == "c30da4b2d409858b8ec369672c737911bb3148e514bd7df1c11ff30bede9b68a"
    assert release.metadata.data.decode().splitlines()[-3:] == [
        "Requires-Dist: yellowbox>=1",
        "Provides-Extra: fast",
        "Requires-Dist: engine ; (x == 'y') and extra == \"fast\"",
    ]


def test_a_local_version_is_taken_from_the_index_that_is_bound(forge: Forge, client: Client) -> None:
    forge.index().wheel("engine", "2.9.0")
    special = forge.index("engine-cpu")
    special.wheel("engine", "2.9.0+cpu")
    assert special.url == f"{forge.base_url}/index/engine-cpu/simple"
    assert "engine-2.9.0%2Bcpu-py3" in simple(forge, "/index/engine-cpu/simple/engine/")
    options = ("--index", special.url, "--emit-index-annotation", "--generate-hashes")
    code, locked = client.compile(forge.index().url, "engine", options=options)
    assert (code, locked.partition(" ")[0]) == (0, "engine==2.9.0+cpu")
    assert special.releases[0].sha256 in locked
    assert f"# from {special.url}" in locked


def test_pages_in_html_and_json_tell_the_same(forge: Forge) -> None:
    index = forge.index()
    box = index.wheel("blue-box", "1.0", requires_python=">=3.8,<4", upload_time="2024-05-01T00:00:00Z")
    index.yank(index.wheel("blue-box", "1.1"), "it is <broken>")
    html = simple(forge, "/simple/Blue_Box")
    assert f'href="/files/pypi/{box.filename}#sha256={box.sha256}" data-requires-python="&gt;=3.8,&lt;4"' in html
    assert f'data-core-metadata="sha256={box.metadata.sha256}"' in html
    assert 'data-yanked="it is &lt;broken&gt;"' in html
    value = json.loads(simple(forge, "/simple/blue-box/", "application/vnd.pypi.simple.v1+json"))
    assert value["versions"] == ["1.0", "1.1"]
    assert value["files"][0] == {
        "filename": box.filename,
        "url": f"/files/pypi/{box.filename}",
        "hashes": {"sha256": box.sha256},
        "requires-python": ">=3.8,<4",
        "size": box.size,
        "upload-time": "2024-05-01T00:00:00Z",
        "yanked": False,
        "core-metadata": {"sha256": box.metadata.sha256},
        "dist-info-metadata": {"sha256": box.metadata.sha256},
    }
    assert value["files"][1]["yanked"] == "it is <broken>"
    assert '<a href="blue-box/">blue-box</a>' in simple(forge, "/index/pypi/simple/")
    metadata = simple(forge, f"/files/pypi/{box.filename}.metadata")
    assert metadata.encode() == box.metadata.data


def test_yanked_removed_unfit_and_too_new_files_are_not_taken(forge: Forge, client: Client) -> None:
    index = forge.index()
    index.wheel("bluebox", "1.0")
    index.yank(index.wheel("bluebox", "1.1"))
    index.remove(index.wheel("bluebox", "1.2"))
    index.wheel("bluebox", "1.3", requires_python=">=3.99")
    index.wheel("bluebox", "1.4", tag="cp312-cp312-win_amd64")
    index.wheel("bluebox", "1.5", upload_time="2030-01-01T00:00:00Z")
    options = ("--exclude-newer", "2026-01-01T00:00:00Z", "--only-binary", ":all:")
    assert client.compile(index.url, "bluebox", options=options) == (0, "bluebox==1.0\n")
    assert client.compile(index.url, "bluebox==1.1", options=options) == (0, "bluebox==1.1\n")
    assert client.compile(index.url, "bluebox", options=("--only-binary", ":all:")) == (0, "bluebox==1.5\n")


def test_an_index_may_lack_json_hashes_and_metadata(forge: Forge, client: Client) -> None:
    index = forge.index("plain")
    index.habits.json = index.habits.hashes = index.habits.metadata = False
    index.wheel("bluebox", "1.0", requires=["yellowbox"])
    index.wheel("yellowbox", "1.0")
    assert "sha256" not in simple(forge, "/index/plain/simple/bluebox/", "application/vnd.pypi.simple.v1+json")
    assert client.compile(index.url, "bluebox") == (0, "bluebox==1.0\nyellowbox==1.0\n")
    assert [request.path for request in forge.requests if request.path.endswith(".whl")]


def test_an_sdist_is_refused_by_wheels_only_and_its_code_does_not_run(
    forge: Forge, client: Client, tmp_path: Path
) -> None:
    index, marker = forge.index(), tmp_path / "built"
    index.sdist("bluebox", "2.0", requires=["yellowbox"], marker=str(marker))
    index.wheel("yellowbox", "1.0")
    code, complaint = client.compile(index.url, "bluebox", options=("--only-binary", ":all:"))
    assert code == 1
    assert "no usable wheels" in complaint
    assert not marker.exists()
    assert client.compile(index.url, "bluebox") == (0, "bluebox==2.0\nyellowbox==1.0\n")
    assert marker.read_text().startswith("bluebox\n")
    client.venv()
    done = client.run(uv(), "pip", "install", "--python", str(client.prefix), "--default-index", index.url, "bluebox")
    assert done.returncode == 0, done.stderr
    assert client.python("import bluebox; print(bluebox.__version__)") == "2.0"


def test_a_conflict_and_a_private_index_are_told(forge: Forge, client: Client) -> None:
    index = forge.index()
    index.wheel("left", "1", requires=["middle<2"])
    index.wheel("right", "1", requires=["middle>=2"])
    index.wheel("middle", "1")
    index.wheel("middle", "2")
    code, complaint = client.compile(index.url, "left", "right")
    assert code == 1
    assert "unsatisfiable" in complaint
    index.token = "right"
    assert client.compile(index.url, "left")[0] != 0
    assert client.compile(index.url.replace("//", "//user:right@"), "left")[0] == 0


def test_a_wheel_that_somebody_else_made_is_published(forge: Forge, client: Client, tmp_path: Path) -> None:
    made = forge.index("elsewhere").wheel("Blue.Box", "1.0", requires=["yellowbox"], requires_python=">=3.8")
    path = tmp_path / made.filename
    path.write_bytes(made.content.data)
    forge.index().wheel("yellowbox", "1.0")
    taken = forge.index().wheel_file(path)
    assert (taken.name, taken.version, taken.requires_python) == ("blue-box", "1.0", ">=3.8")
    assert taken.metadata == made.metadata
    assert client.compile(forge.index().url, "blue-box") == (0, "blue-box==1.0\nyellowbox==1.0\n")
