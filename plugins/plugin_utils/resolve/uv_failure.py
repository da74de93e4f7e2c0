# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uv says when it fails, in the terms of a spec: who asks for what, and what to write.

uv knows lines, not nodes. Which of them matter is found by the package names that its explanation mentions.
"""

from __future__ import annotations

import collections.abc as c
import re
import sys
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.demands import Line
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.indexes import Indexes, without_credentials
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv_causes import (
    NAME,
    URL,
    Failure,
    find_causes,
)

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment

_SHOWN_LINES: t.Final = 12
_SHOWN_CHARACTERS: t.Final = 1500

_USER = re.compile(r"(?<=://)[^/\s@]*@")
_PREFIX = re.compile(r"^(?:error: |\s*cause: |\s+)", re.MULTILINE)
_OPTION_HINT = re.compile(r"hint: .*(`--|--\w|exclude-newer)")
_NO_SOLUTION = "No solution found"
# uv says on which hosts a requirement counts, inside of the package's name.
_MARKER = re.compile(r"(?<=\w)\{[^{}]*\}")
CONTRADICTION: t.Final = "requirements contradict each other"
# Of uv itself, and of the machine that it runs on.
_KNOWN_FAILURES: t.Final = (
    (
        re.compile(r"unexpected argument|invalid value .* for '--"),
        f"Install a newer uv: {sys.executable} -m pip install -U uv",
    ),
    (
        re.compile(r"initialize cache|No space left|Permission denied|Read-only file system|File too large"),
        "Make room and let it be written, or set XDG_CACHE_HOME to a directory elsewhere",
    ),
)
_SOMETHING_ELSE: t.Final = "Change one of these requirements, or leave one out"


def explain(messages: str, lines: c.Sequence[Line], indexes: Indexes, environment: TargetEnvironment) -> FleetError:
    """The error for what uv wrote. lines: everything that was asked for, overrides too."""
    failure = Failure(_plain(messages), lines, indexes, environment)
    text = failure.text
    if text.startswith(_NO_SOLUTION):
        return NoSolution(Failure(text.partition("\n")[2], lines, indexes, environment))
    if "conflicting URLs" in text:
        return NoSolution(failure)
    if "URL dependencies must be expressed as direct" in text:
        return _url_of_a_package(failure)
    url = URL.search(text)
    if url and ("fetch" in text or "download" in text or "Request failed" in text):
        return _unreachable(failure, url[0])
    what = f"uv failed: {_shortened(text)}{listed(failure.naming_file())}"
    remedy = next((way for words, way in _KNOWN_FAILURES if words.search(text)), "")
    return FleetError(what, where=environment.where, remedy=remedy)


def _plain(messages: str) -> str:
    """The messages without what is no error, and without secrets."""
    kept = [line for line in messages.splitlines() if line and not line.startswith(("warning: ", "Resolved "))]
    return _MARKER.sub("", _USER.sub("", _PREFIX.sub("", "\n".join(kept))))


class LinesFault(FleetError):
    """A fault of requirement lines, which stand below each other at the end of ``what``; the remedy is a new line."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n{self.remedy}"


class NoSolution(LinesFault):
    """No packages meet a question.

    causes: the plain reasons. concerned: the lines that take part, as far as uv's words tell. said: these words,
    shortened, the last part of the message.
    """

    def __init__(self, failure: Failure) -> None:
        self.causes = find_causes(failure)
        self.concerned = failure.concerned()
        self.said = _shortened(failure.text)
        reasons = "; ".join(cause.what for cause in self.causes) or CONTRADICTION
        remedies = dict.fromkeys(cause.remedy for cause in self.causes) or {_SOMETHING_ELSE: None}
        super().__init__(
            f"{reasons}{listed(self.concerned)}",
            where=failure.environment.where,
            remedy=f"{'. '.join(remedies)}\nuv: {self.said}",
        )


def listed(lines: c.Iterable[Line]) -> str:
    """Lines with their owners, below each other, to end a message."""
    return "".join(f"\n  {line}" for line in lines)


def _url_of_a_package(failure: Failure) -> FleetError:
    owner = re.search(r"for package `([^`]+)`", failure.text)
    name = re.search(rf"Package `({NAME})`", failure.text)
    package = name[1] if name else "a package"
    return FleetError(
        f"{owner[1] if owner else 'a package'} wants {package} from a URL, which only a spec may name",
        where=failure.environment.where,
        remedy=f'If it is to be: {{"name": "{package}", "url": "...", "sha256": "..."}} in python_packages; else '
        f"leave it out with python.exclude, or ask for another version",
    )


def _unreachable(failure: Failure, url: str) -> FleetError:
    reason = failure.text.rstrip().splitlines()[-1].rstrip(".")
    name = failure.indexes.name_of(url.rstrip("/"))
    if name:
        return FleetError(
            f"the index {failure.indexes.shown(name)} cannot be reached: {reason}",
            where=failure.environment.where,
            remedy=f'Check its address, or say where it is reached from here: comfy_python_indexes {{"{name}": "..."}}',
        )
    return FleetError(
        f"{without_credentials(url)} cannot be had: {reason}{listed(failure.naming_file())}",
        where=failure.environment.where,
        remedy="Check the URL, and that this machine reaches its host",
    )


def _shortened(text: str) -> str:
    """uv's words without its own options, which users do not give; the middle is left out where they are many."""
    rows = [row for row in text.strip().splitlines() if not _OPTION_HINT.match(row)]
    if len(rows) > _SHOWN_LINES:
        half = _SHOWN_LINES // 2
        rows = [*rows[:half], f"... ({len(rows) - 2 * half} lines left out)", *rows[-half:]]
    joined = "\n".join(rows)
    if len(joined) <= _SHOWN_CHARACTERS:
        return joined
    half = _SHOWN_CHARACTERS // 2
    return f"{joined[:half]} ... {joined[-half:]}"
