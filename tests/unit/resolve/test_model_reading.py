# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of which nobody says the sha256, read on the control node: whole, continued, refused, remembered."""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

import pytest

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.models import first_read
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_known import Known
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.model_reading import ControlNode
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.models import ModelResolution, resolve_models
from tests.support.forge import Forge

Entry = dict[str, t.Any]
SIZE = 11_000_000


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_read, "FIRST_PAUSE_SECONDS", 0.01)


class Locking:
    """Locks models of plain URLs, and reads what nobody tells."""

    def __init__(self, forge: Forge, directory: Path) -> None:
        self.forge = forge
        self.directory = directory
        self.lines: list[str] = []

    def __call__(self, *urls: str, credentials: t.Mapping[str, str] | None = None, **more: t.Any) -> list[Entry]:
        settings = ModelResolution(None, None, credentials or {}, False, ())
        reader = ControlNode(settings.ways, Known(self.directory / "model-hashes.json"), self.lines.append)
        models = [
            {
                "name": f"{number}.safetensors",
                "source": url,
                "paths": [f"$MODELS_DIR/loras/{number}.safetensors"],
                "sha256": None,
                "size": None,
                "optional": False,
                **more,
            }
            for number, url in enumerate(urls)
        ]
        settings = ModelResolution(None, None, credentials or {}, False, (), read=reader)
        return resolve_models(models, kept={}, upgrade=(), settings=settings, report=lambda _line: None)

    def refused(self, *urls: str, **more: t.Any) -> FleetError:
        with pytest.raises(FleetError) as caught:
            self(*urls, **more)
        return caught.value

    def reads(self) -> list[t.Any]:
        """The requests for bytes."""
        return [request for request in self.forge.requests if request.method == "GET"]


@pytest.fixture
def lock(forge: Forge, tmp_path: Path) -> Locking:
    return Locking(forge, tmp_path / "cache")


def test_they_are_read_once(lock: Locking) -> None:
    models = [lock.forge.model(f"{number}.safetensors", size=SIZE) for number in range(2)]
    entries = lock(*[model.url for model in models])
    assert [(entry["sha256"], entry["size"]) for entry in entries] == [(model.sha256, SIZE) for model in models]
    assert len(lock.reads()) == 2
    assert "0.safetensors: read 11.0 MB of 11.0 MB for its sha256, " in "\n".join(lock.lines)
    # Locked anew, elsewhere: the server says that they are as they were.
    assert lock(*[model.url for model in models]) == entries
    assert len(lock.reads()) == 2
    lock.forge.model("1.safetensors", size=SIZE, seed="another")
    assert lock(*[model.url for model in models])[1]["sha256"] != entries[1]["sha256"]
    assert len(lock.reads()) == 3


def test_what_breaks_off_is_continued(lock: Locking) -> None:
    model = lock.forge.model("x.safetensors", size=SIZE)
    lock.forge.fault("short-body", "/models/*", methods=("GET",), after=5_000_000, times=2)
    assert lock(model.url)[0]["sha256"] == model.sha256
    assert "range" not in lock.reads()[0].headers
    assert all("if-range" in request.headers for request in lock.reads()[1:])
    assert sum(request.sent for request in lock.reads()) < SIZE + 1_000_000


def test_a_file_that_changes_meanwhile_is_begun_anew(lock: Locking, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lock.forge.model("x.safetensors", size=SIZE)
    lock.forge.fault("short-body", "/models/*", methods=("GET",), after=5_000_000, times=1)
    changed = []

    def change(*_arguments: object) -> None:
        changed.append(lock.forge.model("x.safetensors", size=SIZE, seed="another"))

    monkeypatch.setattr(first_read, "_pause", change)
    assert lock(model.url)[0]["sha256"] == changed[0].sha256


def test_a_server_that_can_not_continue(lock: Locking) -> None:
    model = lock.forge.model("x.safetensors", size=SIZE)
    lock.forge.fault("no-range", "/models/*")
    lock.forge.fault("short-body", "/models/*", methods=("GET",), after=5_000_000, times=1)
    assert lock(model.url)[0]["sha256"] == model.sha256


def test_busy_servers_are_asked_again(lock: Locking) -> None:
    model = lock.forge.model("x.safetensors", size=SIZE)
    lock.forge.fault("status", "/models/*", status=503, methods=("GET",), times=2)
    assert lock(model.url)[0]["sha256"] == model.sha256


def test_all_that_can_not_be_read_at_once(lock: Locking) -> None:
    models = [lock.forge.model(f"{number}.safetensors", size=SIZE) for number in range(3)]
    for number in (0, 2):
        lock.forge.fault("status", f"/models/{number}.safetensors", status=410, methods=("GET",))
    error = lock.refused(*[model.url for model in models])
    assert isinstance(error, Failures)
    assert [fault.where for fault in error.faults] == ["/models/0/source", "/models/2/source"]
    # What came whole is not read again.
    lock.forge.forget_requests()
    lock.refused(*[model.url for model in models])
    assert not any("/1." in request.path for request in lock.reads())


def test_a_page_in_place_of_the_model(lock: Locking) -> None:
    model = lock.forge.model("x.safetensors", size=SIZE)
    lock.forge.fault("html", "/models/*", methods=("GET",))
    assert "gave an HTML page" in str(lock.refused(model.url))


def test_a_token_is_for_its_host(lock: Locking) -> None:
    model = lock.forge.model("x.safetensors", size=SIZE, token="secret", redirects=True)
    assert lock(model.url, credentials={"127.0.0.1": "secret"})[0]["sha256"] == model.sha256
    assert {request.port for request in lock.reads() if "authorization" in request.headers} == {"main"}
    kept = "".join(path.read_text() for path in lock.directory.iterdir())
    assert "secret" not in kept
    assert "models/x" not in kept


@pytest.mark.parametrize("noted", [True, False])
def test_bytes_that_are_kept_are_continued_by_another_process(lock: Locking, tmp_path: Path, noted: bool) -> None:
    model = lock.forge.model("x.safetensors", size=SIZE)
    keep = tmp_path / "kept"
    read = functools.partial(
        first_read.first_read, model.url, "x.safetensors", ModelResolution(None, None, {}, False, ()).access
    )
    fault = lock.forge.fault("short-body", "/models/*", methods=("GET",), after=5_000_000, times=1)
    assert fault
    with pytest.MonkeyPatch.context() as patch, pytest.raises(FleetError):
        patch.setattr(first_read, "ATTEMPTS", 1)
        read(keep=keep)
    assert keep.stat().st_size == 5_000_000
    if not noted:
        first_read.note_beside(keep).unlink()
    lock.forge.forget_requests()
    assert read(keep=keep).sha256 == model.sha256
    assert keep.read_bytes() == model.content.data
    assert sum(request.sent for request in lock.reads()) == (SIZE - 5_000_000 if noted else SIZE)
