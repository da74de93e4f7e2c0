# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirement lists, read line by line: what each says, and what became of it.

The format is pip's ("Requirements File Format"). ``pip freeze`` writes it too, with remarks above what it cannot
express (pip/_internal/operations/freeze.py).
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import re
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.requirement_files import (
    Line,
    decoded,
    logical_lines,
    split_options,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.credentials import without_secrets
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import printable

KEPT, MERGED, DROPPED, DECISION = "kept", "merged", "dropped", "decision"

_INCLUDES: t.Final = {"--requirement": False, "--constraint": True}
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_USER_OF_SSH = re.compile(r"ssh://[^/\s@:]+@")
_REMARK = re.compile(r"# Editable [\w ]*\((?P<installed>[^)]+)\)$")


@dataclasses.dataclass(frozen=True)
class Account:
    """What became of a line. outcome: kept, merged, dropped or decision; detail: as or into what, why, what to do."""

    place: str
    line: str
    outcome: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Statement:
    """A line that asks for something. text: without its options, which are (full name, value).

    folder: what paths in it are relative to. constraint: it bounds what others ask for. remark: what pip freeze says of
    the next line.
    """

    number: int
    place: str
    shown: str
    text: str
    options: tuple[tuple[str, str], ...]
    folder: pathlib.Path
    constraint: bool
    remark: str | None

    def account(self, outcome: str, detail: str) -> Account:
        """What became of it."""
        return Account(self.place, self.shown, outcome, without_users(detail))


class Lists:
    """Lists and what they include. numbered: what became of lines so far, by their number."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.numbered: dict[int, Account] = {}
        self.notes: list[str] = []
        self._count = 0
        self._seen: set[tuple[pathlib.Path, bool]] = set()

    def read(self, path: pathlib.Path, name: str, constraint: bool = False) -> None:
        """Read a list and what it includes. name: what it is called. Raises FleetError for one that cannot be read."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FleetError(f"cannot be read ({error.strerror})", where=str(path), remedy="Name a list") from error
        self._seen.add((path.resolve(), constraint))
        text = decoded(content, name, self.notes.append)
        written = text.splitlines()
        for line in logical_lines(text, name):
            remark = _REMARK.match(written[line.number - 2]) if line.number > 1 else None
            self._read_line(line, path.parent, constraint, remark["installed"] if remark else None)

    def _read_line(self, line: Line, folder: pathlib.Path, constraint: bool, remark: str | None) -> None:
        self._count += 1
        statement = Statement(
            number=self._count,
            place=f"{line.where}, line {line.number}",
            shown=printable(without_users(" ".join(line.text.split()))),
            text=line.text,
            options=(),
            folder=folder,
            constraint=constraint,
            remark=remark,
        )
        try:
            text, options = split_options(line)
            included = [(name, value) for name, value in options if name in _INCLUDES]
            if included and (text or len(options) > 1):
                raise FleetError("says several things at once", remedy="Give each a line of its own")
            if not included:
                self.statements.append(dataclasses.replace(statement, text=text, options=tuple(options)))
                return
            name, value = included[0]
            self.numbered[self._count] = statement.account(KEPT, "its lines follow")
            self._include(statement, folder / value, value, constraint or _INCLUDES[name])
        except FleetError as error:
            self.numbered[statement.number] = statement.account(DECISION, str(error))

    def _include(self, statement: Statement, path: pathlib.Path, value: str, constraint: bool) -> None:
        if (path.resolve(), constraint) in self._seen:
            self.numbered[statement.number] = statement.account(MERGED, "its lines are there already")
            return
        self.read(path, f"{statement.place} -> {value}", constraint)


def without_users(text: str) -> str:
    """The text without secrets and without the users of URLs, which may be tokens; SSH's (``git@``) are none."""
    kept = _USER_OF_SSH.findall(text)
    return without_secrets(text if kept else _USER.sub("***@", text))


def in_order(numbered: c.Mapping[int, Account]) -> list[Account]:
    """What became of all lines, in the order in which they were read."""
    return [account for _number, account in sorted(numbered.items())]
