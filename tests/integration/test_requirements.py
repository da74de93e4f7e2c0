# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes whose requirements clash: what a run prints, put into the spec, leads to a machine that serves."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from tests.integration.conftest import World


def test_what_a_conflict_prints_goes_into_the_spec_and_onto_the_machine(world: World) -> None:
    world.palette.commit({"requirements.txt": "colours<2\n"})
    world.notebook.commit({"requirements.txt": "colours>=2\npaper\n"})
    refused = world.playbooks.run("realize")
    assert refused.returncode == 2
    assert not world.root.exists()
    assert "node palette (requirements.txt): colours<2\n" in refused.output
    assert "node notebook (requirements.txt): colours>=2\n" in refused.output
    printed = refused.output.partition('Add to the spec "python_packages": ')[2]
    world.spec["python_packages"] = json.JSONDecoder().raw_decode(printed)[0]
    locked = world.lock()
    assert "colours<2 of node:palette gives way to spec: colours>=2" in locked.output
    world.playbooks.succeed("realize")
    environment = (world.home / ".venv").resolve()
    assert (environment / "bin/python").exists()
    world.spec["python_packages"].append("smallmath<1")
    world.spec["python_packages"][0] = "colours==1.5"
    world.lock()
    world.playbooks.succeed("realize")
    assert (world.home / ".venv").resolve() != environment
    (red,) = (world.home / ".venv").glob("lib/*/site-packages/colours/red.py")
    assert red.read_text() == "RED = 0\n"
