# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A forge with models, and a host's root to bring them to."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import time
import typing as t

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.change import Change, Plan
from ansible_collections.comfyops.fleet.plugins.module_utils.errors import raise_all
from ansible_collections.comfyops.fleet.plugins.module_utils.host.atomic import replace_link, write_text
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import lock_record
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import canonical, read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.models import connections, spans, store, transfer
from ansible_collections.comfyops.fleet.plugins.module_utils.models.apply import apply
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import plan
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch import (
    observe_switch,
    plan_switch,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.models.switch_apply import apply_switch
from ansible_collections.comfyops.fleet.plugins.module_utils.models.wanted import blob
from tests.support import forge as forge_package
from tests.support import locks
from tests.support.forge import Forge

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.forge import LoggedRequest
    from tests.support.forge.models import Model

CORE = pathlib.Path(forge_package.__file__).parent / "content" / "core"


def entry(name: str, url: str, content: bytes | str, paths: Sequence[str] = (), **more: t.Any) -> locks.Document:
    """A model of a lock. content: its bytes, or their sha256 (then give the size)."""
    sha256 = content if isinstance(content, str) else hashlib.sha256(content).hexdigest()
    size = None if isinstance(content, str) else len(content)
    found = {"name": name, "source": url, "url": url, "sha256": sha256, "size": size, "optional": False, **more}
    return {**found, "paths": list(paths) or [f"$MODELS_DIR/loras/{name}"]}


class Host:
    """A root on this machine, with builds that have the stand-in core's table of folder types."""

    def __init__(self, forge: Forge, directory: pathlib.Path) -> None:
        self.forge = forge
        self.directory = directory
        self.layout = Layout(directory / "root")

    def context(self, *models: locks.Document, core: str = "1", build: bool = True, **settings: t.Any) -> Context:
        """A lock of these models. core: one hexadecimal digit, another core is another build."""
        lock = read_lock(locks.lock(locks.checkout("https://git.example/core", core * 40), models=list(models)))
        context = Context(lock, lock.targets["default"], self.layout, Settings(**settings))
        if build and not context.home.exists():
            context.home.mkdir(parents=True)
            shutil.copy(CORE / "folder_paths.py", context.home)
        return context

    def model(self, path: str, name: str | None = None, **more: t.Any) -> locks.Document:
        """A model that the forge serves at /models/<path>, placed at loras/<name>."""
        return self.entry_of(self.forge.model(path, **more), name)

    def entry_of(self, model: Model, name: str | None = None) -> locks.Document:
        """The lock's entry of a model of the forge."""
        return entry(name or model.path, model.url, model.content.data)

    def file(self, path: str) -> pathlib.Path:
        """A path below MODELS_DIR."""
        return self.layout.models / path

    def stored(self, model: locks.Document) -> pathlib.Path:
        """A model's file in the store."""
        return blob(self.layout, model["sha256"])

    def asides(self) -> dict[str, bytes]:
        """What was put aside: path below its directory of that time to bytes."""
        found = [path for path in self.layout.aside.rglob("*") if path.is_file() or path.is_symlink()]
        return {"/".join(path.relative_to(self.layout.aside).parts[1:]): path.read_bytes() for path in found}

    def gets(self, pattern: str) -> list[LoggedRequest]:
        """The forge's GET requests whose path has the pattern, in the order in which they were made."""
        self._settle()
        found = [request for request in self.forge.requests if request.method == "GET" and pattern in request.path]
        return sorted(found, key=lambda request: request.started)

    def forget(self) -> None:
        """Begin the forge's log anew."""
        self._settle()
        self.forge.forget_requests()

    def _settle(self) -> None:
        """Wait until what was asked is logged, which is after the answer has left; each has its own connection."""
        deadline = time.monotonic() + 5
        while len(self.forge.requests) < self.forge.connections and time.monotonic() < deadline:
            time.sleep(0.002)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Host]:
    """A bare host and an empty forge."""
    with Forge(tmp_path / "forge") as forge:
        yield Host(forge, tmp_path)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and stalls as in life, only sooner."""
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(store, "STALL_SECONDS", 1.0)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further connections and shares of files as for files that are a thousand times larger."""
    monkeypatch.setattr(connections, "WINDOW_SECONDS", 0.08)
    monkeypatch.setattr(connections, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(connections, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(connections, "WORTH_SECONDS", 0.3)
    monkeypatch.setattr(spans, "SHARE_SECONDS", 0.2)
    monkeypatch.setattr(spans, "WORTH_SECONDS", 0.1)
    monkeypatch.setattr(spans, "SMALLEST_SHARE", 50_000)
    monkeypatch.setattr(transfer, "_PROGRESS", 1000)


def look(context: Context) -> Plan:
    """What is to be done to the models."""
    return plan(context, observe(context))


def converge(context: Context) -> Plan:
    """Look, apply, and make sure that nothing is left; gives what was done."""
    planned = look(context)
    raise_all(planned.obstacles)
    apply(context, planned)
    left = look(context)
    assert left.changes == (), left
    return planned


def look_at_switch(context: Context) -> Plan:
    """What the switch to the context would do to the models."""
    return plan_switch(context, observe_switch(context))


def switch(context: Context) -> Plan:
    """Converge, then let the context's build serve, as comfy_version does; gives what the switch did to models."""
    converge(context)
    planned = look_at_switch(context)
    raise_all(planned.obstacles)
    apply_switch(context, planned)
    write_text(lock_record(context.layout, context.build_name), canonical(context.lock.document))
    replace_link(context.layout.current, f"builds/{context.build_name}")
    assert look_at_switch(context).changes == ()
    assert look(context).changes == ()
    return planned


def actions(planned: Plan) -> list[tuple[str, str]]:
    """Action and name of each change, without extra_model_paths.yaml."""
    return [(change.action, change.name) for change in named(planned)]


def named(planned: Plan) -> list[Change]:
    """The changes without extra_model_paths.yaml."""
    return [change for change in planned.changes if change.action != "write"]


def leads_to(path: pathlib.Path) -> str:
    """The real path, whatever links are on the way."""
    return os.path.realpath(path)
