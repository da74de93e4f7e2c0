# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the host's image: asserted before anything changes, linked into environments, and nothing else of it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import typing as t
import venv
import zipfile

import packaging
import pytest

from tests.support import locks
from tests.support.forge.distributions import Project, wheel
from tests.support.processes import environment
from tests.support.trees import tree
from tests.unit.packages.conftest import PYTHON, Host, converge, locked, look, site, told

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context

TORCH = "2.9.0+cu130"
MODULES = {"torch/__init__.py": "from torch.lib import where\n", "torch/lib/__init__.py": "where = __file__\n"}


@dataclasses.dataclass
class Image:
    """A Python with packages, as a vendor's image has it."""

    root: pathlib.Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.root / "bin" / "python")

    @property
    def site(self) -> pathlib.Path:
        """Its packages' directory."""
        return self.root / "lib" / f"python{PYTHON}" / "site-packages"

    def install(self, name: str, version: str, **more: t.Any) -> None:
        """Have a package, in place of another version."""
        for earlier in self.site.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(earlier)
        place = self.root / "new.whl"
        place.write_bytes(wheel(Project(name, version, **more))[1])
        with zipfile.ZipFile(place) as archive:
            archive.extractall(self.site)


@pytest.fixture
def image(tmp_path: pathlib.Path) -> Image:
    """An image with torch, what it needs, and more."""
    venv.create(tmp_path / "image", with_pip=False)
    image = Image(tmp_path / "image")
    image.install("torch", TORCH, modules=MODULES)
    image.install("nvidia-cublas", "13.1", modules={"nvidia/cublas/lib.py": "A = 1\n"})
    image.install("nvidia-cudnn", "9.1", modules={"nvidia/cudnn/lib.py": "A = 2\n"})
    image.install("secret", "1.0")
    return image


def provided(name: str, version: str) -> locks.Document:
    """The lock's entry of what the image brings."""
    more = {"source": "provided", "file": None, "sha256": None, "size": None, "index": None}
    return {**locks.package(name, version, "", "0" * 64), **more}


def imported(context: Context, code: str) -> str:
    """What the environment's Python prints."""
    python = context.environment / "bin" / "python"
    run = subprocess.run([python, "-I", "-c", code], check=False, capture_output=True, text=True)
    return run.stdout.strip() or run.stderr.strip().splitlines()[-1]


def obstacles(context: Context) -> list[str]:
    """What stands in the way, less where."""
    return [str(each) for each in look(context).obstacles]


def test_an_environment_sees_the_package_and_no_other_of_the_image(host: Host, image: Image) -> None:
    vision = host.index.wheel("vision", "1.0", requires=["torch>=2.9"], modules={"vision.py": "import torch\n"})
    context = host.context([locked(vision), provided("torch", TORCH)], python=image.python)
    before = tree(image.root)
    assert "install torch: None > 2.9.0+cu130" in told(converge(context))
    assert imported(context, "import vision; print(vision.torch.where)") == str(site(context) / "torch/lib/__init__.py")
    assert (site(context) / "torch").readlink() == image.site / "torch"
    assert imported(context, "import importlib.metadata as m; print(m.version('torch'))") == TORCH
    assert "No module named 'secret'" in imported(context, "import secret")
    assert "No module named 'nvidia'" in imported(context, "import nvidia")
    assert {path for path in tree(image.root) if "__pycache__" not in path} == set(before)
    assert look(context).changes == ()


LOOK = """
import json, pathlib, sys
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.plan import plan
lock = read_lock(json.load(sys.stdin))
context = Context(lock, lock.targets["default"], Layout(pathlib.Path(sys.argv[1])), Settings())
print(json.dumps([len(plan(context, observe(context)).changes), sorted(sys.modules)]))
"""


def test_a_look_with_nothing_to_do_is_light(host: Host, image: Image) -> None:
    context = host.context([provided("torch", TORCH)], python=image.python)
    converge(context)
    command = [sys.executable, "-c", LOOK, str(host.root)]
    lock = json.dumps(context.lock.document).encode()
    done = subprocess.run(command, env=environment(), input=lock, stdout=subprocess.PIPE, check=True)
    changes, modules = json.loads(done.stdout)
    assert changes == 0
    assert not {"importlib.metadata", "subprocess"} & set(modules)


def test_of_a_directory_of_several_packages_only_the_own_part(host: Host, image: Image) -> None:
    cudnn = host.index.wheel("nvidia-cudnn", "9.9", modules={"nvidia/cudnn/lib.py": "A = 9\n"})
    context = host.context([locked(cudnn), provided("nvidia-cublas", "13.1")], python=image.python)
    converge(context)
    assert imported(context, "import nvidia.cublas.lib as a, nvidia.cudnn.lib as b; print(a.A, b.A)") == "1 9"
    assert not (site(context) / "nvidia").is_symlink()
    assert (image.site / "nvidia/cudnn/lib.py").read_text() == "A = 2\n"
    alone = host.context([provided("nvidia-cublas", "13.1")], python=image.python)
    converge(alone)
    assert "No module named 'nvidia.cudnn'" in imported(alone, "import nvidia.cudnn")


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("torch", "2.8.0", "torch 2.9.0+cu130 is on this host ({site}), the lock says 2.8.0"),
        ("torch", "2.9.0", "torch 2.9.0+cu130 is on this host ({site}), the lock says 2.9.0"),
        ("jax", "1.0", "jax is not on this host, which is to bring 1.0"),
    ],
)
def test_another_image_is_refused_before_anything_changes(
    host: Host, image: Image, name: str, version: str, words: str
) -> None:
    context = host.context([provided(name, version)], python=image.python)
    (text,) = obstacles(context)
    assert text.startswith(f"{image.python}: {words.format(site=image.site)}")
    assert not context.layout.envs.exists()


@pytest.mark.parametrize("knows_markers", [True, False])
def test_what_the_image_requires_is_brought_too_or_locked(host: Host, image: Image, knows_markers: bool) -> None:
    if knows_markers:
        shutil.copytree(pathlib.Path(packaging.__file__).parent, image.site / "packaging")
    lines = ["filelock", "nvidia-cublas>=13", "sympy", "absent ; os_name == 'nt'", "typing ; os_name == 'posix'"]
    image.install("torch", TORCH, modules=MODULES, requires=lines)
    image.install("nvidia-cublas", "13.1", requires=["nvidia-cudnn"])
    sympy = locked(host.index.wheel("sympy", "1.0"))
    (text,) = obstacles(host.context([sympy, provided("torch", TORCH)], python=image.python))
    required = "filelock, nvidia-cublas, nvidia-cudnn" + (", typing" if knows_markers else "")
    assert f"nvidia-cublas, torch of this host require what the lock has not: {required}. Add to" in text
    elsewhere = '"filelock", "typing"' if knows_markers else '"filelock"'
    assert text.endswith(
        'Add to python.provided "nvidia-cublas==13.1", "nvidia-cudnn==9.1" (or their names to python_packages) and to'
        f" python_packages {elsewhere}, or what works without to python.exclude, and lock again"
    )
    document = host.document([sympy, provided("torch", TORCH), provided("nvidia-cublas", "13.1")])
    document["spec"]["python"] = {"exclude": ["filelock", "nvidia-cudnn", "typing"]}
    assert obstacles(host.context([], document=document, python=image.python)) == []


def test_an_image_that_changes_under_an_environment_is_drift(host: Host, image: Image) -> None:
    context = host.context([provided("torch", TORCH)], python=image.python)
    converge(context)
    (image.site / "torch" / "new.py").write_text("")
    assert look(context).changes == ()
    image.install("torch", "2.9.1", modules=MODULES)
    planned = look(context)
    assert f"change torch: damaged > {TORCH}" in told(planned.changes)
    assert "torch 2.9.1 is on this host" in str(planned.obstacles[0])
    image.install("torch", TORCH, modules=MODULES)
    assert look(context).changes == ()


def test_a_link_that_somebody_replaced_is_made_again(host: Host, image: Image) -> None:
    context = host.context([provided("torch", TORCH)], python=image.python)
    converge(context)
    (site(context) / "torch").unlink()
    (site(context) / "torch").mkdir()
    (site(context) / "torch" / "__init__.py").write_text("where = 'mine'\n")
    assert f"change torch: damaged > {TORCH}" in told(look(context).changes)
    converge(context)
    assert (site(context) / "torch").is_symlink()


def test_a_package_of_the_distribution_without_a_list_of_files(host: Host, image: Image) -> None:
    """As Debian installs them."""
    metadata = image.site / "old_one-3.1.egg-info"
    metadata.mkdir()
    (metadata / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: old-one\nVersion: 3.1\n")
    context = host.context([provided("old-one", "3.1")], python=image.python)
    assert "does not say which files are its own" in obstacles(context)[0]
    (metadata / "top_level.txt").write_text("old_one\n")
    (image.site / "old_one").mkdir()
    (image.site / "old_one" / "__init__.py").write_text("A = 1\n")
    converge(context)
    assert imported(context, "import old_one; print(old_one.A)") == "1"


def test_without_what_is_provided_nothing_is_asked(host: Host) -> None:
    context = host.context([], python=sys.executable)
    assert obstacles(context) == []
    converge(context)
    assert not (context.environment / "provided.json").exists()
