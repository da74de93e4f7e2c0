# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shims: hosts make the wheels themselves, byte for byte as they were locked, and pip finds nothing wrong."""

from __future__ import annotations

import io
import subprocess
import typing as t
import zipfile

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.requirements import unmet_requirements
from ansible_collections.comfyops.fleet.plugins.module_utils.packages.shim import make_shim
from tests.support import locks
from tests.unit.packages.conftest import Host, converge, locked, look, site, told

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context

VERSION = "4.12.0.88"
REQUIRES = [f"opencv-python-headless=={VERSION}"]


def shim(name: str = "opencv-python", **more: t.Any) -> locks.Document:
    """The lock's entry of a shim."""
    made = make_shim(name, VERSION, "opencv-python-headless", REQUIRES)
    entry = locks.package(name, VERSION, made.file, made.sha256, size=len(made.content))
    entry |= {"source": "shim", "index": None, "provider": "opencv-python-headless", "requires": REQUIRES}
    return {**entry, **more}


def with_pip(host: Host) -> Context:
    """A host with the provider, a shim, and a package that asks for the shim."""
    provider = host.index.wheel("opencv-python-headless", VERSION, modules={"cv2/__init__.py": "FULL = True\n"})
    node = host.index.wheel("node", "1.0", requires=["opencv-python>=4.10,<5"])
    return host.context([locked(provider), locked(node), shim()])


def test_its_bytes_are_the_same_everywhere_and_for_ever() -> None:
    made = make_shim("opencv-python", VERSION, "opencv-contrib-python-headless", REQUIRES)
    assert made.file == "opencv_python-4.12.0.88-py3-none-any.whl"
    assert made.sha256 == "e6f35008a05a9119863c280bb2b8156bcfe6635ef933d0ff6203aec7b321a5c2"
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        assert archive.testzip() is None
        assert {name.partition("/")[2] for name in archive.namelist()} == {"METADATA", "WHEEL", "RECORD"}
        assert archive.read("opencv_python-4.12.0.88.dist-info/METADATA") == made.metadata


def test_a_host_makes_it_without_asking_anybody(host_with_pip: Host) -> None:
    context = with_pip(host_with_pip)
    assert told(converge(context))[-1].startswith("link .venv")
    assert not [each for each in host_with_pip.forge.requests if "opencv_python-" in each.path]
    metadata = site(context) / f"opencv_python-{VERSION}.dist-info"
    assert "Requires-Dist: opencv-python-headless==4.12.0.88\n" in (metadata / "METADATA").read_text()
    assert {path.name for path in metadata.iterdir()} >= {"INSTALLER", "RECORD"}
    assert unmet_requirements(context) == []
    python = context.environment / "bin" / "python"
    check = subprocess.run([python, "-m", "pip", "check"], check=False, capture_output=True, text=True)
    assert check.stdout == "No broken requirements found.\n"
    run = subprocess.run([python, "-c", "import cv2; print(cv2.FULL)"], check=True, capture_output=True, text=True)
    assert run.stdout == "True\n"


def test_offline_it_is_made_too(host: Host) -> None:
    converge(host.context([]))
    planned = look(host.context([shim()], offline=True))
    assert planned.obstacles == ()
    converge(host.context([shim()], offline=True))


def test_a_shim_that_somebody_changed_or_removed_is_drift(host: Host) -> None:
    context = with_pip(host)
    converge(context)
    metadata = site(context) / f"opencv_python-{VERSION}.dist-info" / "METADATA"
    metadata.parent.chmod(0o755)
    metadata.unlink()
    metadata.write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.12.0.88\n")
    assert "change opencv-python: damaged > 4.12.0.88" in told(look(context).changes)
    converge(context)
    assert "Requires-Dist" in metadata.read_text()


def test_another_provider_makes_another_environment(host: Host) -> None:
    other = make_shim("opencv-python", VERSION, "opencv-contrib-python-headless", REQUIRES)
    entry = shim(provider="opencv-contrib-python-headless", sha256=other.sha256, size=len(other.content))
    assert host.context([entry]).environment != host.context([shim()]).environment


def test_a_lock_that_was_edited_is_refused(host: Host) -> None:
    with pytest.raises(FleetError) as caught:
        converge(host.context([shim(requires=["numpy"])]))
    assert "opencv_python-4.12.0.88-py3-none-any.whl: the shim of opencv-python 4.12.0.88 has the sha256 " in str(
        caught.value
    )
    assert "Lock again" in str(caught.value)
