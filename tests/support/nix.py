# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Nix with a store of its own, no daemon, no caches of others, and a stand-in for nixpkgs."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

STAND_IN: t.Final = Path(__file__).parent / "nixpkgs"
_CONFIGURATION: t.Final = """sandbox = false
build-users-group =
substituters =
flake-registry =
experimental-features = nix-command flakes
"""


@dataclasses.dataclass(frozen=True)
class Nix:
    """Runs Nix's programs with everything of theirs in ``directory``."""

    directory: Path

    def run(self, *command: str, succeeds: bool = True) -> str:
        """What a program prints; what it says on stderr where it is to fail.

        Raises:
            AssertionError: it ended otherwise.
        """
        done = subprocess.run(command, env=self._environment(), text=True, capture_output=True, check=False)
        if (done.returncode == 0) is not succeeds:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout.strip() if succeeds else done.stderr

    def build(self, file: Path, attribute: str, *options: str, succeeds: bool = True) -> str:
        """The path in the store that an attribute of the package set is built to."""
        stand_in = f"import {STAND_IN} {{ }}"
        command = ("nix-build", "--no-out-link", str(file), "-A", attribute, "--arg", "pkgs", stand_in, *options)
        return self.run(*command, succeeds=succeeds)

    def evaluated(self, file: Path, attribute: str, function: str = "") -> t.Any:
        """The value of an attribute of the package set, or what a function makes of it."""
        expression = f"{function} (import {file} {{ pkgs = import {STAND_IN} {{ }}; }}).{attribute}"
        return json.loads(self.run("nix-instantiate", "--eval", "--strict", "--json", "--expr", expression))

    def _environment(self) -> dict[str, str]:
        configuration = self.directory / "configuration"
        configuration.mkdir(parents=True, exist_ok=True)
        (configuration / "nix.conf").write_text(_CONFIGURATION, encoding="utf-8")
        places = {name: str(self.directory / name) for name in ("store", "state", "log", "home")}
        return {
            "PATH": os.environ["PATH"],
            "HOME": places["home"],
            "NIX_STORE_DIR": places["store"],
            "NIX_STATE_DIR": places["state"],
            "NIX_LOG_DIR": places["log"],
            "NIX_CONF_DIR": str(configuration),
            "STAND_IN_PYTHON": sys.executable,
            "STAND_IN_VERSION": f"{sys.version_info[0]}.{sys.version_info[1]}",
        }
