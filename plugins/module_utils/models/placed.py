# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which paths are ours on this host, and which of a shared MODELS_DIR other hosts serve."""

from __future__ import annotations

import collections.abc as c
import json
import pathlib
import platform
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


class Placed:
    """The record of the paths that we have placed: absolute path to sha256.

    It is written before a path is placed, so that a kill in between loses none; what is really there decides whether it
    is still ours. copies: whether links did not work here, so that placing takes room.
    """

    def __init__(self, layout: Layout) -> None:
        self._path = layout.state / "placed.json"
        document = _read(self._path)
        self.paths: dict[str, str] = dict(document.get("paths", {}))
        self.copies = bool(document.get("copies"))

    def save(self) -> None:
        """Write it where it differs from what is there."""
        text = json.dumps({"copies": self.copies, "paths": self.paths}, indent=1, sort_keys=True) + "\n"
        if not self._path.exists() or self._path.read_text("utf-8") != text:
            write_text(self._path, text)


def served_elsewhere(layout: Layout) -> dict[str, dict[str, str]]:
    """What other hosts serve from the shared root: host name to paths (``$MODELS_DIR/...``) and their sha256."""
    if layout.shared_root is None:
        return {}
    own = _record(layout)
    return {path.stem: dict(_read(path)) for path in sorted(own.parent.glob("*.json")) if path != own}


def say_served(layout: Layout, paths: c.Mapping[str, str]) -> None:
    """Tell the hosts that share the root what this one serves now."""
    if layout.shared_root is not None:
        write_text(_record(layout), json.dumps(dict(paths), indent=1, sort_keys=True) + "\n")


def _record(layout: Layout) -> pathlib.Path:
    return layout.shared / "state" / "in-use" / f"{_NOT_IN_NAMES.sub('_', platform.node())}.json"


def _read(path: pathlib.Path) -> c.Mapping[str, t.Any]:
    """A record; empty where there is none. One that can not be read is no reason to take a path for nobody's."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(document, dict):
        raise _unreadable(path, "it is no JSON object")
    return document


def _unreadable(path: pathlib.Path, reason: str) -> FleetError:
    return FleetError(
        f"the record of models can not be read: {reason}",
        where=str(path),
        remedy="Remove it: then no model that was placed so far is removed by a switch",
    )
