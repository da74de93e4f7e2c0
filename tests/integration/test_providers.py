# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that fill one module, and a package of the machine's image, from the spec to the machine."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
import venv
import zipfile

from tests.support.forge.distributions import Project, wheel

if t.TYPE_CHECKING:
    import pathlib

    from tests.integration.conftest import World


def image_with(directory: pathlib.Path, project: Project) -> str:
    """A Python that has a package, as a vendor's image has it."""
    venv.create(directory, with_pip=False)
    site = directory / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (directory / "it.whl").write_bytes(wheel(project)[1])
    with zipfile.ZipFile(directory / "it.whl") as archive:
        archive.extractall(site)
    return str(directory / "bin" / "python")


def test_one_provider_and_a_package_of_the_image(world: World) -> None:
    index = world.forge.index("pypi")
    for name in ("opencv-python", "opencv-python-headless"):
        for version in ("4.11", "5.0"):
            index.wheel(name, version, modules={"cv2/__init__.py": f"FROM = {name!r}\n" * 99})
    world.core.commit({"requirements.txt": "torchlike>=1\nopencv-python\n"})
    world.palette.commit({"requirements.txt": "colours>=1,<3\nopencv-python-headless<5\n"})
    world.spec["schema_version"] = 3
    world.spec["python"] = {"provided": ["torchlike==1.0+vendor"]}
    world.spec["verify"] = {"imports": ["cv2", "torchlike"]}
    world.spec["python_packages"] = ["smallmath"]
    world.write()
    refused = world.playbooks.run("realize")
    assert "torchlike is not on this host, which is to bring 1.0+vendor" in refused.output
    assert not (world.root / "envs").exists()
    modules = {"torchlike.py": "import smallmath\nOF = 'image'\n"}
    image = Project("torchlike", "1.0+vendor", requires=["smallmath"], modules=modules)
    python = image_with(world.directory / "image", image)
    world.playbooks.succeed("realize", comfy_python=python)
    assert world.playbooks.succeed("realize", comfy_python=python).changed == 0
    (lock,) = (world.directory / "versions").glob("*.lock.json")
    (target,) = json.loads(lock.read_text())["targets"].values()
    sources = {each["name"]: (each["version"], each["source"]) for each in target["packages"]}
    assert sources["opencv-python"] == ("4.11", "shim")
    assert sources["opencv-python-headless"] == ("4.11", "index")
    assert sources["torchlike"] == ("1.0+vendor", "provided")
    code = "import cv2, torchlike; print(cv2.FROM, torchlike.OF)"
    interpreter = world.home / ".venv" / "bin" / "python"
    shown = subprocess.run([interpreter, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "opencv-python-headless image\n"
    checked = subprocess.run([interpreter, "-m", "pip", "check"], check=False, capture_output=True, text=True)
    assert checked.stdout == "No broken requirements found.\n"
