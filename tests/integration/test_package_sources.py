# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of a private index, from the spec to the machine."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from tests.integration.conftest import World

SECRET = "s3cret-word"


def test_a_package_that_only_another_one_wants_comes_from_the_private_index_it_is_bound_to(world: World) -> None:
    private = world.forge.index("private")
    private.token = SECRET
    release = private.wheel("smallmath", "0.2+own", modules={"smallmath.py": "OWN = True\n" * 99})
    world.forge.index("pypi").wheel("smallmath", "99.0", modules={"smallmath.py": ""})
    world.spec["schema_version"] = 3
    world.spec["python"] = {"indexes": [{"name": "private", "url": private.url, "packages": ["smallmath"]}]}
    world.write()
    credentials = {"127.0.0.1": f"someone:{SECRET}"}
    done = world.playbooks.succeed("realize", "-vvv", comfy_credentials=credentials)
    assert (world.home / ".venv").is_dir()
    (found,) = (world.home / ".venv").glob("lib/*/site-packages/smallmath.py")
    assert found.read_text().startswith("OWN")
    assert SECRET not in done.output.replace(json.dumps(credentials), "")
    (lock,) = (world.directory / "versions").glob("*.lock.json")
    packages = {
        each["name"]: each for target in json.loads(lock.read_text())["targets"].values() for each in target["packages"]
    }
    entry = packages["smallmath"]
    assert (entry["version"], entry["index"], entry["sha256"]) == ("0.2+own", "private", release.sha256)
    assert SECRET not in lock.read_text()
    kept = lock.read_bytes()
    again = world.playbooks.succeed("lock", comfy_lock_verify="all", comfy_credentials=credentials)
    assert (again.changed, lock.read_bytes()) == (0, kept)
    world.forge.fault("wrong-content", f"/files/private/{release.filename.replace('+', '%2B')}", after=200)
    (world.directory / "cache").rename(world.directory / "cache-of-another-machine")
    refused = world.playbooks.run("lock", comfy_lock_verify="all", comfy_credentials=credentials)
    assert refused.returncode == 2
    assert f"and the lock says {release.sha256}" in refused.output
    assert lock.read_bytes() == kept
