# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything is on a host: the one place that knows the directory tree below ``comfy_root``."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import platform

# What ComfyUI writes while it runs; outlives every build.
DATA_DIRECTORIES = ("input", "output", "user", "temp")
# What the name of a directory begins with while it is removed.
REMOVED = ".removed."
# What the name of a directory begins with that is one host's own in a cache that others may share.
OWN_CACHE = "own-"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Paths of a host. ``shared_root`` holds store, models and wheels where several hosts mount one volume."""

    root: pathlib.Path
    shared_root: pathlib.Path | None = None
    models_dir: pathlib.Path | None = None
    cache_dir: pathlib.Path | None = None

    @property
    def shared(self) -> pathlib.Path:
        """The root of what hosts may share."""
        return self.shared_root or self.root

    @property
    def builds(self) -> pathlib.Path:
        """Builds: one COMFY_HOME each."""
        return self.root / "builds"

    @property
    def making(self) -> pathlib.Path:
        """Checkouts being made, on the builds' file system; never seen by ComfyUI."""
        return self.builds / ".making"

    @property
    def envs(self) -> pathlib.Path:
        """Environments."""
        return self.root / "envs"

    @property
    def current(self) -> pathlib.Path:
        """The link to the build that serves."""
        return self.root / "current"

    @property
    def models(self) -> pathlib.Path:
        """MODELS_DIR: the tree that ComfyUI reads."""
        return self.models_dir or self.shared / "models"

    @property
    def store(self) -> pathlib.Path:
        """Model bytes by sha256."""
        return self.shared / "store" / "sha256"

    @property
    def cache(self) -> pathlib.Path:
        """What can be fetched again: git mirrors, wheels, partial downloads."""
        return self.cache_dir or self.root / "cache"

    @property
    def own_cache(self) -> pathlib.Path:
        """What of the cache is removed when a run is done with it: this host's own, for others may share the cache."""
        if self.cache_dir is None:
            return self.cache
        host = hashlib.sha256(f"{platform.node()}:{self.root}".encode()).hexdigest()
        return self.cache / f"{OWN_CACHE}{host[:12]}"

    @property
    def git_mirrors(self) -> pathlib.Path:
        """Bare repositories that checkouts are made from."""
        return self.cache / "git"

    @property
    def partial(self) -> pathlib.Path:
        """Downloads that are not whole yet; on the store's file system."""
        return self.shared / "store" / "partial"

    @property
    def data(self) -> pathlib.Path:
        """What ComfyUI and its nodes write; survives every version."""
        return self.root / "data"

    @property
    def data_cache(self) -> pathlib.Path:
        """What libraries and nodes fetch and compile by themselves."""
        return self.data / "cache"

    @property
    def hf_home(self) -> pathlib.Path:
        """HF_HOME: what libraries of the Hub keep, and models that they are to find there."""
        return self.data_cache / "huggingface"

    @property
    def agent(self) -> pathlib.Path:
        """Tools that the control node brought: uv."""
        return self.root / "agent"

    @property
    def state(self) -> pathlib.Path:
        """Receipts, the lock against a second converge, what was put aside."""
        return self.root / "state"

    @property
    def receipts(self) -> pathlib.Path:
        """What the last looks saw, so that the next is cheap."""
        return self.state / "receipts"

    @property
    def models_progress(self) -> pathlib.Path:
        """How far the downloads of models are, or were when they ended last."""
        return self.state / "progress" / "models.json"

    @property
    def seed_record(self) -> pathlib.Path:
        """The process that serves models to the site, while one does."""
        return self.state / "seed.json"

    @property
    def served_locks(self) -> pathlib.Path:
        """The lock that each build was last converged to: ``<build>.json``."""
        return self.state / "locks"

    @property
    def aside(self) -> pathlib.Path:
        """What a converge replaced and kept."""
        return self.state / "aside"
