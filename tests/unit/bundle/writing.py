# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that writes a bundle, to be killed: python -m tests.unit.bundle.writing DIRECTORY FORM."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.places import place_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.sources import Origins
from ansible_collections.comfyops.fleet.plugins.plugin_utils.bundle.write import Wanted, is_whole, look, write
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.places import Site
from ansible_collections.comfyops.fleet.plugins.plugin_utils.hosts.transfer import read_program
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git


def bundle_path(directory: pathlib.Path, form: str) -> pathlib.Path:
    """Where the bundle is written."""
    return directory / "media" / ("bundle.tar" if form == "tar" else "bundle")


def write_bundle(directory: pathlib.Path, form: str, say: t.Callable[[str], object]) -> list[str]:
    """Write the bundle of the lock in ``versions``, and give its notes; nothing is done where it is whole."""
    document = json.loads((directory / "versions" / "test.lock.json").read_text("utf-8"))
    cache = directory / "cache"
    indexes = json.loads((directory / "indexes.json").read_text("utf-8"))
    site = Site(indexes, Access(), git.Access(cache / "git"), cache)
    uv = read_program(str(directory / "uv"))
    lock = read_lock(document)
    wanted = Wanted(lock, tuple(lock.targets.values()), models=True, uv=uv)
    place = place_of(bundle_path(directory, form), form)
    outlook = look(place, wanted, directory / "versions", say)
    if is_whole(outlook, wanted):
        return ["nothing to do"]
    return write(place, wanted, Origins(directory / "versions", None, uv, site, Settings()), outlook, say)[1]


if __name__ == "__main__":
    write_bundle(pathlib.Path(sys.argv[1]), sys.argv[2], print)
