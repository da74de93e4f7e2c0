# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package indexes of the demo: stand-ins for what ComfyUI and its nodes need, with dependencies of their own.

Only torch has the name of a real project, because its builds for several accelerators are what the demo is about: the
plain release in the default index, the one for CPUs in an index that is bound to it.
"""

from __future__ import annotations

import ensurepip
import sysconfig
import typing as t
from pathlib import Path

from tests.support.forge.sources import source_tree

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.forge.packages import Index
    from tests.support.forge.server import Forge

CPU_INDEX = "pytorch-cpu"

# Name, versions, requirements. The files of those that do something are in content/wheels.
PACKAGES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("acceleratorlib", ("13.0.1",), ()),
    ("arraything", ("1.26.4", "2.1.0", "2.3.0"), ()),
    ("colourterm", ("0.4.6",), ()),
    ("enlargekit", ("0.7.0", "0.7.2"), ("arraything>=2", "stepbar>=4")),
    ("frontpanel", ("1.4.2",), ()),
    ("graphyarn", ("1.3.0",), ("wordmath>=1.1,<2",)),
    ("hueshelf", ("0.9.1", "0.9.5"), ("tinytext>=0.2",)),
    ("ledgerline", ("1.0.0", "1.2.0"), ("tinytext",)),
    ("lockslot", ("3.2.0",), ()),
    ("notepaper", ("3.1.0",), ("tinytext>=0.2,<1", "stampbox>=1 ; python_version >= '3.8'")),
    ("plainyaml", ("1.0.2",), ()),
    ("stampbox", ("1.2.0",), ()),
    ("stepbar", ("4.66.0",), ("colourterm>=0.4",)),
    ("swatchbook", ("2.3.0",), ("hueshelf>=0.9",)),
    ("tensorpocket", ("0.4.5",), ()),
    ("tinytext", ("0.3.0", "0.3.1"), ()),
    ("wordmath", ("1.1.4", "2.0.0"), ()),
)
TORCH_REQUIRES = ("lockslot>=3", "graphyarn>=1.2")


def publish(forge: Forge) -> None:
    """Fills the indexes ``pypi`` and ``pytorch-cpu``. Beside the stand-ins there is the real pip."""
    index = forge.index()
    for name, versions, requires in PACKAGES:
        for version in versions:
            index.wheel(name, version, requires=requires, modules=source_tree(f"wheels/{name}", name))
    for version in ("2.8.0", "2.9.0"):
        publish_torch(index, version, "13.0")
        publish_torch(forge.index(CPU_INDEX), f"{version}+cpu", None)
    index.wheel_file(pip_wheel())


def publish_torch(index: Index, version: str, cuda: str | None) -> None:
    """One build of torch, for a version of CUDA or for none."""
    modules = source_tree("wheels/torch", "torch")
    modules["torch/version.py"] = f'__version__ = "{version}"\ncuda = {cuda!r}\n'.encode()
    requires = (*TORCH_REQUIRES, *([f"acceleratorlib>={cuda}"] if cuda else []))
    index.wheel("torch", version, requires=requires, modules=modules, requires_python=">=3.10")


def pip_wheel() -> Path:
    """The wheel of pip that this Python brings for its ``ensurepip``.

    Raises:
        FileNotFoundError: it has none, as with a distribution that leaves ensurepip's wheels out.
    """
    for directory in _pip_directories():
        for path in sorted(directory.glob("pip-*.whl")):
            return path
    raise FileNotFoundError("this Python has no wheel of pip: install ensurepip for it (Debian: python3-venv)")


def _pip_directories() -> Iterator[Path]:
    yield Path(ensurepip.__file__).parent / "_bundled"
    yield Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels")
