# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a forge for other processes: ``python -m tests.support.forge --directory DIR --ready FILE [--demo]``.

The file appears once everything is served; it says where, and how to point the collection at it. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import typing as t
from pathlib import Path

from tests.support.forge.demo import model_workflow, populate, workflow
from tests.support.forge.server import Forge

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.forge", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="new or empty; repositories and the log go there")
    parser.add_argument("--ready", type=Path, required=True, help="the file to write once everything is served")
    parser.add_argument("--bind", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--blob-bind", help="the second port's address (default: the first one's)")
    parser.add_argument("--blob-port", type=int, default=0, help="default: any free one")
    parser.add_argument("--host-name", help="how clients reach the address, where that is another name")
    parser.add_argument("--demo", action="store_true", help="serve what versions/demo.json names")
    return parser.parse_args(arguments)


def summary(forge: Forge, demo: bool) -> dict[str, t.Any]:
    """What the ready file says; fills the forge first where the demo is wanted."""
    value: dict[str, t.Any] = {"environment": {}}
    if demo:
        made = populate(forge)
        value = {"environment": made.environment(), "workflow": workflow(), "model_workflow": model_workflow(made)}
    return {
        **value,
        "base_url": forge.base_url,
        "blob_url": forge.blob_url,
        "pid": os.getpid(),
        "requests": str(forge.directory / "requests.jsonl"),
        "variables": forge.variables(),
    }


def main() -> None:
    """Serves until it is told to end."""
    arguments = parse()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    forge = Forge(
        arguments.directory.resolve(),
        bind=arguments.bind,
        port=arguments.port,
        blob_bind=arguments.blob_bind,
        blob_port=arguments.blob_port,
        host_name=arguments.host_name,
    )
    with forge:
        text = json.dumps(summary(forge, arguments.demo), indent=2, sort_keys=True) + "\n"
        partial = arguments.ready.with_name(f"{arguments.ready.name}.part")
        partial.write_text(text, encoding="utf-8")
        partial.replace(arguments.ready)
        ended.wait()


if __name__ == "__main__":
    main()
