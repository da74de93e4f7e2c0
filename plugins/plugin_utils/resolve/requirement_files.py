# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirement files of core and nodes, read as pip reads them.

The format is described in pip's documentation ("Requirements File Format"); encodings, continuation lines and comments
follow pip/_internal/req/req_file.py.
"""

from __future__ import annotations

import codecs
import collections.abc as c
import dataclasses
import posixpath
import re
import shlex
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError, raise_all
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.requirement_lines import Sources, read_requirement
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import pip_options
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown

if t.TYPE_CHECKING:
    from packaging.requirements import Requirement

MAX_INCLUDES: t.Final = 64
OWN_LINES: t.Final = "Give the node lines of its own in custom_nodes[].requirements"

_BYTE_ORDER_MARKS: t.Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED_ENCODING = re.compile(rb"#.*?coding[:=][ \t]*([-\w.]+)")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)\}")

_INCLUDES: t.Final = frozenset({"--requirement", "--constraint"})
_SOURCES: t.Final = {
    "--index-url": "a package index",
    "--extra-index-url": "a package index",
    "--pypi-url": "a package index",
    "--index": "a package index",
    "--default-index": "a package index",
    "--no-index": "package indexes",
    "--find-links": "a place of packages",
}
_SOURCE_REMEDIES: t.Final = {
    "--find-links": "Name the wheel in python_packages",
}
_INDEX_REMEDY: t.Final = "Name the index in python.indexes, with the packages that come from it"
_WITHOUT_MEANING: t.Final = pip_options.DROPPED | {
    "--only-binary",
    "--prefer-binary",
    "--require-hashes",
    "--trusted-host",
    "--use-feature",
    # Of one requirement.
    "--config-setting",
    "--config-settings",
    "--global-option",
    "--hash",
    "--install-option",
    "-C",
}


@dataclasses.dataclass(frozen=True)
class Line:
    """One line without its comment, with its continuations; number counts from 1."""

    where: str
    number: int
    text: str

    def fault(self, what: str, remedy: str = OWN_LINES) -> FleetError:
        return FleetError(what, where=f"{self.where}, line {self.number}", remedy=remedy)


def parse(
    content: bytes,
    where: str,
    include: c.Callable[[str], bytes],
    report: c.Callable[[str], None] | None = None,
    sources: Sources | None = None,
) -> list[str]:
    """The requirements of a requirements file, each as one PEP 508 line without options and comments.

    where: the node and the file, for messages. include: gives the content of a file named by its path relative to the
    folder of this one; it raises FleetError or OSError where there is none. report: told what was guessed. sources:
    asked for the names of what lines without one lead to.

    Lines of constraint files bound what the file itself asks for; one that bounds anything else is an error, as there
    is no requirement to put the bound on.

    Raises FleetError, or Failures with all faults of the file and of those that it includes.
    """
    reading = _Reading(include, report or _discard, sources)
    reading.read_file(content, where, path="", constraint=False)
    reading.bound()
    raise_all(reading.faults)
    return list(dict.fromkeys(str(requirement) for requirement in reading.requirements))


def _discard(_note: str) -> None:
    """Whoever gives no report wants no notes."""


class _Reading:
    """What is known while a file and its includes are read."""

    def __init__(
        self, include: c.Callable[[str], bytes], report: c.Callable[[str], None], sources: Sources | None
    ) -> None:
        self._include = include
        self._report = report
        self._sources = sources
        self._seen: set[tuple[str, bool]] = {("", False)}
        self._constraints: list[tuple[Line, Requirement]] = []
        self.requirements: list[Requirement] = []
        self.faults: list[FleetError] = []

    def read_file(self, content: bytes, where: str, path: str, constraint: bool) -> None:
        """Read one file; path is relative to the first one's folder."""
        for line in logical_lines(decoded(content, where, self._report), where):
            try:
                self._read_line(line, path, constraint)
            except FleetError as error:
                self.faults.append(error)

    def bound(self) -> None:
        """Add the constraints to the requirements that they bound."""
        from packaging.utils import canonicalize_name

        wanted = {canonicalize_name(requirement.name) for requirement in self.requirements}
        for line, constraint in self._constraints:
            if canonicalize_name(constraint.name) in wanted:
                self.requirements.append(constraint)
            else:
                what = f"{shown(str(constraint))} limits {constraint.name}, which the requirements do not name"
                self.faults.append(line.fault(what, "Add it to python_packages, or " + _lowered(OWN_LINES)))

    def _read_line(self, line: Line, path: str, constraint: bool) -> None:
        variable = _VARIABLE.search(line.text)
        if variable:
            raise line.fault(f"uses the environment variable {variable['name']}, which differs from machine to machine")
        text, options = split_options(line)
        for name, value in options:
            if name == "--editable" and value:
                # For a lock it is what it would be without the option.
                text = value
            else:
                self._read_option(line, name, value, path)
        if text:
            found = read_requirement(text, line.fault, self._sources)
            if constraint:
                self._constraints.append((line, found))
            else:
                self.requirements.append(found)

    def _read_option(self, line: Line, name: str, value: str, path: str) -> None:
        if name in _INCLUDES:
            self._read_include(line, name, value, path)
        elif name in _SOURCES:
            what = f"{shown(line.text)} names {_SOURCES[name]} ({name}), which the spec alone may do"
            raise line.fault(what, f"{_SOURCE_REMEDIES.get(name, _INDEX_REMEDY)}, and {_lowered(OWN_LINES)}")
        elif name not in _WITHOUT_MEANING:
            what = f"{shown(line.text)} has an option ({name}) that a lock cannot follow"
            raise line.fault(what, f"{pip_options.remedy(name)}, and {_lowered(OWN_LINES)}")

    def _read_include(self, line: Line, name: str, value: str, path: str) -> None:
        if not value or "://" in value or value.startswith(("/", "~")):
            raise line.fault(f"{shown(line.text)} includes a file that is not one of the repository")
        included = posixpath.normpath(posixpath.join(posixpath.dirname(path), value))
        constraint = name == "--constraint"
        if (included, constraint) in self._seen:
            return
        self._seen.add((included, constraint))
        if len(self._seen) > MAX_INCLUDES:
            raise line.fault(f"includes more than {MAX_INCLUDES} files")
        try:
            content = self._include(included)
        except (FleetError, OSError) as error:
            raise line.fault(f"{shown(line.text)} includes {included}, which cannot be read ({error})") from error
        self.read_file(content, f"{line.where}, line {line.number} -> {included}", included, constraint)


def decoded(content: bytes, where: str, report: c.Callable[[str], None]) -> str:
    """The text of a requirements file: by its byte order mark, else by its coding comment, else UTF-8, else Latin-1.

    report: told of what is a guess.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    for encoding in (_declared_encoding(content), "utf-8"):
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    report(f"{where}: is not UTF-8 and is read as Latin-1")
    return content.decode("latin-1")


def _declared_encoding(content: bytes) -> str:
    """What a coding comment (PEP 263) in the first two lines says, else UTF-8."""
    for line in content.split(b"\n")[:2]:
        declared = _DECLARED_ENCODING.match(line)
        if declared:
            return declared[1].decode("ascii", errors="replace")
    return "utf-8"


def logical_lines(text: str, where: str) -> list[Line]:
    """The lines that say something: continuations joined, comments and surrounding space taken off."""
    joined: list[Line] = []
    parts: list[str] = []
    first = 1
    for number, written in enumerate(text.splitlines(), start=1):
        is_comment = _COMMENT.match(written)
        first = first if parts else number
        # A comment ends a continuation; the space keeps it a comment after joining.
        parts.append(f" {written}" if is_comment else written.removesuffix("\\"))
        if is_comment or not written.endswith("\\"):
            joined.append(Line(where, first, "".join(parts)))
            parts = []
    if parts:
        joined.append(Line(where, first, "".join(parts)))
    stripped = [dataclasses.replace(line, text=_COMMENT.sub("", line.text).strip()) for line in joined]
    return [line for line in stripped if line.text]


def split_options(line: Line) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the first option, and the options as (full name, value). Raises FleetError."""
    words = line.text.split()
    number = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    try:
        rest = shlex.split(" ".join(words[number:]))
    except ValueError as error:
        raise line.fault(f"{shown(line.text)} cannot be read: {error}") from error
    return " ".join(words[:number]), _options(rest)


def _options(words: list[str]) -> list[tuple[str, str]]:
    options: list[tuple[str, str]] = []
    for word in words:
        if not word.startswith("-"):
            name, value = options[-1]
            options[-1] = (name, f"{value} {word}".strip())
            continue
        names = pip_options.option_names(word)
        options += [(name, "") for name in names[:-1]]
        options.append((names[-1], _attached_value(word)))
    return options


def _attached_value(word: str) -> str:
    """The value in the option's own word: --name=value, or -rvalue."""
    if word.startswith("--"):
        return word.partition("=")[2]
    return word[2:] if word[1:2] in {"r", "c", "e", "f", "i"} else ""


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
