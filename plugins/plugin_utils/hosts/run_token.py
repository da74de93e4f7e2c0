# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret that one run of Ansible has, and that its hosts tell each other: it is in no variable, result or log."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets

_FILE_NAME = "comfy_peers_token"


def run_token() -> str:
    """The secret of this run, the same in all of Ansible's processes; the first that asks makes it.

    It is kept in Ansible's own temporary directory of the run, which only the user can read and which goes with it.
    """
    from ansible import constants

    # Ansible sets its constants when it is imported.
    directory: str = vars(constants)["DEFAULT_LOCAL_TMP"]
    path = pathlib.Path(directory) / _FILE_NAME
    beside = path.with_name(f"{_FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        beside.touch(mode=0o600)
        beside.write_text(secrets.token_urlsafe(32), "ascii")
        # Linked and not renamed: the first one stays.
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
        beside.unlink()
    return path.read_text("ascii")
