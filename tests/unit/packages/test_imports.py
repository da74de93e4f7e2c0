# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify.imports: the spec's modules are imported before an environment serves; and what an environment holds."""

from __future__ import annotations

import io
import os
import pathlib
import tarfile
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.packages import imports
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.imports import Imported, import_modules
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.installed import installed_packages
from tests.support import locks, pythons
from tests.unit.packages.conftest import Host, converge, locked, look
from tests.unit.packages.test_killed import options, run
from tests.unit.packages.test_store import NOBODY, public

__all__ = ["public"]

MODULES: dict[str, str | bytes] = {
    "good/__init__.py": "",
    "good/inner.py": "",
    "bad/__init__.py": "raise ValueError('of no use')\n",
    "lost/__init__.py": "import requests_that_nobody_brings\n",
    "loud/__init__.py": "import sys; print('x' * 100000, file=sys.stderr); raise RuntimeError('after much text')\n",
    "gone/__init__.py": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n",
    "quits/__init__.py": "raise SystemExit(3)\n",
    "library/__init__.py": "raise ImportError('libGL.so.1: cannot open shared object file: No such file')\n",
    "slow/__init__.py": "import time; time.sleep(60)\n",
    "tells/__init__.py": "import os, sys; raise ValueError(f'{os.getuid()} {sys.flags.isolated} {os.getcwd()}')\n",
    "writes/__init__.py": "import os; open(os.path.join(os.path.expanduser('~'), 'file'), 'w').close()\n",
}


def context_of(host: Host, *modules: str, **settings: t.Any) -> Context:
    """A lock of one package with all of these modules, that wants ``modules`` to be importable."""
    return host.context([], document=document_of(host, *modules), **settings)


def document_of(host: Host, *modules: str) -> locks.Document:
    """The same as a document."""
    document = host.document([locked(host.index.wheel("many", "1.0", modules=MODULES))])
    document["spec"] = {**document["spec"], "verify": {"imports": list(modules)}}
    return document


def failing(host: Host, *modules: str, **settings: t.Any) -> list[FleetError]:
    """The faults of a first converge; no environment is left."""
    context = context_of(host, *modules, **settings)
    with pytest.raises(FleetError) as caught:
        converge(context)
    assert list(context.layout.envs.iterdir()) == []
    return caught.value.faults if isinstance(caught.value, Failures) else [caught.value]


def test_modules_that_can_be_imported(host: Host) -> None:
    context = context_of(host, "good", "good.inner", "json")
    converge(context)
    assert import_modules(context, context.environment) == [
        Imported("good", "many", None),
        Imported("good.inner", "many", None),
        Imported("json", None, None),
    ]


def test_all_that_fail_are_told_at_once_with_the_reason(host: Host) -> None:
    faults = failing(host, "good", "bad", "lost", "loud", "gone", "quits", "library", "nowhere", "good.nothing")
    assert {fault.where: fault.what for fault in faults} == {
        "module bad": "can not be imported (it is of the package many): ValueError: of no use",
        "module lost": "can not be imported (it is of the package many): "
        "ModuleNotFoundError: No module named 'requests_that_nobody_brings'",
        "module loud": "can not be imported (it is of the package many): RuntimeError: after much text",
        "module gone": "can not be imported (it is of the package many): it was ended by SIGSEGV",
        "module quits": "can not be imported (it is of the package many): exit status 3",
        "module library": "can not be imported (it is of the package many): "
        "ImportError: libGL.so.1: cannot open shared object file: No such file",
        "module nowhere": "can not be imported (no package of the lock brings it): "
        "ModuleNotFoundError: No module named 'nowhere'",
        "module good.nothing": "can not be imported (it is of the package many): "
        "ModuleNotFoundError: No module named 'good.nothing'",
    }
    remedies = {fault.where: fault.remedy for fault in faults}
    assert "Install the system's package that has libGL.so.1" in remedies["module library"]
    assert "Add the package that brings requests_that_nobody_brings to python_packages" in remedies["module lost"]
    assert "or take it out of verify.imports" in remedies["module nowhere"]


def test_a_module_that_does_not_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_SECONDS", 1.0)
    (fault,) = failing(host, "slow")
    assert "it did not end within 1 s" in fault.what


def test_a_module_is_imported_by_nobody_in_isolation(public: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    directory = public.root.parent
    with tarfile.open(fileobj=io.BytesIO(pythons.archive())) as archive:
        archive.extractall(directory, filter="fully_trusted")
    (fault,) = failing(public, "tells", "writes", python=str(directory / "python" / "bin" / "python3"))
    user, isolated, home = fault.what.rpartition("ValueError: ")[2].split()
    assert (int(user), isolated) == (NOBODY if os.geteuid() == 0 else os.getuid(), "1")
    assert home != os.getcwd()
    assert not pathlib.Path(home).exists(), "what it wrote is gone"


def test_where_nobody_can_not_get_to_the_environment_it_is_imported_all_the_same(host: Host) -> None:
    host.root.parent.chmod(0o700)
    (fault,) = failing(host, "tells")
    assert fault.what.rpartition("ValueError: ")[2].split()[0] == str(os.geteuid())


def test_a_later_look_imports_nothing_and_a_verification_does(host_with_pip: Host) -> None:
    host = host_with_pip
    document = document_of(host, "good")
    converge(host.context([], document=document))
    wanting = document_of(host, "good", "bad")
    assert look(host.context([], document=wanting)).changes == ()
    verified = run(options(host, document, state="verified"))
    assert verified["imports"] == [{"module": "good", "package": "many", "error": None}]
    failed = run(options(host, wanting, state="verified"), failing=True)
    assert [each["where"] for each in failed["failures"]] == ["module bad"]
    assert [each["error"] for each in failed["imports"]] == [None, "ValueError: of no use"]
    assert {each["name"] for each in failed["installed"]} == {"many", "pip"}
    without = run(options(host, wanting, state="verified", imports=False))
    assert without["imports"] == []


def test_what_is_installed_is_described(host: Host) -> None:
    release = host.forge.index("cpu").wheel("torch", "2.9.0+cpu", modules={"torch/__init__.py": "X = 1\n"})
    direct = host.forge.index("elsewhere").wheel("sage", "1.0")
    packages = [
        locked(release),
        locked(direct, index=None, url="https://wheels.example/sage.whl", source="wheel"),
        locked(host.index.wheel("plain", "1.0")),
    ]
    wheels = host.root.parent / "wheels"
    wheels.mkdir()
    (wheels / direct.filename).write_bytes(direct.content.data)
    context = host.context(packages, wheels_dir=wheels)
    converge(context)
    described = {each["name"]: each for each in installed_packages(context)}
    assert described["torch"] | {"files": 0, "bytes": 0} == {
        "name": "torch",
        "version": "2.9.0+cpu",
        "source": "index",
        "origin": host.forge.index("cpu").url,
        "files": 0,
        "bytes": 0,
    }
    assert described["torch"]["files"] == 6
    assert described["torch"]["bytes"] > 100
    assert described["sage"]["origin"] == "https://wheels.example/sage.whl"
    assert list(described) == ["pip", "plain", "sage", "torch"]
