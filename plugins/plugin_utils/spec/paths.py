# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which paths a spec may name: below the directories that a version owns, and safe on every file system."""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.limits import MAX_PATH, MAX_SEGMENT_BYTES
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.problem import Problem

MODELS_DIR: t.Final = "$MODELS_DIR"
COMFY_HOME: t.Final = "$COMFY_HOME"
CACHE_HOME: t.Final = "$XDG_CACHE_HOME"

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))(?=/|$)", re.ASCII)
_DOS_NAMES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\..*)?", re.IGNORECASE)
_REFUSED_CHARACTERS = '/<>:"|?*\\$`'
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def segment_problem(segment: str) -> str | None:
    """Tell why one part of a path is not safe everywhere (ext4, NTFS, SMB; shells; terminals); nothing when it is."""
    if segment in {"", ".", ".."}:
        return f"the part {shown(segment)} leads elsewhere"
    odd = next((c for c in segment if c in _REFUSED_CHARACTERS or unicodedata.category(c) in _REFUSED_CATEGORIES), None)
    if odd is not None:
        return f"{shown(segment)} has the character {shown(odd)}"
    if segment[0] in " -~" or segment[-1] in " .":
        return f"{shown(segment)} begins with ' ', '-' or '~', or ends with ' ' or '.'"
    if _DOS_NAMES.fullmatch(segment):
        return f"{shown(segment)} is a device name on other systems"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"{shown(segment)} has more than {MAX_SEGMENT_BYTES} bytes"
    return None


def relative_problem(path: str) -> Problem | None:
    """Tell why a path is not a safe relative one; nothing when it is."""
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return Problem(f"{shown(path)} is an absolute path", "Write it relative")
    if len(path) > MAX_PATH:
        return Problem(f"has {len(path)} characters, more than {MAX_PATH}", "Use a shorter path")
    for segment in path.split("/"):
        problem = segment_problem(segment)
        if problem:
            return Problem(f"{shown(path)} is no safe path: {problem}", "Rename it")
    return None


def split_root(path: str) -> tuple[str | None, str]:
    """Split a path into the variable that it begins with and the rest: ${X}/a and $X/a are ('X', 'a')."""
    match = _VARIABLE.match(path)
    if not match:
        return None, path
    return match["braced"] or match["plain"], path[match.end() :].removeprefix("/")


def comparable(path: str) -> str:
    """Fold what some file systems take for the same name: letter case and Unicode composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
