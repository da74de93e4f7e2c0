# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking is cheap and never wrong: files are read when there is a reason to, and only then."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.models import receipt
from ansible_collections.comfyops.fleet.plugins.module_utils.models.apply import apply
from ansible_collections.comfyops.fleet.plugins.modules import comfy_drift
from tests.unit.models.conftest import Host, actions, converge, entry, look, named


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was read by this process yet."""
    forget()


def forget() -> None:
    """As if the next look were another process."""
    receipt._read_here.clear()
    receipt._missed_here.clear()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read."""
    files: list[str] = []
    original = receipt._read

    def counted(path: str) -> str:
        files.append(path)
        return original(path)

    monkeypatch.setattr(receipt, "_read", counted)
    return files


def test_what_was_fetched_is_not_read_again(host: Host, read: list[str]) -> None:
    context = host.context(host.model("style.safetensors"))
    converge(context)
    forget()
    assert look(context).changes == ()
    assert read == []


def test_a_truncated_file_is_fetched_again(host: Host) -> None:
    model = host.model("style.safetensors")
    context = host.context(model)
    converge(context)
    os.truncate(host.stored(model), 100)
    [change] = named(look(context))
    assert (change.action, change.name, change.before) == ("fetch", "style.safetensors", "damaged, 100 B")
    converge(context)
    assert host.file("loras/style.safetensors").stat().st_size == 4096


def test_an_edit_of_the_same_size_is_seen_even_with_the_old_times(host: Host) -> None:
    model = host.model("style.safetensors")
    context = host.context(model)
    converge(context)
    stored = host.stored(model)
    before = stored.stat()
    with stored.open("r+b") as stream:
        stream.seek(2000)
        stream.write(b"edited")
    os.utime(stored, ns=(before.st_atime_ns, before.st_mtime_ns))
    forget()
    assert actions(look(context)) == [("fetch", "style.safetensors")]
    converge(context)
    assert list(host.asides()) == [], "the store's own bytes are not worth keeping"


def test_an_edit_right_after_the_converge_is_seen(host: Host) -> None:
    model = host.model("style.safetensors")
    context = host.context(model)
    for _time in range(10):
        converge(context)
        with host.stored(model).open("r+b") as stream:
            stream.write(b"!")
        forget()
        assert actions(look(context)) == [("fetch", "style.safetensors")]


def test_an_edit_within_the_clocks_tick_is_seen_where_writing_is_fast() -> None:
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        layout = Layout(pathlib.Path(directory))
        file = pathlib.Path(directory, "model")
        for _time in range(30):
            file.write_bytes(b"right")
            receipts = receipt.Receipts(layout, deep=False)
            receipts.remember(str(file), "a" * 64)
            receipts.save()
            with file.open("r+b") as stream:
                stream.write(b"wrong")
            forget()
            assert receipt.Receipts(layout, deep=False).known(str(file), file.stat()) is None


def test_a_touched_file_is_read_and_found_right(host: Host, read: list[str]) -> None:
    model = host.model("style.safetensors")
    context = host.context(model)
    converge(context)
    os.utime(host.stored(model))
    forget()
    planned = look(context)
    assert planned.changes == ()
    assert read == [str(host.stored(model))]
    apply(context, planned)
    forget()
    look(context)
    assert len(read) == 1, "applying a plan without changes records what was read"


def test_a_deep_look_reads_every_byte_once(host: Host, read: list[str]) -> None:
    models = [host.model(f"{number}.safetensors") for number in range(3)]
    converge(host.context(*models))
    forget()
    deep = host.context(*models, deep=True)
    look(deep)
    look(deep)
    assert sorted(read) == sorted(str(host.stored(model)) for model in models)


def test_a_deep_look_does_not_believe_receipts(host: Host) -> None:
    model = host.model("style.safetensors")
    context = host.context(model)
    converge(context)
    stored = host.stored(model)
    stored.chmod(0o644)
    stored.write_bytes(bytes(4096))
    path = host.layout.receipts / "models.json"
    document = json.loads(path.read_text())
    status = stored.stat()
    document["files"][str(stored)] |= {"mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
    path.write_text(json.dumps(document))
    forget()
    assert look(context).changes == (), "a forged receipt is believed, which is why there is the deep look"
    assert actions(look(host.context(model, deep=True))) == [("fetch", "style.safetensors")]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 1, "files": 3}', '{"format": 1, "files": {"x": {"y": 1}}}']
)
def test_receipts_that_can_not_be_read_cost_only_time(host: Host, text: str) -> None:
    context = host.context(host.model("style.safetensors"))
    converge(context)
    (host.layout.receipts / "models.json").write_text(text)
    forget()
    assert look(context).changes == ()


def test_looking_writes_nothing(host: Host) -> None:
    context = host.context(host.model("style.safetensors"))
    converge(context)
    (host.layout.receipts / "models.json").unlink()
    before = everything(host.directory / "root")
    forget()
    look(context)
    look(host.context(host.model("style.safetensors"), deep=True))
    assert everything(host.directory / "root") == before


@pytest.mark.parametrize("record", [True, False])
def test_a_look_before_a_converge_may_record_what_it_has_read(
    host: Host, record: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a terabyte that is there by hand is read once, not once by each module of the run."""
    model = host.model("style.safetensors")
    path = host.file("loras/style.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(host.forge.model("style.safetensors").content.data)
    context = host.context(model)
    given = {"lock": dict(context.lock.document), "root": str(host.layout.root), "record": record}
    for check_mode in (True, False):
        with patch_module_args({**given, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
            comfy_drift.main()
        assert host.layout.receipts.exists() == (record and not check_mode)
    forget()
    read: list[str] = []
    original = receipt._read

    def noted(path: str) -> str:
        read.append(path)
        return original(path)

    monkeypatch.setattr(receipt, "_read", noted)
    [adopt] = [change for change in look(context).changes if change.part == "models" and change.action == "adopt"]
    assert adopt.before == str(path)
    assert read == ([] if record else [str(path)])


def everything(root: pathlib.Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino) for path in root.rglob("*")}


def test_a_file_that_can_not_be_read_is_an_error_and_not_absence(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    model = host.model("style.safetensors")
    context = host.context(model)
    converge(context)
    os.utime(host.stored(model))
    forget()

    def broken(path: str) -> str:
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(receipt, "_read", broken)
    with pytest.raises(FleetError, match=r"can not be read: Input/output error"):
        look(context)


def test_receipts_of_files_that_are_gone_are_dropped(host: Host) -> None:
    old, new = host.model("old.safetensors"), host.model("new.safetensors")
    converge(host.context(old))
    host.stored(old).unlink()
    converge(host.context(new))
    document = json.loads((host.layout.receipts / "models.json").read_text())
    assert list(document["files"]) == [str(host.stored(new))]


LOOK = """
import sys, time, pathlib, json
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context, Settings
from ansible_collections.comfyops.fleet.plugins.module_utils.host.layout import Layout
from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import read_lock
from ansible_collections.comfyops.fleet.plugins.module_utils.models.observe import observe
from ansible_collections.comfyops.fleet.plugins.module_utils.models.plan import plan
lock = read_lock(json.loads(pathlib.Path(sys.argv[1]).read_text()))
context = Context(lock, lock.targets["default"], Layout(pathlib.Path(sys.argv[2])), Settings())
begin = time.perf_counter()
planned = plan(context, observe(context))
print(json.dumps([time.perf_counter() - begin, len(planned.changes), sorted(sys.modules)]))
"""


def test_a_look_at_100_files_of_1_gb_takes_far_less_than_a_second(host: Host, tmp_path: pathlib.Path) -> None:
    size = 1_000_000_000
    models, files = [], {}
    for number in range(100):
        sha256 = f"{number:064x}"
        name = f"model{number}.safetensors"
        models.append(entry(name, f"https://models.example/{name}", sha256, size=size))
        stored = host.stored(models[-1])
        stored.parent.mkdir(parents=True, exist_ok=True)
        with stored.open("wb") as stream:
            stream.truncate(size)
        link = host.file(f"loras/{name}")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(stored, link.parent))
        status = stored.stat()
        files[str(stored)] = vars(receipt.record(status, sha256))
    host.layout.receipts.mkdir(parents=True)
    (host.layout.receipts / "models.json").write_text(json.dumps({"format": 1, "files": files, "missed": {}}))
    context = host.context(*models)
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(context.lock.document))
    begin = time.perf_counter()
    assert actions(look(context)) == []
    assert time.perf_counter() - begin < 1
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LOOK, str(lock), str(host.layout.root)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    seconds, changes, modules = json.loads(done.stdout)
    assert (seconds < 0.5, changes) == (True, 1)
    assert not {"ssl", "urllib.request", "http.client", "concurrent.futures.thread"} & set(modules), "a look is light"
