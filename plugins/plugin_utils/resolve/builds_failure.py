# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A build that failed, as users can act on it: first errors, last lines, what to do, where the whole log is."""

from __future__ import annotations

import collections.abc as c
import itertools
import pathlib
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

_ERROR = re.compile(r"\b(error|fatal)\b ?:|\w+Error\b|\bERROR\b|command not found", re.IGNORECASE)
# What uv, and we, wrap around every failure of a backend.
_WRAPPING = re.compile(
    r"^\s*(error: Failed to build|cause: (The build backend|Call to)|hint:|Building wheel|\[exit status)"
)
_FIRST_ERRORS: t.Final = 3
_LAST_LINES: t.Final = 8
_NO_MODULE = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '(?P<module>[A-Za-z0-9_]+)")
_NO_NETWORK = re.compile(
    r"Network is unreachable|Temporary failure in name resolution|Name or service not known|could not resolve host",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(r"Read-only file system")
_NO_PROGRAM = re.compile(
    r"(?:unable to execute |command |FileNotFoundError: .*No such file or directory: )'?(?P<program>[\w.+-]+)'?"
    r"(?: failed: No such file or directory|: No such file or directory|$)",
    re.MULTILINE,
)
_NO_HEADER = re.compile(r"fatal error: (?P<header>\S+): No such file or directory")


def build_failure(label: str, name: str, step: str, log: str, path: pathlib.Path) -> FleetError:
    """The fault of a build that failed at ``step``. path: where the whole ``log`` is."""
    quoted = "".join(f"\n    {line}" for line in shortened(log))
    return FleetError(
        f"cannot be built: it failed to {step}:{quoted}\n  The whole log: {path}\n ",
        where=label,
        remedy=_remedy(log, name),
    )


def shortened(log: str) -> list[str]:
    """What matters of a build's log: its first errors, and the last lines.

    Several of the first, because the two streams of a backend arrive in any order.
    """
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    said = [line for line in lines if not _WRAPPING.match(line)]
    last = said[-_LAST_LINES:]
    errors = (line for line in said if _ERROR.search(line) and not line.startswith("$ ") and line not in last)
    first = list(itertools.islice(errors, _FIRST_ERRORS))
    return [*first, "...", *last] if first else last


def _remedy(log: str, name: str) -> str:
    causes: c.Iterable[tuple[re.Pattern[str], str]] = (
        (
            _NO_MODULE,
            "Its build imports {module} and does not say so. List the package that brings it in python.build:"
            ' {{"name": "' + name + '", "requires": ["{module}"]}}',
        ),
        (
            _NO_NETWORK,
            "Builds have no network: what one fetches would be in no lock. Take a release whose source is whole,"
            " or a wheel: python_packages",
        ),
        (_READ_ONLY, "Builds may write into their own directory alone: take another release, or a wheel"),
        (_NO_HEADER, "Install the package that has {header} where it is built (comfy_builder, else the control node)"),
        (_NO_PROGRAM, "Install {program} where it is built (comfy_builder, else the control node)"),
    )
    for pattern, remedy in causes:
        match = pattern.search(log)
        if match:
            return remedy.format(**match.groupdict())
    return f"Take another commit or release of {name}, or a wheel of it: python_packages"
