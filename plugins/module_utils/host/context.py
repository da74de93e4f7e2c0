# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a part is to make of a host: the lock's target, where it goes, and how it may get there."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.digest import build_name, environment_name
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Lock, Target

# Connections of all downloads of models together; fewer are used where more do not help.
MODEL_CONNECTIONS = 16
PICKLE_REFUSED = "refuse"


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another host of the site, and where it serves its models for as long as a run lasts."""

    name: str
    url: str


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a host is looked at and converged; the variables of the same names, with ``comfy_`` before them.

    replace_environments: an environment need not fit beside those that there are.
    wheels_dir and uv are paths on the host (the control node copies what they name); wheels_coming are names of wheels
    that will be in wheels_dir by the time that they are needed. credentials: host name to token. model_rate_limit:
    bytes per second of all downloads of models together; None: no limit. seed: the one of the peers that fetches from
    the sources; None: this host.
    """

    offline: bool = False
    deep: bool = False
    skip_models: bool = False
    replace_environments: bool = False
    git_mirrors: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    python: str | None = None
    python_indexes: c.Mapping[str, str] = dataclasses.field(default_factory=dict)
    wheels_dir: pathlib.Path | None = None
    wheels_coming: frozenset[str] = frozenset()
    uv: pathlib.Path | None = None
    model_mirrors: tuple[str, ...] = ()
    model_search_paths: tuple[pathlib.Path, ...] = ()
    hf_endpoint: str | None = None
    civitai_endpoint: str | None = None
    credentials: c.Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    allow_http: bool = False
    model_connections: int = MODEL_CONNECTIONS
    model_rate_limit: int | None = None
    pickle: str = "allow"
    peers: tuple[Peer, ...] = ()
    peers_token: str = dataclasses.field(default="", repr=False)
    seed: str | None = None


@dataclasses.dataclass(frozen=True)
class Context:
    """One host, one lock, one target."""

    lock: Lock
    target: Target
    layout: Layout
    settings: Settings

    @functools.cached_property
    def build_name(self) -> str:
        """``<version id>-<digest>``."""
        return build_name(self.lock, self.target)

    @functools.cached_property
    def home(self) -> pathlib.Path:
        """COMFY_HOME: the build's directory."""
        return self.layout.builds / self.build_name

    @functools.cached_property
    def environment(self) -> pathlib.Path:
        """The environment of the target's packages."""
        return self.layout.envs / environment_name(self.target)
