# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong, or odd, in a spec: findings, and what collects them."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.credentials import without_secrets

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Severity = t.Literal["error", "warning"]

Location = tuple[str | int, ...]
"""The way to a value inside a document: keys and indexes from its root."""

SHOWN_CHARACTERS = 80


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault or quirk of a spec file.

    file is shown relative to the working directory when it is below it; pointer is a JSON pointer (RFC 6901), empty for
    the whole document; reason says what is there, remedy what to write.
    """

    file: str
    pointer: str
    reason: str
    remedy: str
    severity: Severity = "error"

    @property
    def text(self) -> str:
        """One line: file, pointer, reason and remedy."""
        place = f"{self.file}: {self.pointer}" if self.pointer else self.file
        return f"{place}: {_sentence(self.reason)} {_sentence(self.remedy)}".rstrip()

    def __str__(self) -> str:
        return self.text


class SpecInvalid(FleetError):
    """A spec that cannot be used. It carries everything that was found, errors and warnings alike."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(finding.text for finding in self.errors))

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the spec unusable."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """The findings that alone would not have stopped it."""
        return [finding for finding in self.findings if finding.severity == "warning"]


class VersionUnknown(FleetError):
    """There is no spec of that version. known are the ids that are there, the nearest first."""

    def __init__(self, version: str, directory: str, known: list[str]) -> None:
        self.version = version
        self.directory = directory
        self.known = known
        there = f"The versions there: {', '.join(known)}." if known else "There is no spec at all in that directory."
        what = f"there is no version {shown(version)}" if version else "no version is named"
        remedy = "Name one of them, -e version=<id>, or set comfy_versions_dir to the directory that has it."
        super().__init__(f"{what}. {there}", where=directory, remedy=remedy)


class Findings:
    """Collects what the rules find, each with the location in the document that the rules see.

    place turns such a location into the file and the location there: a document may be merged from several files.
    """

    def __init__(self, place: Callable[[Location], tuple[str, Location]]) -> None:
        self._place = place
        self._found: dict[tuple[Location, str, str], Finding] = {}

    def error(self, at: Location, reason: str, remedy: str) -> None:
        """Add a fault that makes the spec unusable."""
        self._add(at, reason, remedy, "error")

    def warning(self, at: Location, reason: str, remedy: str) -> None:
        """Add a quirk that is accepted."""
        self._add(at, reason, remedy, "warning")

    def _add(self, at: Location, reason: str, remedy: str, severity: Severity) -> None:
        file, there = self._place(at)
        self._found.setdefault((at, reason, severity), Finding(file, pointer(there), reason, remedy, severity))

    def located(self) -> list[tuple[Location, Finding]]:
        """Give every finding with its location, in the order in which they were found."""
        return [(at, finding) for (at, _reason, _severity), finding in self._found.items()]


def pointer(at: Location) -> str:
    """Write a location as a JSON pointer (RFC 6901)."""
    return "".join(f"/{printable(str(part)).replace('~', '~0').replace('/', '~1')}" for part in at)


def sort_key(at: Location) -> tuple[tuple[int, int, str], ...]:
    """Order locations as a reader would: list items by their number, keys by their name."""
    return tuple((0, part, "") if isinstance(part, int) else (1, 0, part) for part in at)


def printable(text: str) -> str:
    """Escape what would disturb a line or a terminal: line ends, escape sequences, marks that turn the direction."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def shown(value: str) -> str:
    """Quote a text of a spec for a message: one line, never long, never a secret."""
    text = without_secrets(value)
    short = text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."
    return f"'{printable(short)}'"


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?", "!")) else f"{text}."
