# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Python distributions: a lock's and an installed one's may be spelled differently and be the same."""

from __future__ import annotations

import functools
import re

# PEP 440, appendix B: the regular expression that it gives for a version.
# Compiled when it is first needed: most versions are spelled as the lock spells them.
_VERSION = r"""
    v?(?:(?P<epoch>[0-9]+)!)?
    (?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>[0-9]+)?)?
    (?P<post>-(?P<post_implicit>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>[0-9]+)?)?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]+)?)?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?
    """
_PRE_RELEASES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def same_version(first: str, second: str) -> bool:
    """Whether two texts are one version: ``2023.07.22`` is ``2023.7.22``, and ``1.0`` is ``1.0.0`` (PEP 440)."""
    return first == second or _canonical(first) == _canonical(second)


@functools.cache
def _canonical(text: str) -> str:
    """The normal form of PEP 440 without trailing zeros; a text that is no version, as it is."""
    found = re.fullmatch(_VERSION, text.strip(), re.VERBOSE | re.IGNORECASE)
    if not found:
        return text
    numbers = [str(int(number)) for number in found["release"].split(".")]
    while len(numbers) > 1 and numbers[-1] == "0":
        numbers.pop()
    release = f"{int(found['epoch'] or 0)}!{'.'.join(numbers)}"
    return f"{release}{_pre(found)}{_post(found)}{_dev(found)}{_local(found)}"


def _pre(found: re.Match[str]) -> str:
    name = (found["pre"] or "").lower()
    return f"{_PRE_RELEASES.get(name, name)}{int(found['pre_number'] or 0)}" if name else ""


def _post(found: re.Match[str]) -> str:
    return f".post{int(found['post_implicit'] or found['post_number'] or 0)}" if found["post"] else ""


def _dev(found: re.Match[str]) -> str:
    return f".dev{int(found['dev_number'] or 0)}" if found["dev"] else ""


def _local(found: re.Match[str]) -> str:
    parts = re.split(r"[-_.]", found["local"].lower()) if found["local"] else []
    return "+" + ".".join(str(int(part)) if part.isdigit() else part for part in parts) if parts else ""
