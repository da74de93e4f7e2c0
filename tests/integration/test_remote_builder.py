# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wheel that another machine builds, over real SSH: brought there, built in its sandbox, fetched, locked."""

from __future__ import annotations

import json
import typing as t
import zipfile

from tests.support.forge import Forge
from tests.support.lab import Lab
from tests.support.lab.testing import demand_lab
from tests.support.playbook import Playbooks
from tests.unit.resolve.test_builds import backend

if t.TYPE_CHECKING:
    import pathlib

# Debian 12's, which the lab's hosts have.
PYTHON = "3.11"


def write_spec(forge: Forge, versions: pathlib.Path) -> None:
    """A version whose one package is built, with another one, and says where that was."""
    core = forge.repository("comfy/core")
    core.commit({"main.py": "", "requirements.txt": ""})
    own = forge.repository("people/own")
    files = backend("import tool\nreturn make(wheel_directory, 'own', {'own.py': tool.__version__ + os.sys.version})")
    files["pyproject.toml"] = files["pyproject.toml"].replace("[]", '["tool"]')
    commit = own.commit(files)
    forge.index().wheel("pip", "25.2")
    forge.index().wheel("tool", "1.0")
    spec = {
        "schema_version": 3,
        "version_id": "remote",
        "comfy": {"repo": core.url, "ref": "main"},
        "python": {"version": PYTHON},
        "python_packages": [{"name": "own", "git": own.url, "commit": commit}],
        # The forge is another machine than the hosts, and speaks plain HTTP.
        "policy": {"allow_http": True},
    }
    versions.mkdir()
    (versions / "remote.json").write_text(json.dumps(spec))


def test_a_host_builds_over_ssh(tmp_path: pathlib.Path) -> None:
    demand_lab()
    versions = tmp_path / "versions"
    with Lab() as lab:
        (host,) = lab.start(1)
        with lab.entered():
            forge = Forge(tmp_path / "forge", bind=lab.address)
        with forge:
            write_spec(forge, versions)
            variables = {
                "version": "remote",
                "comfy_versions_dir": str(versions),
                "comfy_builder": host.name,
                "comfy_python_indexes": {"pypi": forge.index().url},
            }
            environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
            playbooks = Playbooks(variables, lab.inventory(), environment=environment)
            with lab.entered():
                locked = playbooks.succeed("lock")
        left = host.shell("ls ~/.cache/comfyops-fleet/builder/* | grep -v uv; ls /tmp").stdout
    assert f"on the builder {host.name}" in locked.output
    (record,) = (versions / "wheels").glob("*/*.json")
    document = json.loads(record.read_text())
    assert document["builder"]["name"] == f"the builder {host.name}"
    with zipfile.ZipFile(record.with_suffix("")) as wheel:
        said = wheel.read("own.py").decode()
    assert said.startswith(f"1.0{document['python']} ")
    assert document["python"].startswith(f"{PYTHON}.")
    assert "source" not in left
    assert "comfy-build" not in left
