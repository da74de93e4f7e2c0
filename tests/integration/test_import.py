# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of requirements, from an image's files to a version that runs: imported, decided on, locked and realized."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

from tests.unit.resolve.test_builds import backend

if t.TYPE_CHECKING:
    from tests.integration.conftest import World


def write_lists(world: World) -> list[str]:
    """The lists of an image, in the order in which it installs them."""
    repository = world.forge.repository("people/own")
    commit = repository.commit(backend("return make(wheel_directory, 'own', {'own.py': 'A = 1'})"))
    kernels = world.forge.index("releases").wheel("kernels", "1.0+cu130", modules={"kernels.py": ""})
    contents = {
        "first.txt": "# what nodes want\ncolours\npaper  # for notes\n-r more.txt\n",
        "more.txt": "colours<2\n",
        "second.txt": f"own @ git+{repository.url}@{commit}\n{kernels.url}\n--find-links https://wheels.example/all\n",
    }
    for name, content in contents.items():
        (world.directory / name).write_text(content)
    return [str(world.directory / name) for name in ("first.txt", "second.txt")]


def test_lists_become_a_version_that_runs(world: World) -> None:
    lists = write_lists(world)
    new = {"version": "imported", "extends": "world"}
    spec = world.directory / "versions" / "imported.json"
    shown = world.playbooks.succeed("import", version="", lists=lists)
    assert "first.txt, line 2: colours\n    merged: into first.txt, line 4 -> more.txt, line 1" in shown.output
    assert "7 lines: 5 kept, 1 merged, 0 dropped, 1 to decide; 4 entries of python_packages" in shown.output
    assert '"python_packages": [\n    "colours<2",' in shown.output
    refused = world.playbooks.run("import", lists=lists, **new)
    assert refused.returncode == 2
    assert "second.txt, line 3: --find-links https://wheels.example/all: has the option --find-links" in refused.output
    assert not spec.exists()
    decided = {**new, "lists": lists, "comfy_import_undecided": "leave_out"}
    assert world.playbooks.succeed("import", "--check", **decided).changed == 1
    assert not spec.exists()
    assert world.playbooks.succeed("import", **decided).changed == 1
    assert world.playbooks.succeed("import", **decided).changed == 0
    assert len(json.loads(spec.read_text())["python_packages"]) == 4
    world.playbooks.succeed("realize", version="imported")
    program = "import colours.red, kernels, own, paper; assert colours.red.RED == 0"
    subprocess.run([str(pathlib.Path(world.home, ".venv/bin/python")), "-c", program], check=True)
