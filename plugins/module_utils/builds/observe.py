# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which builds a host has, what each uses, and which serves."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import pathlib
import re

from ansible_collections.comfyops.fleet.plugins.module_utils.core.paths import ENVIRONMENT_LINK
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import serving_build
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import DIGEST_LENGTH

_BUILD = re.compile(rf"(?P<version>[^.].*)-[0-9a-f]{{{DIGEST_LENGTH}}}")


@dataclasses.dataclass(frozen=True)
class State:
    """environments: build to the name of its environment (None without one). serving: the build of ``current``."""

    environments: c.Mapping[str, str | None]
    serving: str | None


def observe(layout: Layout) -> State:
    """List the builds; looks at links only."""
    entries = os.listdir(layout.builds) if layout.builds.is_dir() else []
    names = sorted(name for name in entries if _BUILD.fullmatch(name))
    return State({name: _environment(layout.builds / name) for name in names}, serving_build(layout))


def version_of(build: str) -> str:
    """The version that a build is of."""
    matched = _BUILD.fullmatch(build)
    return matched["version"] if matched else build


def _environment(build: pathlib.Path) -> str | None:
    link = build / ENVIRONMENT_LINK
    return pathlib.Path(os.readlink(link)).name if link.is_symlink() else None
