# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments made by real uv from the forge's indexes: first, again, shared, of other packages."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import tempfile

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.packages import interpreter
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.plan import plan
from tests.support.trees import tree
from tests.unit.packages.conftest import PYTHON, Host, converge, locked, look, site, told


def python_of(host_environment: pathlib.Path, code: str) -> str:
    """What the environment's Python prints."""
    argv = [str(host_environment / "bin" / "python"), "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_a_first_converge_installs_what_the_lock_says(host: Host) -> None:
    scripts = {"six-tool": "six:main"}
    modules = {"six.py": "def main(): print('six')\n"}
    context = host.context(
        [
            locked(host.index.wheel("six", "1.17.0", modules=modules, scripts=scripts)),
            locked(host.index.wheel("Zope.Interface", "7.0", modules={"zope/interface/__init__.py": "X = 1\n"})),
        ]
    )
    assert told(converge(context)) == [
        "install six: None > 1.17.0",
        "install zope-interface: None > 7.0",
        f"create environment DIGEST: None > Python {PYTHON}",
        "link .venv: None > DIGEST",
    ]
    link = context.home / ".venv"
    assert os.readlink(link) == f"../../envs/{context.environment.name}"
    assert python_of(link, "import six, zope.interface; print(six.__file__)").startswith(f"{link}/lib")
    assert subprocess.check_output([link / "bin" / "six-tool"], text=True) == "six\n"
    assert list(context.layout.envs.iterdir()) == [context.environment]


def test_the_next_converge_runs_nothing_and_asks_nobody(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))])
    converge(context)
    host.forge.forget_requests()
    before = tree(host.root)
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", None)
        assert converge(context) == ()
    assert host.forge.requests == []
    assert tree(host.root) == before


def test_metadata_of_others_that_a_package_ships_is_not_its_own(host: Host) -> None:
    modules = {"box/__init__.py": "", "box/_vendor/six-1.0.dist-info/RECORD": "six.py,,\n"}
    context = host.context([locked(host.index.wheel("box", "1.0", modules=modules))])
    converge(context)
    assert converge(context) == ()


def test_bytecode_is_there_and_has_no_path_of_where_it_was_made(host: Host) -> None:
    modules = {"six.py": "def main(): return 1\n", "broken.py": "this is no Python\n"}
    context = host.context([locked(host.index.wheel("six", "1.17.0", modules=modules))])
    converge(context)
    (compiled,) = (site(context) / "__pycache__").glob("six.*.pyc")
    content = compiled.read_bytes()
    # PEP 552: flags 3 are "hash-based, check the source".
    assert content[4:8] == b"\3\0\0\0"
    assert f"lib/python{PYTHON}/site-packages/six.py".encode() in content
    assert str(host.root).encode() not in content
    assert python_of(context.environment, "import six; print(six.main.__code__.co_filename)") == str(
        site(context) / "six.py"
    )
    assert compiled.read_bytes() == content


@pytest.mark.parametrize("variable", ["PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "UV_COMPILE_BYTECODE"])
def test_the_callers_settings_change_nothing(host: Host, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = str(host.root.parent / "elsewhere")
    context = host.context([locked(host.index.wheel("six", "1.17.0"))])
    with monkeypatch.context() as patched:
        patched.setenv(variable, elsewhere)
        patched.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
        patched.setenv("UV_OFFLINE", "1")
        patched.setenv("VIRTUAL_ENV", elsewhere)
        converge(context)
    assert list((site(context) / "six" / "__pycache__").glob("*.pyc"))
    assert not pathlib.Path(elsewhere).exists()


def test_two_hosts_get_the_same_bytes(host: Host) -> None:
    code = "".join(f"def function_{number}(x): return x in {{'a', 'b', 'c{number}'}}\n" for number in range(50))
    modules = {f"many/module{number}.py": code for number in range(40)}
    packages = [locked(host.index.wheel("many", "1.0", modules=modules)), locked(host.index.wheel("six", "1.17.0"))]
    first = host.context(packages)
    converge(first)
    host.root = host.root.with_name("second")
    second = host.context(packages)
    converge(second)
    assert tree(first.environment) == tree(second.environment)


def test_what_a_node_installs_when_it_starts_does_not_get_in(
    host_with_pip: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_with_pip
    for version in ("1.26", "2.1"):
        host.index.wheel("number", version, modules={"number.py": f"VERSION = '{version}'\n"})
    context = host.context([locked(host.index.wheel("number", "2.1", modules={"number.py": "VERSION = '2.1'\n"}))])
    converge(context)
    monkeypatch.setenv("PIP_INDEX_URL", host.index.url)
    pip = [str(context.environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]

    def install(*arguments: str) -> int:
        return subprocess.run([*pip, *arguments], check=False, capture_output=True).returncode

    assert install("install", "number<2") != 0
    assert install("install", "number>=2") == 0, "what is there is enough"
    assert install("check") == 0
    assert look(context).changes == ()
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    assert install("install", "number<2") == 0, "only who insists"
    assert told(look(context).changes)[0] == "change number: 1.26 > 2.1"


def test_another_build_with_the_same_packages_shares_the_environment(host: Host) -> None:
    packages = [locked(host.index.wheel("six", "1.17.0"))]
    first = host.context(packages)
    converge(first)
    document = host.document(packages)
    document["core"]["commit"] = "1" * 40
    second = host.context(packages, document=document)
    assert second.home != first.home
    host.forge.forget_requests()
    assert told(converge(second)) == ["link .venv: None > DIGEST"]
    assert host.forge.requests == []
    assert second.environment == first.environment


def test_changes_are_told_against_the_build_that_serves(host: Host) -> None:
    six, attrs = host.index.wheel("six", "1.16.0"), host.index.wheel("attrs", "25.3.0")
    old = host.context([locked(six), locked(attrs)])
    converge(old)
    old.layout.current.symlink_to(f"builds/{old.build_name}")
    new = host.context([locked(host.index.wheel("six", "1.17.0")), locked(host.index.wheel("tqdm", "4.67.1"))])
    foretold = look(new).changes
    assert converge(new) == foretold
    assert told(foretold) == [
        "remove attrs: 25.3.0 > None",
        "change six: 1.16.0 > 1.17.0",
        "install tqdm: None > 4.67.1",
        f"create environment DIGEST: None > Python {PYTHON}",
        "link .venv: None > DIGEST",
    ]
    assert look(old).changes == (), "what serves is left as it is"


def test_local_versions_come_from_their_own_index(host: Host) -> None:
    """Both indexes have both versions, with other bytes: neither can stand in for the other."""
    cpu = host.forge.index("pytorch-cpu")
    modules = {"torch/__init__.py": "BUILD = 'cpu'\n"}
    local = cpu.wheel("torch", "2.9.0+cpu", modules=modules)
    cpu.wheel("torch", "2.9.0", modules=modules)
    host.index.wheel("torch", "2.9.0+cpu")
    plain = host.index.wheel("torch", "2.9.0")
    context = host.context([locked(local)])
    converge(context)
    assert python_of(context.environment, "import torch; print(torch.BUILD)") == "cpu"
    other = host.context([locked(plain)])
    assert told(converge(other))[0] == "install torch: None > 2.9.0"
    asked = {request.path for request in host.forge.requests if "torch" in request.path and request.status == 200}
    assert asked == {
        *("/index/pytorch-cpu/simple/torch/", "/files/pytorch-cpu/torch-2.9.0%2Bcpu-py3-none-any.whl"),
        *("/simple/torch/", "/files/pypi/torch-2.9.0-py3-none-any.whl"),
    }


def test_a_wheel_with_a_url_of_its_own_is_fetched_from_there(host: Host) -> None:
    release = host.forge.index("elsewhere").wheel("sageattention", "2.2.0+cu130", tag="py3-none-any")
    context = host.context([locked(release, index=None, url=release.url, source="wheel")])
    converge(context)
    assert (site(context) / "sageattention").is_dir()


def test_a_name_or_version_that_is_spelled_otherwise_is_the_same(host: Host) -> None:
    release = host.index.wheel("certifi", "2023.07.22")
    context = host.context([locked(release, version="2023.7.22")])
    converge(context)
    assert converge(context) == ()


def test_a_link_that_leads_elsewhere_is_set_right(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))])
    converge(context)
    link = context.home / ".venv"
    link.unlink()
    link.symlink_to("../../envs/0123456789ab")
    assert told(converge(context)) == ["link .venv: DIGEST > DIGEST"]
    link.unlink()
    link.symlink_to(context.environment)
    assert told(converge(context)) == [f"link .venv: {host.root}/envs/DIGEST > DIGEST"]


def test_a_directory_in_the_links_place_is_put_aside(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))])
    converge(context)
    link = context.home / ".venv"
    link.unlink()
    link.mkdir()
    (link / "mine.txt").write_text("mine")
    assert told(converge(context)) == ["link .venv: no link > DIGEST"]
    (kept,) = context.layout.aside.glob(f"*/{context.build_name}/.venv/mine.txt")
    assert kept.read_text() == "mine"


def test_files_are_shared_with_the_cache_where_one_file_system_holds_both(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))])
    converge(context)
    assert (site(context) / "six" / "__init__.py").stat().st_nlink == 2


def test_files_are_copied_where_the_cache_is_on_another_file_system(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        layout = dataclasses.replace(context.layout, cache_dir=pathlib.Path(elsewhere))
        apart = dataclasses.replace(context, layout=layout)
        converge(apart)
        assert list(layout.cache.rglob("six/__init__.py"))
    assert (site(apart) / "six" / "__init__.py").stat().st_nlink == 1
    assert python_of(apart.environment, "import six; print(six.__version__)") == "1.17.0"
    assert look(apart).changes == ()


def test_room_is_asked_for_what_has_to_be_fetched(host: Host) -> None:
    packages = [
        locked(host.index.wheel("six", "1.17.0"), size=10**6),
        locked(host.index.wheel("tqdm", "4.67.1"), size=10**9),
    ]
    bare = look(host.context(packages))
    assert sum(need.size for need in bare.needs) > 3 * (10**9 + 10**6)
    converge(host.context([{**each, "size": None} for each in packages]))
    cached = look(host.context([*packages, locked(host.index.wheel("attrs", "1.0"), size=10**8)]))
    assert 3 * 10**8 < sum(need.size for need in cached.needs) < 10**9


def test_a_python_that_is_not_there_is_named_before_anything_changes(host: Host) -> None:
    document = host.document([], python="3.99")
    planned = look(host.context([], document=document))
    (obstacle,) = planned.obstacles
    assert "Python 3.99 is not on this host (there is: " in str(obstacle)
    assert "comfy_python" in str(obstacle)


def test_an_interpreter_is_asked_where_it_really_is(host: Host, tmp_path: pathlib.Path) -> None:
    shim = tmp_path / "shim"
    real = interpreter.find_interpreter(host.context([]))
    shim.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    shim.chmod(0o755)
    context = host.context([], python=str(shim))
    converge(context)
    assert os.path.realpath(context.environment / "bin" / "python") == str(real)


def test_looking_needs_no_uv_and_no_writable_root(host: Host) -> None:
    context = host.context([locked(host.index.wheel("six", "1.17.0"))], uv=None)
    planned = plan(context, observe(context))
    assert planned.obstacles == ()
    assert not host.root.exists()
