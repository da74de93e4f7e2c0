# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uv's messages mean to the user: which package, which index, what to do."""

from __future__ import annotations

import collections.abc as c
import pathlib
import re
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_SHOWN = 1500
_UNUSABLE = re.compile(r"Failed to install: \S+ \((?P<package>[^\s()=@]+)")
_MISMATCH = re.compile(
    r"Hash mismatch for `(?P<package>.+?)`\s+Expected:\s+(?P<expected>\S+)\s+Computed:\s+(?P<got>\S+)"
)
_REFUSED = re.compile(r"\b(401 Unauthorized|403 Forbidden)\b")
_URL = re.compile(r"https?://[^\s()]+")
# The most telling first: what was asked for, the file, any version that is mentioned, the page of a name.
_PACKAGES = (
    re.compile(r"you require ([^\s,]+)"),
    re.compile(r"Failed to (?:download|fetch|install):? `?([^\s`]+[^\s`/])"),
    re.compile(r"([A-Za-z0-9][\w.-]*={2,3}[\w.+!-]+)"),
    re.compile(r"/simple/([\w.-]+)/"),
)
_CAUSE = re.compile(r"^\s*cause: (?P<cause>.+)$", re.MULTILINE)
_HINT = re.compile(r"^hint: (?P<hint>.+)$", re.MULTILINE)


def explain(said: str, origin: str, log: pathlib.Path) -> FleetError:
    """The fault that uv reports in ``said``. origin: the index or place that was asked; log: where all of it is."""
    for pattern, explanation in _EXPLANATIONS:
        if pattern.search(said):
            what, remedy = explanation(said)
            return FleetError(what, where=origin, remedy=f"{remedy}. uv's whole output: {log}")
    shown = said.strip()[-_SHOWN:] or "without a word"
    return FleetError(f"uv failed: {shown}", where=origin, remedy=f"Its whole output: {log}")


def unusable_package(said: str) -> str | None:
    """The package whose unpacked wheel uv has and can not install, as when its metadata is gone from the cache."""
    found = _UNUSABLE.search(said)
    return found["package"] if found else None


def _mismatch(said: str) -> tuple[str, str]:
    found = _MISMATCH.search(said)
    if found is None:
        return "has other bytes than the lock", "Lock again"
    return (
        f"has other bytes for {found['package']} than the lock: {found['got']}, not {found['expected']}",
        "If it was replaced on purpose, lock again; else check comfy_python_indexes and who may write to that index",
    )


def _no_space(_said: str) -> tuple[str, str]:
    return "the disk is full", "Free some room, or put comfy_root or comfy_cache_dir on a larger disk, and run again"


def _refused(said: str) -> tuple[str, str]:
    status, url = _REFUSED.search(said), _URL.search(said)
    host = urllib.parse.urlsplit(url[0]).hostname if url else None
    return (
        f"{host or 'the server'} refuses {_package(said)} ({status[0] if status else 'not allowed'})",
        f"Set comfy_credentials['{host or 'HOST'}'] to a token, or to user:password, that may read it",
    )


def _offline(said: str) -> tuple[str, str]:
    return (
        f"{_package(said)} is not on this host and comfy_offline is set",
        "Bring it in comfy_wheels_dir or in a bundle, or run once with the network",
    )


def _other_platform(said: str) -> tuple[str, str]:
    hint = _HINT.search(said)
    found = f" ({hint['hint']})" if hint else ""
    return (
        f"the locked wheel of {_package(said)} is not for this host's Python or platform{found}",
        "Check the target's platform and Python (comfy_target), and lock again",
    )


def _not_there(said: str) -> tuple[str, str]:
    return (
        f"does not have {_package(said)} (any more)",
        "Check comfy_python_indexes and what a proxy may send in its place, or lock again for a version that is there",
    )


def _no_wheel(said: str) -> tuple[str, str]:
    return (
        f"sends something for {_package(said)} that is no whole wheel ({_last_cause(said)})",
        "Look at what the index or a proxy before it sends, and run again",
    )


def _unreachable(said: str) -> tuple[str, str]:
    return (
        f"can not be reached ({_last_cause(said)})",
        "Check the network, the proxy and comfy_python_indexes, and run again",
    )


def _package(said: str) -> str:
    found = next(filter(None, (pattern.search(said) for pattern in _PACKAGES)), None)
    return found[1].rpartition("/")[2] if found else "a package"


def _last_cause(said: str) -> str:
    causes = _CAUSE.findall(said) or said.strip().splitlines()
    # uv's advice, how to install it all the same, is none for a locked environment.
    return str(causes[-1]).partition(". ")[0].rstrip(".")


_Explanation = c.Callable[[str], tuple[str, str]]
# The first that fits counts: uv's "no solution found" has many reasons, and the particular one stands beside it.
_EXPLANATIONS: tuple[tuple[re.Pattern[str], _Explanation], ...] = (
    (_MISMATCH, _mismatch),
    (re.compile(r"No space left on device|os error 28"), _no_space),
    (_REFUSED, _refused),
    (re.compile(r"network was disabled|index lookups were disabled|was not found in the cache"), _offline),
    (re.compile(r"no wheels with a matching|is not compatible with the current"), _other_platform),
    (
        re.compile(r"Failed to extract archive|Invalid zip|malformed wheel|wheel is invalid|end of file before"),
        _no_wheel,
    ),
    (re.compile(r"error sending request|Request failed after|dns error|HTTP status server error"), _unreachable),
    (re.compile(r"there is no version of|was not found in|404 Not Found"), _not_there),
)
