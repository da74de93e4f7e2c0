# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other hosts of the site as a source of models: whoever has one gives it, and one of them, the seed, fetches it.

A host that is not the seed asks no source as long as the seed may bring a model: the site fetches it once.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import random
import threading
import time

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Peer
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import origin
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import Model
from ansible_collections.comfyops.fleet.plugins.module_utils.models.answers import WrongBytes
from ansible_collections.comfyops.fleet.plugins.module_utils.models.origin import mirror_url
from ansible_collections.comfyops.fleet.plugins.module_utils.seed.news import (
    BROKEN,
    EXPECTED,
    NEWS_PATH,
    RUNNING,
    News,
    read_news,
)

# Brings a model from a URL with that access. Raises HttpFault and WrongBytes.
Take = c.Callable[[str, Access], None]

_BUSY = 503
NEWS_SECONDS = 1.0
_LONGEST_NEWS = 16 << 20
# Who is asked for news beside the seed each time: enough to find a copy, few enough for a site of hundreds.
_ASKED = 8
# All wait for the slowest of them, so a host that has gone is left alone for a while.
NEWS_TIMEOUT_SECONDS = 5.0
SILENT_SECONDS = 30.0
PAUSE_SECONDS = (0.3, 1.0)
# A seed that can not be reached, and one whose run does not begin.
UNREACHED_SECONDS = 30.0
EXPECTED_SECONDS = 900.0
# After so many broken attempts a copy is as good as none.
_MOST_BROKEN = 3


class NotGiven(FleetError):
    """The seed does not give a model, and will not."""


class Peers:
    """The other hosts, for all downloads of this one. seed: the name of the peer that fetches; None: this host."""

    def __init__(self, peers: c.Sequence[Peer], seed: str | None, token: str, cancelled: threading.Event) -> None:
        self._peers = {peer.name: peer for peer in peers}
        self._seed = self._peers[seed] if seed else None
        self._cancelled = cancelled
        # As the URL's host is looked up: in lower case, an IPv6 address without its brackets.
        credentials = {"{1}:{2}".format(*origin(peer.url)): token for peer in peers}
        # The bytes are checked by their hash, and the site's own network is what the user has chosen.
        self._access = Access(credentials, allow_http=True, timeout=10.0, proxies=False)
        self._news_access = dataclasses.replace(self._access, timeout=NEWS_TIMEOUT_SECONDS)
        self._news: dict[str, News] = {}
        # When to ask a peer again that was silent for news, or had no upload free.
        self._silent: dict[str, float] = {}
        self._busy: dict[str, float] = {}
        self._fault = ""
        self._asked = 0.0
        self._heard = self._begun = time.monotonic()
        self._broken: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._turns = threading.Lock()

    def fetch(self, model: Model, take: Take) -> bool:
        """Whether a peer has given it; where not, this host is to get it from its source. Raises NotGiven."""
        while not self._cancelled.is_set():
            self._ask_for_news()
            holders = self._holders(model)
            if any(self._take(peer, model, take) for peer in holders if self._may_ask(peer)):
                return True
            if not holders and not self._is_coming(model):
                return False
            self._cancelled.wait(random.uniform(*PAUSE_SECONDS))
        raise HttpFault("given up", transient=False)

    def _holders(self, model: Model) -> list[Peer]:
        """Who has it, in another order each time: so they share the work."""
        found = [
            self._peers[name]
            for name, news in list(self._news.items())
            if model.sha256 in news.whole and self._broken.get((name, model.sha256), 0) < _MOST_BROKEN
        ]
        return random.sample(found, len(found))

    def _may_ask(self, peer: Peer) -> bool:
        """Who was busy is asked by one download of this host at a time: the others need not each be told."""
        with self._turns:
            if _is_later(self._busy, peer):
                return False
            if peer.name in self._busy:
                self._busy[peer.name] = time.monotonic() + random.uniform(*PAUSE_SECONDS)
            return True

    def _take(self, peer: Peer, model: Model, take: Take) -> bool:
        key = (peer.name, model.sha256)
        try:
            take(mirror_url(peer.url, model.sha256), self._access)
        except WrongBytes as fault:
            self._broken[key] = _MOST_BROKEN
            self._fault = f"the copy of {peer.name} is damaged: {fault.what}"
        except HttpFault as fault:
            if fault.status == _BUSY:
                self._busy[peer.name] = time.monotonic() + random.uniform(*PAUSE_SECONDS)
            else:
                self._broken[key] = self._broken.get(key, 0) + 1
                self._fault = fault.what
        else:
            # Its upload is free again, for the next download of this host.
            self._busy.pop(peer.name, None)
            return True
        return False

    # The seed

    def _is_coming(self, model: Model) -> bool:
        """Whether the seed has it soon; False where this host is to fetch it. Raises NotGiven."""
        seed = self._seed
        if seed is None:
            return False
        news = self._news.get(seed.name)
        if news is None:
            self._refuse_silence(seed)
            return True
        if self._broken.get((seed.name, model.sha256), 0) >= _MOST_BROKEN:
            remedy = f"Run it with comfy_verify=deep on {seed.name} first"
            raise NotGiven(f"the seed {seed.name} does not give it: {self._fault}", remedy=remedy)
        if model.sha256 in news.failed:
            raise NotGiven(f"the seed {seed.name} could not fetch it: {news.failed[model.sha256]}")
        if news.run == BROKEN and model.sha256 not in news.whole:
            remedy = f"Look at what it says, and run it again, without {seed.name} if need be"
            raise NotGiven(f"the run on the seed {seed.name} has failed, or was killed", remedy=remedy)
        if news.run == EXPECTED:
            self._refuse_delay(seed)
        return news.run in (EXPECTED, RUNNING) or model.sha256 in news.whole

    def _refuse_silence(self, seed: Peer) -> None:
        if time.monotonic() - self._heard <= UNREACHED_SECONDS:
            return
        if self._heard > self._begun:
            remedy = f"Run it again, without {seed.name} if it has gone: what is here already is not fetched again"
            raise NotGiven(f"the seed {seed.name} answers no longer: {self._fault}", remedy=remedy)
        raise NotGiven(
            f"the seed {seed.name} does not answer: {self._fault}",
            remedy="Let the hosts of the site reach it there (comfy_seed_address, comfy_seed_port), "
            "or run without comfy_seed",
        )

    def _refuse_delay(self, seed: Peer) -> None:
        if time.monotonic() - self._begun > EXPECTED_SECONDS:
            raise NotGiven(
                f"the seed {seed.name} has not begun to fetch within {EXPECTED_SECONDS / 60:.0f} min",
                remedy="Look whether its task hangs; comfy_seed needs Ansible's strategy linear",
            )

    # News

    def _ask_for_news(self) -> None:
        """Hear from the seed and some others, unless that was a moment ago."""
        with self._lock:
            if time.monotonic() - self._asked < NEWS_SECONDS:
                return
            others = [peer for peer in self._peers.values() if peer != self._seed and not _is_later(self._silent, peer)]
            asked = random.sample(others, min(_ASKED, len(others))) + ([self._seed] if self._seed else [])
            with concurrent.futures.ThreadPoolExecutor(_ASKED + 1) as pool:
                heard = list(pool.map(self._hear, asked))
            for peer, news in zip(asked, heard, strict=True):
                self._note(peer, news)
            if self._seed and self._seed.name in self._news:
                self._heard = time.monotonic()
            self._asked = time.monotonic()

    def _note(self, peer: Peer, news: News | None) -> None:
        if news is None:
            self._news.pop(peer.name, None)
            self._silent[peer.name] = time.monotonic() + SILENT_SECONDS
        else:
            self._news[peer.name] = news

    def _hear(self, peer: Peer) -> News | None:
        try:
            with request(f"{peer.url}{NEWS_PATH}", self._news_access) as answer:
                return read_news(answer.read_all(_LONGEST_NEWS))
        except (HttpFault, ValueError, KeyError) as fault:
            if peer == self._seed:
                self._fault = fault.what if isinstance(fault, HttpFault) else f"{peer.url} says no news ({fault})"
            return None


def _is_later(until: c.Mapping[str, float], peer: Peer) -> bool:
    """Whether the time to ask a peer again is still to come."""
    return time.monotonic() < until.get(peer.name, 0.0)
