# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store that environments share: what is shared, who may write to it, and what becomes of it when somebody did."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import remove_tree
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import placing, store
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.store import entry_path, read_entry, store_of
from tests.support import locks
from tests.support.trees import tree
from tests.unit.packages.conftest import PYTHON, Host, converge, locked, look, site, told
from tests.unit.packages.test_killed import options, run

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context

NOBODY = 65534
CODE = "".join(f"def function_{number}(x):\n    return x + {number}\n" for number in range(200))


def files(directory: pathlib.Path) -> list[pathlib.Path]:
    """The regular files below a directory."""
    return [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]


def used(directory: pathlib.Path) -> int:
    """The bytes that a directory's own inodes take: those that are linked from elsewhere as well are not its own."""
    return sum(path.stat().st_size for path in files(directory) if path.stat().st_nlink == 1)


@pytest.fixture
def packages(host: Host) -> list[locks.Document]:
    """Twenty packages."""
    modules = {f"{{}}/part{number}.py": CODE for number in range(5)}
    return [
        locked(host.index.wheel(f"pack{each}", "1.0", modules={k.format(f"pack{each}"): v for k, v in modules.items()}))
        for each in range(20)
    ]


@pytest.fixture
def two(host: Host, packages: list[locks.Document]) -> tuple[Context, Context]:
    """A converged host, and a lock that has one package more."""
    first = host.context(packages)
    converge(first)
    return first, host.context([*packages, locked(host.index.wheel("more", "1.0"))])


def test_a_second_environment_brings_only_what_is_new(host: Host, two: tuple[Context, Context]) -> None:
    first, second = two
    whole = sum(path.stat().st_size for path in files(first.environment))
    host.forge.forget_requests()
    converge(second)
    assert {request.path for request in host.forge.requests if "pack" in request.path} == set()
    assert used(second.environment) < 0.05 * whole
    for pattern in ("pack3/part2.py", f"pack3/__pycache__/part2.cpython-{PYTHON.replace('.', '')}.pyc"):
        assert (site(first) / pattern).samefile(site(second) / pattern)


def test_files_are_for_everybody_to_read_and_for_nobody_to_write(two: tuple[Context, Context]) -> None:
    context, _second = two
    scripts = {"activate", "activate.csh", "activate.fish", "activate.nu", "activate.ps1", "activate_this.py"}
    for path in (*files(site(context)), *files(store_of(context.layout))):
        assert path.stat().st_mode & 0o777 in (0o444, 0o555) or path.suffix == ".json" or path.name in scripts, path


@pytest.fixture
def public(host: Host) -> c.Iterator[Host]:
    """The host with a root that other users can get to."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="comfy-store."))
    directory.chmod(0o755)
    host.root = directory / "root"
    yield host
    shutil.rmtree(directory)


def test_a_service_user_can_read_all_and_write_nothing_whatever_the_umask(public: Host) -> None:
    document = public.document([locked(public.index.wheel("six", "1.17.0", scripts={"six": "six:main"}))])
    context = public.context([], document=document)
    before = os.umask(0o077)
    try:
        run(options(public, document))
    finally:
        os.umask(before)
    code = (
        "import os, sys\n"
        "for parent, names, files in os.walk(sys.argv[1], onerror=lambda error: sys.exit(str(error))):\n"
        "    for name in files:\n"
        "        path = os.path.join(parent, name)\n"
        "        open(path, 'rb').close()\n"
        "        if os.access(path, os.W_OK) and not os.path.islink(path): print(path)\n"
    )
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    for directory in (site(context), *(entry_path(context.layout, each, PYTHON) for each in context.target.packages)):
        argv = [
            shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin") or sys.executable,
            "-I",
            "-c",
            code,
            str(directory),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, **user)  # type: ignore[call-overload]
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    served = [context.home, context.home / ".venv" / "pyvenv.cfg", context.environment, context.layout.root]
    assert all(path.stat().st_mode & 0o005 for path in served)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    "victim", ["pack3/part2.py", "pack3/__pycache__/part2.cpython-*.pyc", "pack3-1.0.dist-info/RECORD"]
)
def test_an_edit_through_one_environment_does_not_reach_the_next(
    host: Host, two: tuple[Context, Context], victim: str, hidden: bool
) -> None:
    """Whoever is root may write all the same; hidden: and sets the file's time back."""
    first, second = two
    (path,) = site(first).glob(victim)
    right, status = path.read_bytes(), path.stat()
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.seek(20)
        stream.write(b"evil")
    if hidden:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    host.forge.forget_requests()
    converge(second)
    (healed,) = site(second).glob(victim)
    assert healed.read_bytes() == right
    fetched = [request.path for request in host.forge.requests if "/files/" in request.path]
    assert sorted(path.rpartition("/")[2] for path in fetched) == [
        "more-1.0-py3-none-any.whl",
        "pack3-1.0-py3-none-any.whl",
    ]


def test_what_was_only_linked_is_not_read_again(
    host: Host, two: tuple[Context, Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    (site(first) / "pack7" / "part1.py").touch()
    read: list[str] = []
    known = store.sha256_of

    def noting(path: str) -> str | None:
        read.append(path)
        return known(path)

    monkeypatch.setattr(store, "sha256_of", noting)
    converge(second)
    assert [path.rpartition("site-packages/")[2] for path in read if re.search(r"/pack\d", path)] == ["pack7/part1.py"]


def test_a_traceback_names_the_file_of_its_environment(host: Host) -> None:
    modules = {"faulty.py": "def fail():\n    raise ValueError('here')\n"}
    context = host.context([locked(host.index.wheel("faulty", "1.0", modules=modules))])
    converge(context)
    argv = [str(context.environment / "bin" / "python"), "-c", "import faulty; faulty.fail()"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert f'File "{site(context)}/faulty.py", line 2, in fail' in done.stderr


def test_each_of_two_wheels_with_the_same_file_is_stored_as_it_is(host: Host) -> None:
    packages = [
        locked(host.index.wheel(name, "1.0", modules={"cv2/__init__.py": f"BUILD = {name!r}\n", f"{name[-4:]}.py": ""}))
        for name in ("opencv-python", "opencv-python-headless")
    ]
    context = host.context(packages)
    converge(context)
    contents = []
    for package in context.target.packages[:2]:
        entry = entry_path(context.layout, package, PYTHON)
        contents.append((entry / f"lib/python{PYTHON}/site-packages/cv2/__init__.py").read_text())
    assert sorted(contents) == ["BUILD = 'opencv-python'\n", "BUILD = 'opencv-python-headless'\n"]
    assert (site(context) / "cv2" / "__init__.py").read_text() == "BUILD = 'opencv-python-headless'\n"


def test_what_is_half_in_the_store_is_not_there(two: tuple[Context, Context]) -> None:
    first, _second = two
    directory = entry_path(first.layout, first.target.packages[0], PYTHON)
    assert read_entry(directory) is not None
    listing = directory.with_name(f"{directory.name}.json")
    for content in ("", "{", '{"format": 1}', '{"format": 99, "files": {}}', "[]", '{"format": 1, "files": {"a": []}}'):
        listing.write_text(content)
        assert read_entry(directory) is None, content


def test_the_store_has_nothing_of_its_making_left(host: Host, two: tuple[Context, Context]) -> None:
    first, _second = two
    names = {path.name for path in store_of(first.layout).iterdir()}
    assert len(names) == 2 * len(first.target.packages)
    assert {path.name for path in first.layout.cache.iterdir()} == {"wheels"}
    left = store_of(first.layout) / f".making-{re.sub(r'[^A-Za-z0-9]', '', os.uname().nodename)}-999999999-x"
    (left / "lib").mkdir(parents=True)
    converge(host.context([locked(host.index.wheel("other", "1.0"))]))
    assert not left.exists()


def test_links_that_are_refused_are_found_out(host: Host) -> None:
    """A directory that is mounted once more is on the same file system, and can be linked to from there alone."""
    document = host.document([locked(host.index.wheel("six", "1.17.0"))])
    context = host.context([], document=document)
    context.layout.cache.mkdir(parents=True)
    script = 'mount --bind "$1" "$1" && shift && exec "$@"'
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(context.layout.cache)]
    result = run(options(host, document), unshare)
    assert result["changed"]
    (module,) = site(context).glob("six/__init__.py")
    assert (module.stat().st_nlink, module.stat().st_mode & 0o777) == (1, 0o444)
    assert look(context).changes == ()
    stored = entry_path(context.layout, context.target.packages[0], PYTHON)
    copied = tree(context.environment)
    assert module.read_bytes() == (stored / module.relative_to(context.environment)).read_bytes()
    shutil.rmtree(context.environment)
    run(options(host, document))
    assert module.stat().st_nlink == 2
    assert tree(context.environment) == copied, "a copy has the bytes and modes that a link has"


def test_network_file_systems_are_copied_to(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.root.mkdir()
    assert placing.link_mode(host.root, host.root) in (placing.CLONE, placing.HARD_LINK)
    monkeypatch.setattr(placing, "file_system", lambda _path: "nfs4")
    assert placing.link_mode(host.root, host.root) == placing.COPY


def test_the_file_system_of_a_path_is_told() -> None:
    assert placing.file_system(pathlib.Path("/proc")) == "proc"
    assert placing.file_system(pathlib.Path("/dev/shm")) == "tmpfs"


@pytest.mark.parametrize(
    ("path", "fault"),
    [("bin/python3", "reserved name `python3`"), ("pyvenv.cfg", "it would write ../../../pyvenv.cfg")],
)
def test_a_wheel_that_would_replace_the_environments_own(host: Host, path: str, fault: str) -> None:
    modules = {f"evil-1.0.data/data/{path}": "home = /elsewhere\n"}
    context = host.context([locked(host.index.wheel("evil", "1.0", modules=modules))])
    with pytest.raises(FleetError) as caught:
        converge(context)
    assert fault in str(caught.value)
    assert list(context.layout.envs.iterdir()) == []


def test_the_lock_says_the_origin_and_not_the_host(host: Host) -> None:
    release = host.forge.index("elsewhere").wheel("sage", "2.2.0")
    public_url = "https://somebody:secret@wheels.example/sage-2.2.0-py3-none-any.whl"
    document = locked(release, index=None, url=public_url, source="wheel")
    directory = host.root.parent / "wheels"
    directory.mkdir()
    shutil.copy(release.content.path, directory / release.filename)
    context = host.context([document], wheels_dir=directory)
    converge(context)
    text = (site(context) / "sage-2.2.0.dist-info" / "direct_url.json").read_text()
    assert '"url": "https://wheels.example/sage-2.2.0-py3-none-any.whl"' in text
    assert "secret" not in text
    assert release.sha256 in text
    assert (
        "sage-2.2.0.dist-info/direct_url.json,sha256="
        in (site(context) / "sage-2.2.0.dist-info" / "RECORD").read_text()
    )
    plain = host.context([locked(release)], wheels_dir=directory)
    assert plain.environment != context.environment, "the same bytes from an index are another installation"
    converge(plain)
    assert not (site(plain) / "sage-2.2.0.dist-info" / "direct_url.json").exists()


def test_the_same_bytes_from_a_file_and_from_an_index_make_the_same_environment(host: Host) -> None:
    release = host.index.wheel("sage", "2.2.0", modules={"sage.py": "", "a/b.py": "", "Z/y.py": ""})
    directory = host.root.parent / "wheels"
    directory.mkdir()
    shutil.copy(release.content.path, directory / release.filename)
    context = host.context([locked(release)], wheels_dir=directory)
    converge(context)
    of_file = tree(context.environment)
    remove_tree(context.environment)
    remove_tree(context.layout.cache)
    fetched = host.context([locked(release)])
    converge(fetched)
    assert fetched.environment == context.environment
    assert tree(fetched.environment) == of_file


@pytest.mark.parametrize("store", [True, False])
def test_the_same_version_from_elsewhere_is_seen(host: Host, two: tuple[Context, Context], store: bool) -> None:
    """As when somebody installs the package's build for CPUs, which has the same version and agrees with itself.

    With the store, its RECORD tells it; without, what it says of its origin, if it says anything.
    """
    first, _second = two
    other = host.forge.index("other").wheel("pack3", "1.0", modules={"pack3/__init__.py": "BUILD = 'cpu'\n"})
    wheels = host.root / "wheels"
    wheels.mkdir()
    shutil.copy(other.content.path, wheels / other.filename)
    python = str(first.environment / "bin" / "python")
    where = ["--no-index", "--find-links", str(wheels), "pack3"] if store else [str(wheels / other.filename)]
    command = [str(first.settings.uv), "--no-config", "pip", "install", "--reinstall", "--no-deps", "--python", python]
    subprocess.run([*command, *where], check=True, capture_output=True)
    if not store:
        shutil.rmtree(first.layout.cache)
    assert told(look(first).changes)[0] == "change pack3: damaged > 1.0"
    converge(first)
    assert (site(first) / "pack3" / "part2.py").read_text() == CODE
