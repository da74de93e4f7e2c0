# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ComfyUI-Manager as a node: it may show and search, and installs nothing by itself.

Its configuration is ``config.ini`` below the user directory, in a folder that moved once (before and since its version
3.38: ``default/ComfyUI-Manager`` and ``__manager``). Only the two settings below are ours; the rest is the user's.
"""

from __future__ import annotations

import io
import pathlib
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Checkout, Lock

# ComfyUI-Manager README, "Configuration": offline fetches nothing; strong refuses every installation.
SETTINGS = {"network_mode": "offline", "security_level": "strong"}
FILES = ("__manager/config.ini", "default/ComfyUI-Manager/config.ini")
_SECTION = "default"

if t.TYPE_CHECKING:
    import configparser


def manager_node(lock: Lock) -> Checkout | None:
    """The node that is ComfyUI-Manager, if the lock has it."""
    for node in lock.nodes:
        if node.repo.removesuffix(".git").rstrip("/").lower().endswith("/comfyui-manager"):
            return node
    return None


def is_rendered(path: pathlib.Path) -> bool:
    """Whether the configuration at ``path`` has our settings."""
    # Only here: a look at a host without ComfyUI-Manager does not pay for the import.
    import configparser

    try:
        parsed = _read(path.read_text("utf-8", "replace"))
    except (OSError, configparser.Error):
        return False
    return all(parsed.get(_SECTION, name, fallback=None) == value for name, value in SETTINGS.items())


def rendered(existing: str | None) -> str:
    """The configuration with our settings, and what else ``existing`` has."""
    import configparser

    try:
        parsed = _read(existing or "")
    except configparser.Error:
        parsed = _read("")
    if not parsed.has_section(_SECTION):
        parsed.add_section(_SECTION)
    for name, value in SETTINGS.items():
        parsed.set(_SECTION, name, value)
    text = io.StringIO()
    parsed.write(text)
    return text.getvalue()


def _read(text: str) -> configparser.ConfigParser:
    import configparser

    # Manager's section is called "default"; configparser's own default section must not swallow it.
    parsed = configparser.ConfigParser(strict=False, interpolation=None, default_section="\0")
    parsed.read_string(text)
    return parsed
