# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which URL a file came from, of what the recorder noted. Pure.

A file is followed back through its moves and copies to the names that it was written under. The URL is the one that
ends like one of these names; else the one that the same thread asked for when the file was open and empty, or before it
opened the file, when nothing else was written in between. A redirect's last hop or an archive is not taken for it, and
of several URLs none.
"""

from __future__ import annotations

import collections.abc as c
import json
import posixpath
import re
import typing as t
import urllib.parse

GET, COMMAND, WRITE, MOVE, INTO, INSTALL = "get", "command", "write", "move", "into", "install"
NAME, ORDER = "name", "order"
_SECRET = re.compile(r"token|key|sig|secret|auth|pass|cred|expires|policy|x-amz|x-goog", re.IGNORECASE)
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".whl")


class Event(t.NamedTuple):
    """One line of the recorder. thread: process and thread."""

    what: str
    thread: tuple[int, int]
    values: tuple[str, ...]


class Origin(t.NamedTuple):
    """url: without secrets. known_by: ``name`` or ``order``. secret: whether something was left out of it."""

    url: str
    known_by: str
    secret: bool


def read_events(text: str) -> list[Event]:
    """The recorder's lines; one that was cut by a kill is left out."""
    events = []
    for line in text.splitlines():
        try:
            what, process, thread, *values = json.loads(line)
        except ValueError:
            continue
        events.append(Event(what, (process, thread), tuple(values)))
    return events


def written_paths(events: c.Iterable[Event]) -> list[str]:
    """Where there may be files that were written, by their last names."""
    found: dict[str, None] = {}
    for event in events:
        if event.what == WRITE:
            found[event.values[0]] = None
        elif event.what == MOVE:
            found[event.values[1]] = None
    return list(found)


def origin_of(path: str, events: c.Sequence[Event]) -> Origin | None:
    """Where a file came from; None where that is not known."""
    names = _names(path, events)
    ends = {posixpath.basename(name) for name in names}
    for event in events:
        if event.what in (GET, COMMAND) and _last_part(event.values[0]) in ends:
            return _origin(event.values[0], NAME)
    asked = _one_of([event.values[0] for event in events if event.what == INTO and event.values[1] in names])
    for number, event in enumerate(events):
        if asked is None and event.what == WRITE and event.values[0] in names:
            asked = _one_of(_asked_before(events[:number], event.thread))
            break
    return _origin(asked, ORDER) if asked and not _is_archive(asked, path) else None


def without_secrets(url: str) -> str:
    """The URL without user, password, and those parts of its query that may be secrets."""
    parts = urllib.parse.urlsplit(url)
    kept = [
        part for part in parts.query.split("&") if part and not _SECRET.search(urllib.parse.unquote(part.split("=")[0]))
    ]
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "&".join(kept), ""))


def _names(path: str, events: c.Sequence[Event]) -> set[str]:
    """The path, and what it was called before; the last event first, so that a chain is followed in one pass."""
    names = {path}
    for event in reversed(events):
        if event.what == MOVE and event.values[1] in names:
            names.add(event.values[0])
    return names


def _asked_before(events: c.Sequence[Event], thread: tuple[int, int]) -> list[str]:
    """The URLs that a thread asked for since it wrote something, in order."""
    asked: list[str] = []
    for event in reversed(events):
        if event.thread != thread or event.what == MOVE:
            continue
        if event.what == WRITE:
            break
        if event.what == GET:
            asked.append(event.values[0])
    return asked[::-1]


def _one_of(asked: c.Sequence[str]) -> str | None:
    """The first of several URLs is what the code named, when the others are where it was sent on to; else none is.

    Those are a storage's signed URLs.
    """
    later = [url for url in asked if url != asked[0]]
    return asked[0] if asked and all(_SECRET.search(urllib.parse.urlsplit(url).query) for url in later) else None


def _origin(url: str, known_by: str) -> Origin:
    shown = without_secrets(url)
    return Origin(shown, known_by, shown != urllib.parse.urldefrag(url).url)


def _last_part(url: str) -> str:
    return urllib.parse.unquote(posixpath.basename(urllib.parse.urlsplit(url).path))


def _is_archive(url: str, path: str) -> bool:
    return _last_part(url).lower().endswith(_ARCHIVES) and not path.lower().endswith(_ARCHIVES)
