# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The field python_packages, as its document promises it: all forms, over the nodes' lines, added without a delete."""

from __future__ import annotations

import json
import shutil
import subprocess
import typing as t

import pytest

from tests.integration.conftest import VERSION
from tests.unit.resolve.test_builds import backend

if t.TYPE_CHECKING:
    from tests.integration.conftest import World

PROGRAM = """
import importlib.metadata, colours, extra, fast, kernels, own, plain, ranged
assert importlib.metadata.version("colours") == "3.1", importlib.metadata.version("colours")
assert importlib.metadata.version("ranged") == "1.9"
"""


def entries(world: World) -> list[t.Any]:
    """An entry of each form; the node palette wants ``colours>=1,<3``."""
    index = world.forge.index("pypi")
    for name, version in (("plain", "5.0"), ("exact", "1.2.3"), ("exact", "2.0"), ("ranged", "1.9"), ("ranged", "2.0")):
        index.wheel(name, version, modules={f"{name}.py": ""})
    index.wheel("fast", "1.0", extras={"gpu": ["extra"]}, modules={"fast.py": ""})
    index.wheel("extra", "1.0", modules={"extra.py": ""})
    index.wheel("colours", "3.1", modules={"colours/__init__.py": ""})
    kernels = world.forge.index("releases").wheel("kernels", "2.2.0+cu130torch2.10", modules={"kernels.py": ""})
    own = world.forge.repository("people/own")
    commit = own.commit(backend("return make(wheel_directory, 'own', {'own.py': 'A = 1'})"))
    return [
        "plain",
        "exact==1.2.3",
        "ranged>=1.0,<2.0",
        "fast[gpu]",
        "absent ; sys_platform == 'win32'",
        "colours==3.1",
        f"kernels @ {kernels.url}#sha256={kernels.sha256}",
        f"own @ git+{own.url}@{commit}",
    ]


def test_the_field_is_added_to_a_version_that_serves(world: World) -> None:
    world.playbooks.succeed("realize")
    served = world.home
    world.spec["schema_version"] = 3
    world.spec["python_packages"] = entries(world)
    locked = world.lock()
    # What gives way is listed, and recorded.
    assert "colours<3,>=1 of node:palette gives way to spec: colours==3.1" in locked.output
    lock = json.loads((world.directory / "versions" / f"{VERSION}.lock.json").read_text())
    (replaced,) = lock["targets"]["default"]["replaced"]
    said = {"owner": "node:palette", "line": "colours<3,>=1", "by": "spec: colours==3.1"}
    assert said.items() <= replaced.items()
    world.playbooks.succeed("realize")
    assert world.home != served
    subprocess.run([str(world.home / ".venv/bin/python"), "-c", PROGRAM], check=True)
    subprocess.run([str(world.home / ".venv/bin/python"), "-m", "pip", "check"], check=True)
    # Offline, what meets the lock is a success; on a bare machine, what is missing is named before anything changes.
    world.forge.forget_requests()
    assert world.playbooks.succeed("realize", comfy_offline=True).changed == 0
    shutil.rmtree(world.root)
    refused = world.playbooks.run("realize", comfy_offline=True)
    assert refused.returncode == 2
    for name in ("plain 5.0", "exact 1.2.3", "kernels 2.2.0+cu130torch2.10"):
        assert f"{name} is not on this host and comfy_offline is set" in refused.output
    assert world.forge.requests == []
    assert not world.root.exists()


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("numpy=1.26", "/python_packages/0: 'numpy=1.26' is no requirement (PEP 508) at character 6"),
        ("torchlike==9", "there is no version torchlike==9"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_its_place(world: World, entry: str, fault: str) -> None:
    world.spec["python_packages"] = [entry]
    world.write()
    refused = world.playbooks.run("lock")
    assert refused.returncode == 2
    assert fault in refused.output
    assert not list((world.directory / "versions").glob("*.lock.json"))
