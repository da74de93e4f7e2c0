# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside the sandbox, by the Python that builds: unpack a source archive, ask a build backend what it requires.

Its text is what is run, so it imports nothing of the collection. Source: PEP 517 (build backends, ``backend-path`` and
hooks that may be absent).
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import tarfile
import typing as t


def unpack(archive: str, directory: str) -> None:
    """Unpack an archive of any kind that the standard library knows."""
    # Owners, devices and links that lead out are the sandbox's to stop; older Pythons have no filters.
    options: dict[str, t.Any] = (
        {} if archive.endswith(".zip") or not hasattr(tarfile, "tar_filter") else {"filter": "tar"}
    )
    shutil.unpack_archive(archive, directory, **options)


def requires(backend: str, backend_path: list[str], result: str) -> None:
    """Write what the backend requires beyond build-system.requires, as a JSON list, to the file ``result``."""
    sys.path[:0] = backend_path
    module, _colon, attribute = backend.partition(":")
    found: t.Any = importlib.import_module(module)
    for name in filter(None, attribute.split(".")):
        found = getattr(found, name)
    hook = getattr(found, "get_requires_for_build_wheel", None)
    wanted = list(hook()) if hook else []
    with open(result, "w", encoding="utf-8") as stream:
        json.dump(wanted, stream)


if __name__ == "__main__":
    if sys.argv[1] == "unpack":
        unpack(*sys.argv[2:])
    else:
        requires(sys.argv[2], sys.argv[4:], sys.argv[3])
