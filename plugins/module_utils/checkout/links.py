# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of a checkout that live outside of the build: what is written there survives every version."""

from __future__ import annotations

import os
import pathlib

from ansible_collections.comfyops.fleet.plugins.module_utils.checkout.content import is_same
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import (
    move,
    new_aside,
    remove_tree,
    replace_link,
)


def relative_target(path: pathlib.Path, target: pathlib.Path) -> str:
    """The text of a link at ``path`` that leads to ``target``: relative, so that a moved root keeps working."""
    return os.path.relpath(target, path.parent)


def make_link(path: pathlib.Path, target: str, *, base: pathlib.Path, aside: pathlib.Path) -> None:
    """Make ``path`` a link with the text ``target``; what it has goes to where the link leads.

    base: where the path will be once its checkout is in place; the link's text is relative to that place.
    A file that is there already stays, and the checkout's own goes ``aside`` unless both are the same.
    """
    destination = pathlib.Path(os.path.normpath(base.parent / target))
    if path.is_symlink():
        replace_link(path, target)
        return
    if path.is_dir() or not path.exists():
        destination.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _merge(path, destination, aside)
        remove_tree(path)
    replace_link(path, target)


def _merge(source: pathlib.Path, destination: pathlib.Path, aside: pathlib.Path) -> None:
    """Move ``source`` to ``destination``; what is there already stays, and what differs from it goes ``aside``."""
    if not os.path.lexists(destination):
        move(source, destination)
    elif source.is_dir() and not source.is_symlink() and destination.is_dir():
        for entry in sorted(source.iterdir()):
            _merge(entry, destination / entry.name, aside)
    elif not is_same(source, destination):
        move(source, new_aside(aside) / source.name)
