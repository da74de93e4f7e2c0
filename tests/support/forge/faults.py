# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that a test or a demo switches on for paths of the forge.

A fault has a kind and a path pattern (``*`` and ``?``, matched against the path without its query, as sent). Those that
replace the answer work before the service sees the request, the others on what the service answers.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import json
import threading
import typing as t

from tests.support.forge.web import ConnectionDroppedError, Request, Response, data, document, redirect, text

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FaultKind = t.Literal[
    "html",  # 200 and a log-in page in place of the content
    "short-body",  # the connection is closed after `after` bytes (default: half of the content)
    "wrong-content",  # one byte is flipped, always the same one, at offset `after` (default: the middle)
    "status",  # the answer is `status`, with Retry-After where `retry_after` is given
    "stall",  # nothing more is sent after `after` bytes, for `seconds`
    "no-range",  # a range request is answered with 200 and everything
    "rate",  # at most `rate` bytes per second on each connection
    "lying-length",  # Content-Length says `length` (default: 1000 bytes more than there are)
    "redirect-loop",  # redirects to itself
    "busy",  # as "status", for requests beyond `at_once` that are being answered
    "drop",  # the connection is closed without an answer
    "delay",  # the answer begins after `seconds`
    "refuse-commit",  # a git repository does not give commits that no branch or tag names
]
KINDS: tuple[str, ...] = t.get_args(FaultKind)

LOGIN_PAGE = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><form method="post" action="/login"><input name="user"><input name="password" type="password"></form></body>
</html>
"""


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault. ``times`` is how many requests it meets before it is over; None: until it is taken away."""

    kind: FaultKind
    path: str
    times: int | None = None
    methods: tuple[str, ...] = ("GET", "POST")
    status: int = 503
    retry_after: int | None = None
    after: int | None = None
    seconds: float = 3600.0
    rate: int = 65536
    length: int | None = None
    at_once: int = 1

    def __post_init__(self) -> None:
        """Refuses what would silently never happen.

        Raises:
            ValueError: the kind is not known, or the path does not begin with a slash or a star.
        """
        if self.kind not in KINDS:
            raise ValueError(f"no fault of kind {self.kind!r}; there are {', '.join(KINDS)}")
        if self.path[:1] not in ("/", "*"):
            raise ValueError(f"a fault's path pattern begins with / or *, not {self.path!r}")

    def meets(self, request: Request) -> bool:
        """Whether this fault is for that request."""
        return request.method in self.methods and fnmatch.fnmatchcase(request.path, self.path)


class Faults:
    """The faults that are switched on, by number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._active: dict[int, tuple[Fault, int | None]] = {}

    def add(self, fault: Fault) -> int:
        """Switches a fault on and gives its number."""
        with self._lock:
            number = next(self._numbers)
            self._active[number] = (fault, fault.times)
            return number

    def remove(self, number: int) -> None:
        """Switches one fault off; one that is over already is no error."""
        with self._lock:
            self._active.pop(number, None)

    def clear(self) -> None:
        """Switches all faults off."""
        with self._lock:
            self._active.clear()

    def take(self, request: Request) -> tuple[Fault, ...]:
        """The faults that this request meets; their remaining times go down by one."""
        with self._lock:
            met = [number for number, (fault, _left) in self._active.items() if fault.meets(request)]
            faults = tuple(self._active[number][0] for number in met)
            for number in met:
                fault, left = self._active.pop(number)
                if left is None or left > 1:
                    self._active[number] = (fault, None if left is None else left - 1)
            return faults

    def answer(self, request: Request) -> Response:
        """The faults over HTTP: POST one as a JSON object, GET all of them, DELETE all of them."""
        if request.method == "POST":
            try:
                number = self.add(_fault_of(request.body))
            except (TypeError, ValueError) as error:
                return document({"error": str(error)}, 400)
            return document({"number": number}, 201)
        if request.method == "DELETE":
            self.clear()
            return Response(204)
        with self._lock:
            active = dict(self._active)
        listed = {number: {**dataclasses.asdict(fault), "left": left} for number, (fault, left) in active.items()}
        return document(listed)


def _fault_of(body: bytes) -> Fault:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise TypeError("a fault is a JSON object with kind and path")
    if "methods" in value:
        value["methods"] = tuple(value["methods"])
    return Fault(**value)


def replacement(request: Request, others: int) -> Response | None:
    """What a fault answers in place of the service, or None. others: how many requests are being answered already.

    Raises:
        ConnectionDroppedError: the connection is to be closed without an answer.
    """
    for fault in request.faults:
        if fault.kind == "drop":
            raise ConnectionDroppedError
        if fault.kind == "html":
            return data(LOGIN_PAGE, "text/html; charset=utf-8")
        if fault.kind == "redirect-loop":
            return redirect(request.path)
        if fault.kind == "status" or (fault.kind == "busy" and others >= fault.at_once):
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return text(fault.status, f"the forge answers {fault.status} on purpose", headers)
    return None


def disturbed(request: Request, response: Response) -> Response:
    """The service's answer with the request's faults applied to its bytes and to how they leave."""
    delivery = response.delivery
    for fault in request.faults:
        if fault.kind == "wrong-content":
            response = dataclasses.replace(response, body=_flipped(response, fault.after))
        delivery = dataclasses.replace(delivery, **_delivery_changes(fault, response))
    return dataclasses.replace(response, delivery=delivery)


def _delivery_changes(fault: Fault, response: Response) -> Mapping[str, t.Any]:
    length = response.length or 0
    if fault.kind == "short-body":
        return {"close_after": length // 2 if fault.after is None else fault.after}
    if fault.kind == "stall":
        return {"stall_after": fault.after or 0, "stall_seconds": fault.seconds}
    if fault.kind == "lying-length":
        return {"announced_length": length + 1000 if fault.length is None else fault.length}
    if fault.kind == "rate":
        return {"bytes_per_second": fault.rate}
    return {}


def delay(request: Request) -> float:
    """Seconds to wait before the request is answered."""
    return sum(fault.seconds for fault in request.faults if fault.kind == "delay")


def _flipped(response: Response, offset: int | None) -> Iterator[bytes]:
    """The body with one byte inverted; the offset counts in the whole content, so that ranges agree with each other."""
    whole = response.length if response.whole is None else response.whole
    target = (whole or 0) // 2 if offset is None else offset
    position = response.position
    for block in response.body:
        index = target - position
        position += len(block)
        if 0 <= index < len(block):
            yield block[:index] + bytes([block[index] ^ 0xFF]) + block[index + 1 :]
        else:
            yield block
