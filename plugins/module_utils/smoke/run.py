# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trial itself: a build starts beside what serves, loads its nodes, runs a workflow, ends; new files are listed."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import inspect
import os
import pathlib
import shutil
import socket
import tempfile
import time
import typing as t

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import Failures, FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.context import Context
from ansible_collections.comfyops.fleet.plugins.module_utils.host.serving import serving_build
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.command import (
    OPTIONS_FILE,
    Directories,
    command_line,
    known_options,
    offline_note,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.environment import run_environment
from ansible_collections.comfyops.fleet.plugins.module_utils.launch.kept import KeptProcess
from ansible_collections.comfyops.fleet.plugins.module_utils.nodes import manager
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke import recorder
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.appeared import appeared, look
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.entries import Finding, finding
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.installs import (
    changed_environment,
    differences,
    install_notes,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.nodes import (
    node_faults,
    read_log,
    unusable_classes,
    with_classes,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.origins import (
    Event,
    origin_of,
    read_events,
    written_paths,
)
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.server import WHERE, Server
from ansible_collections.comfyops.fleet.plugins.module_utils.smoke.workflow import outputs, run_workflow

_LOG = "comfyui.log"
_EVENTS = "events.jsonl"
_RECORDER = "recorder"
_RUN_PREFIX = "run-"
_ABANDONED_SECONDS = 86400.0
_LOOK_SECONDS = 0.2
_ANSWER_SECONDS = 10.0
_LAST_WORDS_SECONDS = 1.0
_INFO_SECONDS = 180.0
_SHOWN_LINES = 15
_SHOWN_CLASSES = 5
# They would put it elsewhere than where this asks, open a browser, or keep from the log what is read there.
_WITHOUT = ("--tls-keyfile", "--tls-certfile", "--auto-launch", "--verbose", "--log-stdout", "--quick-test-for-ci")
_CAUSES = (
    ("unrecognized arguments", "Take out of launch.args what this ComfyUI does not know"),
    ("not allowed with argument", "Take one of the two out of launch.args"),
    ("No CUDA GPUs are available", "Look at the host's GPU and driver (nvidia-smi), or use a target for cpu"),
    ("Found no NVIDIA driver", "Look at the host's GPU and driver (nvidia-smi), or use a target for cpu"),
    ("not compiled with CUDA enabled", "Lock the target with torch of the index for its accelerator"),
    ("No module named", "Add the package that brings it to python_packages in the spec, and lock again"),
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """What to try. workflow: in API format, None for none. All times in seconds; gpu: see ``run_environment``."""

    workflow: c.Mapping[str, t.Any] | None = None
    workflow_name: str = "workflow"
    start_seconds: float = 600.0
    workflow_seconds: float = 1800.0
    stop_seconds: float = 30.0
    gpu: str | None = None


@dataclasses.dataclass
class Report:
    """What came out of it, filled as it goes."""

    build: str
    log: str = ""
    version: str | None = None
    start: float | None = None
    node_classes: int | None = None
    workflow: dict[str, t.Any] | None = None
    findings: list[Finding] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    faults: list[FleetError] = dataclasses.field(default_factory=list)

    def result(self) -> dict[str, t.Any]:
        """As the module returns it."""
        return {
            "build": self.build,
            "log": self.log,
            "comfyui_version": self.version,
            "start_seconds": self.start,
            "node_classes": self.node_classes,
            "workflow": self.workflow,
            "appeared": [each.result() for each in self.findings],
            "models": [each.entry for each in self.findings if each.is_complete],
            "notes": self.notes,
        }


class Smoke:
    """One trial of the context's build. Making one looks whether it can be done: raises FleetError."""

    def __init__(self, context: Context, trial: Trial) -> None:
        self._context = context
        self._trial = trial
        self._options = _checked(context)
        self._place = context.layout.data / "smoke"

    def command(self, run: pathlib.Path | None = None, port: int = 0) -> list[str]:
        """The command line. run: the directory of the run; port: 0 stands for one that is free."""
        run = run or self._place / self._context.build_name
        places = Directories(output=run / "output", temp=run, user=run / "user")
        return command_line(self._context, self._options, port=port, directories=places, without=_WITHOUT)

    def run(self) -> Report:
        """Do it; the report's ``faults`` say what is wrong with the build. Raises FleetError for what is in the way."""
        context = self._context
        report = Report(context.build_name, notes=self._notes())
        run = self._new_run()
        try:
            self._prepare(run)
            before, since, other = look(context), time.time(), differences(context)
            self._try(run, report)
            events = read_events(_text(run / _EVENTS))
            report.findings = self._appeared(run, events, before, since)
            report.notes += install_notes(events)
            report.faults += changed_environment(context, other)
        finally:
            report.log = str(self._keep(run) / _LOG)
        return report

    def _notes(self) -> list[str]:
        serving = serving_build(self._context.layout)
        notes = [offline_note(self._context, self._options)]
        if serving != self._context.build_name:
            notes.append(f"the build that serves is {serving or 'none'}; this is {self._context.build_name}")
        return [note for note in notes if note]

    def _new_run(self) -> pathlib.Path:
        """A directory for what this run writes. Raises FleetError where this user may not."""
        self._clear()
        try:
            for directory in (self._place, self._context.layout.data_cache, self._context.layout.models):
                directory.mkdir(parents=True, exist_ok=True)
            return pathlib.Path(tempfile.mkdtemp(dir=self._place, prefix=_RUN_PREFIX))
        except OSError as error:
            raise FleetError(
                f"can not be written ({error.strerror})",
                where=str(error.filename),
                remedy="Run it as the user that ComfyUI runs as: become_user",
            ) from error

    def _clear(self) -> None:
        """Remove what killed runs left, and what is kept of builds that are gone."""
        entries = list(self._place.iterdir()) if self._place.is_dir() else []
        for entry in entries:
            with contextlib.suppress(OSError):
                age = time.time() - entry.stat().st_mtime
                run = entry.name.startswith(_RUN_PREFIX)
                if age > _ABANDONED_SECONDS if run else not (self._context.layout.builds / entry.name).is_dir():
                    shutil.rmtree(entry)

    def _prepare(self, run: pathlib.Path) -> None:
        for name in ("output", "user", _RECORDER):
            (run / name).mkdir()
        own = run / _RECORDER
        calls = f"install({str(run / _EVENTS)!r})\nrun_next({str(own)!r})\n"
        (own / "sitecustomize.py").write_text(f"{inspect.getsource(recorder)}\n\n{calls}", "utf-8")
        if manager.manager_node(self._context.lock) is not None:
            for name in manager.FILES:
                file = run / "user" / name
                file.parent.mkdir(parents=True)
                file.write_text(manager.rendered(None), "utf-8")

    def _try(self, run: pathlib.Path, report: Report) -> None:
        port = _free_port()
        environment = run_environment(self._context, os.environ, gpu=self._trial.gpu)
        environment["PYTHONPATH"] = str(run / _RECORDER)
        began = time.monotonic()
        with KeptProcess(
            self.command(run, port),
            cwd=self._context.home,
            environment=environment,
            log=run / _LOG,
            grace=self._trial.stop_seconds,
        ) as process:
            server = Server(port)
            try:
                system = self._wait(process, server, port, run / _LOG)
                report.start = round(time.monotonic() - began, 1)
                report.version = system.get("comfyui_version")
                self._look_at_nodes(server, run / _LOG, report)
                self._work(process, server, run / _LOG, report)
            except FleetError as error:
                report.faults += _faults(error, process, run / _LOG)

    def _wait(self, process: KeptProcess, server: Server, port: int, log: pathlib.Path) -> dict[str, t.Any]:
        """What /system_stats says, once it answers."""
        deadline = time.monotonic() + self._trial.start_seconds
        while time.monotonic() < deadline:
            _check(process, log)
            try:
                system = dict(server.get("/system_stats", _ANSWER_SECONDS)["system"])
            except (FleetError, TypeError, KeyError):
                process.wait(_LOOK_SECONDS)
                continue
            if str(port) not in system.get("argv", [str(port)]):
                raise FleetError(f"port {port} was taken by another ComfyUI", where=WHERE, remedy="Run it again")
            return system
        raise FleetError(
            f"does not answer within {self._trial.start_seconds:.0f} s. Its last lines:\n{_tail(log)}",
            where=WHERE,
            remedy="Look for what it waits for (a download, an input), or allow more: comfy_smoke_start_timeout",
        )

    def _look_at_nodes(self, server: Server, log: pathlib.Path, report: Report) -> None:
        info = server.get("/object_info", _INFO_SECONDS)
        report.node_classes = len(info)
        unusable = unusable_classes(_text(log))
        if unusable:
            shown = "; ".join(f"{name} ({error})" for name, error in list(unusable.items())[:_SHOWN_CLASSES])
            report.notes.append(f"ComfyUI can not describe {len(unusable)} classes, which no workflow can use: {shown}")
        directories = [node.directory for node in self._context.lock.nodes]
        report.faults += node_faults(directories, read_log(_text(log)), with_classes(info))

    def _work(self, process: KeptProcess, server: Server, log: pathlib.Path, report: Report) -> None:
        trial = self._trial
        if trial.workflow is None:
            return
        began = time.monotonic()
        entry = run_workflow(
            server,
            trial.workflow,
            name=trial.workflow_name,
            seconds=trial.workflow_seconds,
            check=lambda: _check(process, log),
        )
        seconds = round(time.monotonic() - began, 1)
        report.workflow = {"name": trial.workflow_name, "seconds": seconds, "outputs": outputs(entry)}

    def _appeared(self, run: pathlib.Path, events: list[Event], before: t.Any, since: float) -> list[Finding]:
        found = appeared(self._context, before, written_paths(events), since, run)
        return [finding(self._context, item, origin_of(str(item.path), events)) for item in found]

    def _keep(self, run: pathlib.Path) -> pathlib.Path:
        """Leave the log and the pictures, in place of those of the last trial of this build."""
        for name in ("user", "temp", _RECORDER):
            shutil.rmtree(run / name, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            # It may have secrets: URLs as they were asked.
            (run / _EVENTS).unlink()
        kept = self._place / self._context.build_name
        shutil.rmtree(kept, ignore_errors=True)
        run.replace(kept)
        return kept


def _checked(context: Context) -> frozenset[str]:
    """The options of the build's ComfyUI. Raises FleetError where the build is not there."""
    for path in (context.home / "main.py", context.environment / "bin" / "python"):
        if not path.exists():
            raise FleetError(
                f"{path} is not there", where=context.build_name, remedy="Bring the host to this version: realize.yml"
            )
    try:
        return known_options((context.home / OPTIONS_FILE).read_text("utf-8", "replace"))
    except OSError as error:
        what = f"can not be read ({error})"
        raise FleetError(what, where=OPTIONS_FILE, remedy="Repair it with realize.yml") from error


def _check(process: KeptProcess, log: pathlib.Path) -> None:
    if not process.wait(0):
        return
    status = process.returncode or 0
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    text = _tail(log)
    remedy = next((remedy for words, remedy in _CAUSES if words in text), "Look at the log")
    raise FleetError(f"{how}. Its last lines:\n{text}", where=WHERE, remedy=remedy)


def _faults(error: FleetError, process: KeptProcess, log: pathlib.Path) -> list[FleetError]:
    """The faults of a trial; where ComfyUI has ended, that is the fault, and not that it does not answer."""
    if error.where == WHERE:
        try:
            process.wait(_LAST_WORDS_SECONDS)
            _check(process, log)
        except FleetError as end:
            return [end]
    return error.faults if isinstance(error, Failures) else [error]


def _tail(log: pathlib.Path) -> str:
    lines = [line for line in _text(log).splitlines() if line.strip()]
    return "\n".join(lines[-_SHOWN_LINES:]) or "(it printed nothing)"


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
