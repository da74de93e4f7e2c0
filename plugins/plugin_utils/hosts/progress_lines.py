# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's downloads as lines of text, for terminals and logs alike: no control codes, and not too many of them."""

from __future__ import annotations

import collections.abc as c
import json
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.host.space import human
from ansible_collections.comfyops.fleet.plugins.module_utils.models.progress import FORMAT, WHOLE

Document = dict[str, t.Any]
# Seconds between two lines: soon at first, so that one sees that it works, later as a log can bear it.
_FIRST_PAUSE = 4.0
_LONGEST_PAUSE = 30.0
_GROWTH = 1.25
_MINUTE = 60


def parsed(text: str) -> Document | None:
    """The document that a host has written; None for what is none."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


class Lines:
    """Says which looks at the file are worth a line."""

    def __init__(self) -> None:
        self._last: Document | None = None
        self._pause = _FIRST_PAUSE
        self._next = _FIRST_PAUSE

    def line(self, document: Document | None, elapsed: float) -> str | None:
        """A line for what was read ``elapsed`` seconds after the beginning; None where there is nothing to say.

        A file that does not change between two looks was left by a converge that is no more.
        """
        before, self._last = self._last, document
        if document is None or before is None or document["finished"] or elapsed < self._next:
            return None
        if (before["began"], before["seconds"]) == (document["began"], document["seconds"]):
            return None
        self._pause = min(_LONGEST_PAUSE, self._pause * _GROWTH)
        self._next = elapsed + self._pause
        return progress(document)


def progress(document: Document) -> str:
    """``12.1 GB of 48.3 GB (25 %), 412.0 MB/s, 1 min 28 s left, 3 of 9 files, from huggingface.co``."""
    done, total, files = document["done"], document["total"], document["files"]
    whole = sum(file["state"] == WHOLE for file in files)
    share = f" ({100 * done // total} %)" if total else ""
    left = "" if document["left"] is None else f", {duration(document['left'])} left"
    return (
        f"{human(done)} of {human(total)}{share}, {human(document['rate'])}/s{left}, "
        f"{whole} of {len(files)} {'file' if len(files) == 1 else 'files'}{_origins(files)}"
    )


def summary(downloads: c.Sequence[Document], seconds: float) -> str | None:
    """What came in all: ``3 files, 1.2 GB in 12 s (100.0 MB/s), from huggingface.co``; None where nothing came."""
    whole = [each for each in downloads if each["state"] == WHOLE]
    if not whole:
        return None
    size = sum(each["fetched"] for each in whole)
    rate = f" ({human(size / seconds)}/s)" if seconds >= 1 else ""
    files = f"{len(whole)} {'file' if len(whole) == 1 else 'files'}"
    return f"{files}, {human(size)} in {duration(seconds)}{rate}{_origins(whole)}"


def repeated(downloads: c.Iterable[Document]) -> list[str]:
    """``one.safetensors: 1.2 GB once more: https://... has changed meanwhile``, for all that came by that."""
    return [f"{each['name']}: {what}" for each in downloads if each["state"] == WHOLE for what in each["again"]]


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _MINUTE * _MINUTE:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _MINUTE // _MINUTE} h {whole // _MINUTE % _MINUTE} min"


def _origins(files: c.Iterable[Document]) -> str:
    hosts = {urllib.parse.urlsplit(file["from"] or "").netloc or "this host's disk" for file in files if file["from"]}
    return f", from {', '.join(sorted(hosts))}" if hosts else ""
