# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git repositories and source archives that are built, with real backends, in the real sandbox."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import typing as t
import urllib.parse
import zipfile

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.wheels import sandbox
from tests.support.forge.installed import publish_installed

if t.TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.resolve.conftest import Document, Resolver

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


def project(name: str, version: str | None = "1.0", more: str = "") -> str:
    """The project table of a pyproject.toml."""
    said = f'version = "{version}"' if version else 'dynamic = ["version"]'
    return f'[project]\nname = "{name}"\n{said}\n{more}'


def git(resolver: Resolver, name: str, files: dict[str, t.Any], **more: t.Any) -> Document:
    """An entry of python_packages for a new repository of the forge with these files."""
    repository = resolver.forge.repository(f"owner/{name}")
    commit = repository.commit(files)
    return {"name": name, "git": repository.url, "commit": commit, "subdirectory": None, "submodules": True, **more}


def entry(target: Document, name: str) -> Document:
    """A package of a target."""
    return next(package for package in target["packages"] if package["name"] == name)


def stored(resolver: Resolver, package: Document) -> Path:
    """The wheel that the control node keeps of a locked package."""
    path: Path = resolver.wheels / package["sha256"][:12] / package["file"]
    return path


def members(path: Path) -> dict[str, bytes]:
    """The files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def builds(resolver: Resolver) -> int:
    """How many builds there were since it was asked last."""
    found = [note for note in resolver.notes if note.startswith("building ")]
    resolver.notes.clear()
    return len(found)


def backend(body: str, requires: str = "") -> dict[str, str]:
    """A project with a build backend of its own: the body of build_wheel, in which ``make`` writes the wheel."""
    code = f"""
import base64, hashlib, os, pathlib, zipfile
def make(directory, name, files):
    information = name + "-1.0.dist-info"
    files = {{**files, information + "/METADATA": f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: 1.0\\n",
             information + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}}
    record = "".join(f"{{path}},,\\n" for path in files) + information + "/RECORD,,\\n"
    file = name + "-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, file), "w") as archive:
        for path, body in {{**files, information + "/RECORD": record}}.items():
            archive.writestr(zipfile.ZipInfo(path), body)
    return file
{requires}
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
{textwrap.indent(textwrap.dedent(body).strip(), "    ")}
"""
    return {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n',
        "own.py": code,
    }


def failure(resolver: Resolver, *spec: Document, **more: t.Any) -> str:
    """What the user is told when these cannot be locked."""
    with pytest.raises(FleetError) as caught:
        resolver(spec=spec, python=PYTHON, **more)
    return str(caught.value)


@pytest.fixture
def backends(resolver: Resolver) -> Resolver:
    """The resolver, with setuptools on the forge's index."""
    publish_installed(resolver.default, "setuptools")
    return resolver


def test_a_repository_becomes_a_wheel_of_the_lock(backends: Resolver) -> None:
    backends.default.wheel("box", "1.0")
    spec = git(
        backends,
        "plain",
        {"pyproject.toml": SETUPTOOLS + project("plain", more='dependencies = ["box"]\n'), "plain.py": "A = 1\n"},
    )
    target = backends(spec=[spec], python=PYTHON)
    locked = entry(target, "plain")
    wheel = stored(backends, locked)
    assert members(wheel)["plain.py"] == b"A = 1\n"
    assert (locked["source"], locked["version"], locked["file"]) == ("git", "1.0", "plain-1.0-py3-none-any.whl")
    assert (locked["index"], locked["url"], locked["size"]) == (None, None, wheel.stat().st_size)
    built_from = locked["built_from"]
    assert {key: built_from[key] for key in spec if key != "name"} == {key: spec[key] for key in spec if key != "name"}
    (requirement,) = built_from["requires"]
    assert requirement["name"] == "setuptools" and len(requirement["sha256"]) == 64
    assert built_from["python"].startswith(f"{PYTHON}.")
    assert locked["required_by"] == ["spec"] and entry(target, "box")["required_by"] == ["package:plain"]
    assert json.loads(wheel.with_name(f"{wheel.name}.json").read_text())["inputs"]["python"] == PYTHON


def simple_repositories(backends: Resolver) -> list[Document]:
    """One without pyproject.toml, one of hatchling, one of flit, one in a subdirectory."""
    flit = '[build-system]\nrequires = ["flit_core>=3.4"]\nbuild-backend = "flit_core.buildapi"\n'
    hatchling = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    setup = "import setuptools as s\ns.setup(name='legacy', version='0.3', py_modules=['legacy'])\n"
    files = {"pyproject.toml": flit + project("flat", more='description = "flat"\n'), "flat.py": '"""Flat."""\n'}
    below = {"python/below/pyproject.toml": SETUPTOOLS + project("below"), "python/below/below.py": ""}
    return [
        git(backends, "legacy", {"setup.py": setup, "legacy.py": ""}),
        git(backends, "hatched", {"pyproject.toml": hatchling + project("hatched"), "hatched/__init__.py": ""}),
        git(backends, "flat", files),
        git(backends, "below", {"README": "", **below}, subdirectory="python/below"),
    ]


def tagged_repository(backends: Resolver) -> Document:
    """One whose version is in its tags."""
    scm = SETUPTOOLS.replace('"setuptools"', '"setuptools", "setuptools-scm"') + "[tool.setuptools_scm]\n"
    tagged = backends.forge.repository("owner/tagged")
    tagged.commit({"pyproject.toml": scm + project("tagged", None), "tagged.py": ""})
    tagged.tag("v2.5", annotated=True)
    tagged.commit({"README": "later"})
    return {"name": "tagged", "git": tagged.url, "commit": tagged.head(), "subdirectory": None, "submodules": True}


def repository_with_submodule(backends: Resolver) -> Document:
    """One whose package has data of a submodule."""
    inner = backends.forge.repository("owner/inner")
    inner.commit({"inner.txt": "from the submodule"})
    outer = backends.forge.repository("owner/outer")
    data = '[tool.setuptools.package-data]\nouter = ["data/*"]\n'
    outer.commit({"pyproject.toml": SETUPTOOLS + project("outer") + data, "outer/__init__.py": ""})
    outer.submodule("outer/data", "../inner", inner.head())
    return {"name": "outer", "git": outer.url, "commit": outer.head(), "subdirectory": None, "submodules": True}


def test_six_kinds_of_repository(backends: Resolver) -> None:
    publish_installed(backends.default, "hatchling", "flit-core", "setuptools-scm")
    tagged = tagged_repository(backends)
    spec = [*simple_repositories(backends), tagged, repository_with_submodule(backends)]
    target = backends(spec=spec, python=PYTHON)
    versions = {name: entry(target, name)["version"] for name in ("legacy", "hatched", "flat", "below", "outer")}
    assert versions == {"legacy": "0.3", "hatched": "1.0", "flat": "1.0", "below": "1.0", "outer": "1.0"}
    assert entry(target, "tagged")["version"] == f"2.6.dev1+g{tagged['commit'][:9]}"
    assert members(stored(backends, entry(target, "outer")))["outer/data/inner.txt"] == b"from the submodule"
    assert {"hatchling", "pathspec"} <= {each["name"] for each in entry(target, "hatched")["built_from"]["requires"]}
    assert builds(backends) >= len(spec)
    assert backends(spec=spec, python=PYTHON, place="two") == target
    assert builds(backends) == 0
    # What is built again of the same inputs has the same bytes.
    for name in ("legacy", "hatched", "flat"):
        shutil.rmtree(stored(backends, entry(target, name)).parent)
    assert backends(spec=spec, python=PYTHON, kept=target["packages"], place="three") == target
    assert not [note for note in backends.notes if "reproducible" in note]


def test_newer_build_requirements_come_with_an_upgrade_alone(backends: Resolver) -> None:
    files = backend('return make(wheel_directory, "own", {})')
    files["pyproject.toml"] = files["pyproject.toml"].replace("[]", '["tool"]')
    spec = git(backends, "own", files)
    backends.default.wheel("tool", "1.0")
    target = backends(spec=[spec], python=PYTHON)
    backends.default.wheel("tool", "1.1")
    shutil.rmtree(backends.wheels)
    assert backends(spec=[spec], python=PYTHON, kept=target["packages"]) == target
    moved = backends(spec=[spec], python=PYTHON, kept=target["packages"], upgrade={"own"})
    assert [each["version"] for each in entry(moved, "own")["built_from"]["requires"]] == ["1.1"]
    assert builds(backends) == 3
    assert backends(spec=[spec], python=PYTHON, kept=moved["packages"], upgrade={"own"}) == moved
    assert builds(backends) == 0


def test_bytes_that_differ_are_told(backends: Resolver) -> None:
    files = backend("return make(wheel_directory, 'own', {'own.py': os.urandom(8).hex()})")
    spec = git(backends, "own", files)
    target = backends(spec=[spec], python=PYTHON)
    stored(backends, entry(target, "own")).write_bytes(b"damaged")
    again = backends(spec=[spec], python=PYTHON, kept=target["packages"])
    assert entry(again, "own")["sha256"] != entry(target, "own")["sha256"]
    assert any("its builds are not reproducible" in note for note in backends.notes)


def test_a_source_archive(backends: Resolver) -> None:
    release = backends.default.sdist("packed", "2.0", requires=["box>=1"])
    backends.default.wheel("box", "1.5")
    spec = {"name": "packed", "url": release.url, "sha256": release.sha256}
    target = backends(spec=[spec], python=PYTHON)
    locked = entry(target, "packed")
    assert (locked["source"], locked["version"]) == ("sdist", "2.0")
    assert (locked["built_from"]["url"], locked["built_from"]["sha256"]) == (release.url, release.sha256)
    assert entry(target, "box")["required_by"] == ["package:packed"]
    wrong = {**spec, "sha256": "0" * 64}
    assert f"has the sha256 {release.sha256}, and {'0' * 64} is asked for" in failure(backends, wrong)


def test_what_a_backend_requires_by_itself(backends: Resolver) -> None:
    """get_requires_for_build_wheel of PEP 517, which only the backend can answer."""
    hook = "def get_requires_for_build_wheel(config_settings=None):\n    return ['tool>=2']\n"
    files = backend("import tool\nreturn make(wheel_directory, 'own', {'own.py': tool.__version__})", hook)
    backends.default.wheel("tool", "2.1")
    locked = entry(backends(spec=[git(backends, "own", files)], python=PYTHON), "own")
    assert [(each["name"], each["version"]) for each in locked["built_from"]["requires"]] == [("tool", "2.1")]
    assert members(stored(backends, locked))["own.py"] == b"2.1"


def test_a_library_fits_the_hosts_that_have_its_glibc(backends: Resolver) -> None:
    setup = "from setuptools import Extension, setup\nsetup(ext_modules=[Extension('fast', ['fast.c'])])\n"
    # The version of this symbol is that of the compiler's own C library from glibc 2.34 on.
    source = """
        #include <pthread.h>
        static void *nothing(void *argument) { return argument; }
        void *PyInit_fast(void) {
            pthread_t thread;
            pthread_create(&thread, NULL, nothing, NULL);
            pthread_join(thread, NULL);
            return NULL;
        }
    """
    files = {"pyproject.toml": SETUPTOOLS + project("fast"), "setup.py": setup, "fast.c": source}
    spec = git(backends, "fast", files)
    machine = os.uname().machine
    locked = entry(backends(spec=[spec], python=PYTHON, platform=f"{machine}-manylinux_2_34"), "fast")
    tag = PYTHON.replace(".", "")
    assert locked["file"] == f"fast-1.0-cp{tag}-cp{tag}-linux_{machine}.whl"
    text = failure(backends, spec, platform=f"{machine}-manylinux_2_28")
    assert "was built against glibc 2.34, and hosts of the target may have 2.28" in text
    assert "Set comfy_builder to a host with glibc 2.28 or older" in text


def test_all_builds_that_fail_are_told_with_what_matters(backends: Resolver) -> None:
    noise = "\n".join(f"print('line {number} of very much')" for number in range(40))
    spec = [
        git(backends, "own", backend(f"print('error: the first')\n{noise}\nraise RuntimeError('the end')")),
        git(backends, "late", {"pyproject.toml": SETUPTOOLS + project("late"), "setup.py": "import absent_module\n"}),
        git(backends, "empty", {"README": "no project"}),
        git(backends, "below", {"README": ""}, subdirectory="missing"),
    ]
    text = failure(backends, *spec)
    assert f"own ({spec[0]['git']} at {spec[0]['commit'][:12]})" in text
    assert (
        "    error: the first\n" in text and "    RuntimeError: the end\n" in text and "line 3 of very much" not in text
    )
    log = backends.directory / "one" / "cache" / "logs" / "build-own-gpu.log"
    assert str(log) in text and "line 3 of very much" in log.read_text()
    assert '{"name": "late", "requires": ["absent_module"]}' in text
    assert "has neither pyproject.toml nor setup.py" in text and "has no directory missing" in text
    assert not list(backends.wheels.glob("*/*"))


def test_a_build_reaches_no_network(backends: Resolver) -> None:
    url = backends.forge.index().url
    body = f"import urllib.request\nurllib.request.urlopen({url!r})\nreturn make(wheel_directory, 'own', {{}})"
    spec = git(backends, "own", backend(body))
    backends.forge.forget_requests()
    assert "Builds have no network" in failure(backends, spec)
    assert not [request for request in backends.forge.requests if request.path.startswith("/simple/")]


@pytest.mark.parametrize("place", ["{home}/stray", "/usr/stray", "/etc/passwd", "/proc/sys/kernel/hostname"])
def test_a_build_writes_nothing_outside(backends: Resolver, tmp_path: Path, place: str) -> None:
    path = place.format(home=tmp_path)
    before = os.path.lexists(path)
    body = f"pathlib.Path({path!r}).write_text('stray')\nreturn make(wheel_directory, 'own', {{}})"
    text = failure(backends, git(backends, "own", backend(body)))
    assert "Read-only file system" in text or "No such file or directory" in text
    assert os.path.lexists(path) == before


def test_a_build_sees_nothing_of_the_user(backends: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No home, no processes, no variables; what it installs from cannot be changed by it."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    (tmp_path / "private").write_text("secret")
    body = f"""
        seen = [name for name in os.environ if name.endswith("TOKEN")]
        private = ({str(tmp_path / "private")!r}, {str(backends.directory)!r} + "/forge")
        seen += [path for path in private if os.path.exists(path)]
        processes = [open("/proc/" + pid + "/cmdline").read() for pid in os.listdir("/proc") if pid.isdecimal()]
        seen += [command for command in processes if "pytest" in command]
        for path in pathlib.Path({str(backends.directory)!r}).rglob("*.whl"):
            try:
                path.write_bytes(b"changed")
                seen.append(str(path))
            except OSError:
                pass
        report = str((seen, os.environ["SOURCE_DATE_EPOCH"], os.environ["SPOKEN"], os.uname().nodename))
        return make(wheel_directory, "own", {{"own.py": report}})
    """
    files = backend(body)
    files["pyproject.toml"] = files["pyproject.toml"].replace("[]", '["tool"]')
    backends.default.wheel("tool", "1.0")
    build = [{"name": "own", "requires": [], "env": {"SPOKEN": "by the spec"}}]
    target = backends(spec=[git(backends, "own", files)], python=PYTHON, build=build)
    said = members(stored(backends, entry(target, "own")))["own.py"].decode()
    assert said == str(([], "1760003600", "by the spec", "builder"))


def test_a_build_against_the_torch_that_is_locked(backends: Resolver) -> None:
    """It imports torch and does not say so: python.build does, and the versions of the spec count there too."""
    for version in ("2.8.0", "2.9.0", "2.10.0"):
        backends.default.wheel("torch", version)
    body = "import torch\nreturn make(wheel_directory, 'flash', {'flash.py': torch.__version__})"
    spec = git(backends, "flash", backend(body))
    assert '{"name": "flash", "requires": ["torch"]}' in failure(
        backends,
        spec,
    )
    build = [{"name": "flash", "requires": ["torch"], "env": {}}]
    pinned = {"requirement": "torch==2.9.0", "index": None}
    target = backends(spec=[spec, pinned], python=PYTHON, build=build)
    assert members(stored(backends, entry(target, "flash")))["flash.py"] == b"2.9.0"
    assert entry(target, "torch")["version"] == "2.9.0"


def test_a_build_against_another_torch_than_the_locked_one(backends: Resolver) -> None:
    for version in ("2.9.0", "2.10.0"):
        backends.default.wheel("torch", version)
    backends.default.wheel("neighbour", "1.0", requires=["torch<2.10"])
    spec = git(backends, "flash", backend("import torch\nreturn make(wheel_directory, 'flash', {})"))
    build = [{"name": "flash", "requires": ["torch"], "env": {}}]
    text = failure(backends, spec, {"requirement": "neighbour", "index": None}, build=build)
    assert "flash: was built against torch 2.10.0, and the target has torch 2.9.0" in text
    assert 'Add "torch==2.9.0" to python_packages' in text


def test_a_build_against_an_older_numpy_than_the_locked_one(backends: Resolver) -> None:
    for version in ("1.26.4", "2.1.0", "2.2.0"):
        backends.default.wheel("numpy", version)
    spec = git(backends, "fast", backend("return make(wheel_directory, 'fast', {})"))
    numpy = {"requirement": "numpy==2.2.0", "index": None}
    old, new = ([{"name": "fast", "requires": [line], "env": {}}] for line in ("numpy<2", "numpy==2.1.0"))
    text = failure(backends, spec, {"requirement": "numpy", "index": None}, build=old)
    assert "was built against numpy 1.26.4, and the target has numpy 2.2.0" in text
    assert "what its build requires cannot be had" in failure(backends, spec, numpy, build=new)
    files = backend("return make(wheel_directory, 'other', {})")
    files["pyproject.toml"] = files["pyproject.toml"].replace("[]", '["numpy==2.1.0"]')
    target = backends(spec=[git(backends, "other", files), numpy], python=PYTHON)
    assert entry(target, "numpy")["version"] == "2.2.0"


def test_a_python_that_is_nowhere(backends: Resolver) -> None:
    spec = git(backends, "own", backend("return make(wheel_directory, 'own', {})"))
    with pytest.raises(FleetError) as caught:
        backends(spec=[spec], python="3.99")
    assert "the control node has no Python 3.99. Set comfy_builder to" in str(caught.value)
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[os.uname().machine]
    assert f"the control node is {os.uname().machine}. Set comfy_builder to" in failure(
        backends, spec, platform=f"{other}-manylinux_2_28"
    )


def test_another_package_than_the_entry_says(backends: Resolver) -> None:
    spec = git(backends, "named", backend("return make(wheel_directory, 'other', {})"))
    assert 'Write "name": "other" in its entry' in failure(backends, spec)


def may_be_built(*names: str) -> list[Document]:
    """The normalized python.build."""
    return [{"name": name, "requires": [], "env": {}} for name in names]


def test_a_name_that_may_be_built_is_where_no_wheel_fits(backends: Resolver) -> None:
    backends.default.wheel("face", "1.0")
    old = backends.default.sdist("face", "1.1")
    new = backends.default.sdist("face", "1.2")
    backends.default.wheel("face", "1.2", tag="cp38-cp38-win_amd64")
    spec = {"requirement": "face<2", "index": None}
    locked = entry(backends(spec=[spec], python=PYTHON, build=may_be_built("face")), "face")
    assert (locked["version"], locked["source"]) == ("1.2", "sdist")
    said = {key: locked["built_from"][key] for key in ("index", "file", "sha256")}
    assert said == {"index": "pypi", "file": new.filename, "sha256": new.sha256}
    bounded = {"requirement": "face<1.2", "index": None}
    target = backends(spec=[bounded], python=PYTHON, build=may_be_built("face"))
    assert entry(target, "face")["built_from"]["file"] == old.filename
    # What is locked stays, and a new release with a wheel needs no build.
    kept = target["packages"]
    assert (
        entry(backends(spec=[spec], python=PYTHON, build=may_be_built("face"), kept=kept), "face")["version"] == "1.1"
    )
    backends.default.wheel("face", "1.3")
    builds(backends)
    moved = backends(spec=[spec], python=PYTHON, build=may_be_built("face"), kept=kept, upgrade={"face"})
    assert (entry(moved, "face")["version"], entry(moved, "face")["source"]) == ("1.3", "index")
    assert builds(backends) == 0
    assert entry(backends(spec=[spec], python=PYTHON), "face")["version"] == "1.3"


def test_an_override_says_which_release_is_built(backends: Resolver) -> None:
    backends.default.sdist("face", "1.1")
    backends.default.sdist("face", "1.2")
    spec = {"requirement": "face>=1.2", "index": None}
    target = backends(spec=[spec], python=PYTHON, build=may_be_built("face"), overrides=["face==1.1"])
    assert entry(target, "face")["version"] == "1.1"


def test_a_mirror_changes_nothing_in_the_lock(backends: Resolver) -> None:
    """Two control nodes that reach the index in different ways make one lock, and the second builds nothing."""
    release = backends.default.sdist("face", "1.0")
    mirror = backends.forge.index("mirror")
    publish_installed(mirror, "setuptools")
    mirror.wheel("pip", "25.2")
    mirror.publish(release.filename, release.content.data, release.metadata.data)
    mirror.token = "s3cret"
    host = urllib.parse.urlsplit(mirror.url).netloc
    spec = {"requirement": "face", "index": None}
    target = backends(spec=[spec], python=PYTHON, build=may_be_built("face"))
    assert builds(backends) == 1
    reached = {"pypi": mirror.url.replace(host, f"someone:s3cret@{host}")}
    assert backends(spec=[spec], python=PYTHON, build=may_be_built("face"), reached=reached, place="two") == target
    assert builds(backends) == 0
    shutil.rmtree(backends.wheels)
    given = {"build": may_be_built("face"), "reached": reached, "kept": target["packages"]}
    again = backends(spec=[spec], python=PYTHON, place="three", **given)
    assert entry(again, "face")["built_from"] == entry(target, "face")["built_from"]
    assert "mirror" not in json.dumps(target)


@pytest.mark.parametrize("json", [True, False])
def test_a_name_that_a_package_alone_asks_for(backends: Resolver, json: bool) -> None:
    backends.default.habits.json, backends.default.habits.hashes = json, json
    backends.default.wheel("asker", "1.0", requires=["face"])
    release = backends.default.sdist("face", "1.0")
    backends.default.yank(backends.default.sdist("face", "1.1"))
    spec = {"requirement": "asker", "index": None}
    target = backends(spec=[spec], python=PYTHON, build=may_be_built("face", "unheard-of"))
    locked = entry(target, "face")
    assert (locked["version"], locked["required_by"]) == ("1.0", ["package:asker"])
    assert locked["built_from"]["sha256"] == release.sha256


def test_a_name_that_nothing_asks_for_is_not_built(backends: Resolver) -> None:
    """Which packages ask for more, only their wheels say: one that is built may ask for one that is to be built."""
    backends.default.sdist("vain", "1.0")
    backends.default.sdist("deep", "1.0")
    backends.default.sdist("face", "1.0", requires=["deep"])
    spec = git(backends, "own", {"pyproject.toml": SETUPTOOLS + project("own", more='dependencies = ["face"]\n')})
    target = backends(spec=[spec], python=PYTHON, build=may_be_built("vain", "deep", "face"))
    assert {package["name"] for package in target["packages"]} == {"own", "face", "deep", "pip"}
    assert "python.build, vain: nothing asks for it, so it is not built" in backends.notes[-1]
    assert builds(backends) == 3


def test_a_build_that_requires_what_others_build(backends: Resolver) -> None:
    """Of a repository, of a name that only it asks for, and of one that the backend names when it is asked."""
    backends.default.sdist("spare", "1.0")
    hook = "def get_requires_for_build_wheel(config_settings=None):\n    return ['late']\n"
    files = backend("import first, late\nreturn make(wheel_directory, 'own', {'own.py': first.A})", hook)
    files["pyproject.toml"] = files["pyproject.toml"].replace("[]", '["first", "spare"]')
    spec = [
        git(backends, "own", files),
        git(backends, "late", backend("return make(wheel_directory, 'late', {'late.py': ''})")),
        git(backends, "first", backend("return make(wheel_directory, 'first', {'first.py': 'A = \"of git\"'})")),
    ]
    target = backends(spec=spec, python=PYTHON, build=may_be_built("spare"))
    own = entry(target, "own")
    assert members(stored(backends, own))["own.py"] == b"of git"
    held = {each["name"]: each["sha256"] for each in own["built_from"]["requires"]}
    assert held.keys() == {"first", "late", "spare"}
    assert held["first"] == entry(target, "first")["sha256"]
    assert "spare" not in {package["name"] for package in target["packages"]}
    assert backends(spec=spec, python=PYTHON, build=may_be_built("spare"), kept=target["packages"]) == target


def test_builds_that_wait_for_each_other_or_for_one_that_fails(backends: Resolver) -> None:
    one, two, three = (backend(f"return make(wheel_directory, '{name}', {{}})") for name in ("one", "two", "three"))
    for files, required in ((one, "two"), (two, "one"), (three, "broken")):
        files["pyproject.toml"] = files["pyproject.toml"].replace("[]", f'["{required}"]')
    circle = git(backends, "one", one), git(backends, "two", two)
    assert "builds wait for each other: one (for two), two (for one)" in failure(backends, *circle)
    broken = git(backends, "broken", backend("raise RuntimeError('this alone is why')"))
    text = failure(backends, git(backends, "three", three), broken)
    assert "this alone is why" in text
    assert "three (" not in text


def test_a_build_that_requires_another_one_through_a_package_of_an_index(backends: Resolver) -> None:
    backends.default.wheel("between", "1.0", requires=["first"])
    files = backend("import first, between\nreturn make(wheel_directory, 'own', {})")
    files["pyproject.toml"] = files["pyproject.toml"].replace("[]", '["between"]')
    first = git(backends, "first", backend("return make(wheel_directory, 'first', {'first.py': ''})"))
    own = entry(backends(spec=[git(backends, "own", files), first], python=PYTHON), "own")
    assert {each["name"] for each in own["built_from"]["requires"]} == {"between", "first"}
    nobody = backend("return make(wheel_directory, 'alone', {})")
    nobody["pyproject.toml"] = nobody["pyproject.toml"].replace("[]", '["nobody-has-it"]')
    alone, broken = git(backends, "alone", nobody), git(backends, "broken", backend("raise RuntimeError('why')"))
    text = failure(backends, alone, broken)
    assert "nobody-has-it" in text
    assert "RuntimeError: why" in text
    assert "nobody-has-it" in failure(backends, alone, git(backends, "alone2", {**nobody, "x": ""}))


def test_a_machine_without_namespaces_builds_nothing(backends: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the user were not mapped: then nothing may be mounted, as where user namespaces are forbidden."""
    monkeypatch.setattr(sandbox, "_NAMESPACES", ("--user", "--mount", "--net", "--pid", "--fork"))
    sandbox.check_sandbox.cache_clear()
    spec = git(backends, "own", backend("return make(wheel_directory, 'own', {})"))
    text = failure(backends, spec)
    sandbox.check_sandbox.cache_clear()
    assert "this machine does not let us make one" in text
    assert "code of strangers is not run without. Allow user namespaces" in text
    assert "comfy_builder" in text
