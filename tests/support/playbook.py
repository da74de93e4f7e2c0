# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the collection's playbooks, as a user calls them from a checkout."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
# "machine1 : ok=3 changed=1 unreachable=0 failed=0 ..."
_RECAP = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+.*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Run:
    """How a run ended. recap: host to its counts (ok, changed, unreachable, failed, skipped)."""

    command: str
    returncode: int
    output: str

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """The last table of ansible-playbook."""
        return {
            found["host"]: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", found["counts"])}
            for found in _RECAP.finditer(self.output)
        }

    @property
    def changed(self) -> int:
        """Changed tasks of all hosts."""
        return sum(counts["changed"] for counts in self.recap.values())

    @property
    def ok(self) -> int:
        """Tasks that were done, of all hosts."""
        return sum(counts["ok"] for counts in self.recap.values())


@dataclasses.dataclass(frozen=True)
class Playbooks:
    """What runs have in common. variables: passed to each; inventory: a path, or None for the checkout's own.

    prefix: what the command runs in, such as a network namespace. environment: added to this process's.
    """

    variables: c.Mapping[str, t.Any]
    inventory: pathlib.Path | None = None
    prefix: tuple[str, ...] = ()
    environment: c.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def run(self, name: str, *options: str, **variables: t.Any) -> Run:
        """Run ``playbooks/<name>.yml`` to its end; the exit status is for the caller to judge."""
        command = self.command(name, *options, **variables)
        done = subprocess.run(command, **self.process_options(), text=True, check=False)
        return Run(" ".join(command), done.returncode, done.stdout)

    def succeed(self, name: str, *options: str, **variables: t.Any) -> Run:
        """The same; a failure is an AssertionError with all that was printed."""
        run = self.run(name, *options, **variables)
        if run.returncode != 0:
            raise AssertionError(f"{run.command}\nexit status {run.returncode}\n{run.output}")
        return run

    def command(self, name: str, *options: str, **variables: t.Any) -> list[str]:
        """The command line of a run."""
        program = pathlib.Path(sys.executable).with_name("ansible-playbook")
        inventory = ("-i", str(self.inventory)) if self.inventory else ()
        extra = json.dumps({**self.variables, **variables})
        return [*self.prefix, str(program), f"playbooks/{name}.yml", *inventory, "-e", extra, *options]

    def process_options(self) -> dict[str, t.Any]:
        """How the command is started."""
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment.update(self.environment)
        return {
            "cwd": CHECKOUT,
            "env": environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
        }
