# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.support.lab``: a lab by hand."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .errors import LabError
from .lab import Lab, default_cache


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; the exit status is 1 for an error of the lab."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.action(options))
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.support.lab", description="Test hosts on this machine.")
    parser.add_argument(
        "--directory", type=Path, default=default_cache() / "up", help="the lab's own directory (default: %(default)s)"
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    up = actions.add_parser("up", help="start a lab with so many hosts, or that many more hosts")
    up.add_argument("count", type=int)
    up.set_defaults(action=_up)
    actions.add_parser("down", help="take the lab away").set_defaults(action=_down)
    actions.add_parser("status", help="the hosts, and what they tried to reach").set_defaults(action=_status)
    inventory = actions.add_parser("inventory", help="the path of an Ansible inventory of the hosts")
    inventory.add_argument("--user", choices=("root", "comfy"), default="root")
    inventory.set_defaults(action=_inventory)
    run = actions.add_parser("run", help="run a command where the hosts are reached, such as ansible-playbook")
    run.add_argument("argv", nargs="+", metavar="COMMAND")
    run.set_defaults(action=_run)
    return parser


def _up(options: argparse.Namespace) -> int:
    try:
        lab = Lab.attach(options.directory)
    except LabError:
        lab = Lab(options.directory)
        lab.open(owned=False)
    lab.start(options.count)
    return _status(options)


def _down(options: argparse.Namespace) -> int:
    Lab.attach(options.directory).close()
    return 0


def _status(options: argparse.Namespace) -> int:
    lab = Lab.attach(options.directory)
    egress = lab.egress()
    for host in lab.hosts:
        tried = ", ".join(map(str, egress[host.name])) or "nothing"
        state = "on" if host.processes() else "off"
        sys.stdout.write(f"{host.name}  {host.address}  {state}  tried to reach: {tried}\n")
    return 0


def _inventory(options: argparse.Namespace) -> int:
    sys.stdout.write(f"{Lab.attach(options.directory).inventory(options.user)}\n")
    return 0


def _run(options: argparse.Namespace) -> int:
    lab = Lab.attach(options.directory)
    with lab.entered():
        os.execvp(options.argv[0], options.argv)


if __name__ == "__main__":
    sys.exit(main())
