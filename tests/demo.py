# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: a version on three machines, all of them directories here, and a forge in place of the internet."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import typing as t

from tests.support.comfyui import ComfyUI
from tests.support.playbook import CHECKOUT, Playbooks, Run

if t.TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = CHECKOUT / ".demo"
MACHINES = ("machine1", "machine2", "machine3")
DAMAGED = "machine2"
FORGE_SECONDS = 30.0
IN_SYNC, DRIFTED = 0, 2
_REPORT_LINE = re.compile(r"machine\d: |  (core|nodes|packages|models|current|obstacle|note)[ :]")


class DemoFailed(Exception):
    """A step did not show what it is there to show."""


class Demo:
    """The steps, each with what it showed."""

    def __init__(self, playbooks: Playbooks, workflow: dict[str, t.Any]) -> None:
        self._playbooks = playbooks
        self._workflow = workflow
        self._shown: list[str] = []
        self._begin = time.monotonic()

    def run(self) -> list[str]:
        """All steps in order; gives what they showed, a line each."""
        self._realize()
        self._damage()
        self._show_drift()
        self._repair()
        self._work()
        return self._shown

    def _realize(self) -> None:
        self._step("Lock versions/demo.json and realize it on three bare machines")
        first = self._play("realize")
        self._require(all(first.recap[name]["changed"] for name in MACHINES), "every machine changes")
        self._note(f"realized on {len(MACHINES)} bare machines in {self._seconds()}: {first.changed} changed tasks")
        self._step("Realize it again")
        before = self._requests()
        second = self._play("realize")
        self._require(second.changed == 0, "the second run changes nothing")
        self._require(self._requests() == before, "the second run asks the network nothing")
        self._note(f"second run in {self._seconds()}: 0 changed tasks, no request to the network")

    def _damage(self) -> None:
        self._step(f"Damage {DAMAGED}: edit a node, remove a package, cut a model short, add a foreign node")
        home = current(DAMAGED)
        with (home / "custom_nodes/comfyui-palette/__init__.py").open("a") as stream:
            stream.write("# a late-night fix\n")
        site = next((home / ".venv/lib").glob("python3*/site-packages"))
        removed = sorted(path for path in site.iterdir() if path.name in ("swatchbook", "swatchbook.py"))
        self._require(bool(removed), "the package to remove is there")
        for path in removed:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        model = next(path for path in sorted((machine(DAMAGED) / "store/sha256").rglob("*")) if path.is_file())
        model.chmod(0o644)
        with model.open("r+b") as stream:
            stream.truncate(1000)
        foreign = home / "custom_nodes/somebody-elses-node"
        foreign.mkdir()
        (foreign / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")

    def _show_drift(self) -> None:
        self._step("Show the drift")
        report = DIRECTORY / "drift.json"
        drift = self._play("drift", expect=DRIFTED, comfy_report=str(report))
        hosts = json.loads(report.read_text())["hosts"]
        print("\n".join(line for line in drift.output.splitlines() if _REPORT_LINE.match(line)))
        statuses = {name: hosts[name]["status"] for name in MACHINES}
        wanted = {name: "drifted" if name == DAMAGED else "in sync" for name in MACHINES}
        self._require(statuses == wanted, "only the damaged machine has drifted")
        parts = {action["part"] for action in hosts[DAMAGED]["actions"]}
        self._require({"nodes", "packages", "models"} <= parts, "all of the damage is seen")
        self._note(f"drift: {len(hosts[DAMAGED]['actions'])} differences on {DAMAGED}, none elsewhere (exit status 2)")

    def _repair(self) -> None:
        self._step("Repair it")
        repaired = self._play("realize")
        self._require(repaired.recap[DAMAGED]["changed"] > 0, "the damaged machine changes")
        self._require(
            all(repaired.recap[name]["changed"] == 0 for name in MACHINES if name != DAMAGED), "no other does"
        )
        kept = [path for path in (machine(DAMAGED) / "state/aside").rglob("*") if path.is_file()]
        self._note(f"repaired {DAMAGED} only; {len(kept)} file(s) of the damage kept aside in state/aside")

    def _work(self) -> None:
        self._step("Start ComfyUI on machine1 and run a workflow")
        home = current("machine1")
        with ComfyUI(home, DIRECTORY / "comfyui.log") as comfy:
            stats = comfy.get("/system_stats")["system"]
            nodes = comfy.get("/object_info")
            comfy.run(self._workflow)
        pictures = sorted((machine("machine1") / "data/output").glob("*.png"))
        self._require(bool(pictures), "the workflow leaves a picture")
        self._note(f"ComfyUI {stats['comfyui_version']} served {len(nodes)} node classes and made {pictures[0].name}")
        self._step("Look for drift once more: ComfyUI and its nodes have written files")
        self._play("drift", expect=IN_SYNC)
        self._note("still in sync: what ComfyUI and its nodes write is data, not drift (exit status 0)")

    def _requests(self) -> int:
        return len((DIRECTORY / "forge/requests.jsonl").read_text().splitlines())

    def _play(self, name: str, expect: int = 0, **variables: t.Any) -> Run:
        print(f"$ ansible-playbook playbooks/{name}.yml -e version=demo", flush=True)
        run = self._playbooks.run(name, **variables)
        if run.returncode != expect:
            raise DemoFailed(f"exit status {run.returncode}, not {expect}:\n{run.command}\n{run.output}")
        for host, counts in run.recap.items():
            print(f"  {host}: ok={counts['ok']} changed={counts['changed']} failed={counts['failed']}")
        return run

    def _step(self, what: str) -> None:
        self._begin = time.monotonic()
        print(f"\n== {what}", flush=True)

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._begin:.1f} s"

    def _note(self, line: str) -> None:
        self._shown.append(line)

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise DemoFailed(f"did not hold: {what}")


def machine(name: str) -> pathlib.Path:
    """The root of a machine."""
    return DIRECTORY / "machines" / name


def current(name: str) -> pathlib.Path:
    """The build that a machine serves."""
    return (machine(name) / "current").resolve()


@contextlib.contextmanager
def forge() -> Iterator[dict[str, t.Any]]:
    """A forge with the demo's content; gives what it says of itself: variables and environment for runs, workflows."""
    ready = DIRECTORY / "forge.json"
    command = [sys.executable, "-m", "tests.support.forge", "--demo", "--directory", str(DIRECTORY / "forge")]
    process = subprocess.Popen([*command, "--ready", str(ready)], cwd=CHECKOUT)
    try:
        deadline = time.monotonic() + FORGE_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed("the forge did not start")
            time.sleep(0.05)
        yield json.loads(ready.read_text())
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    """Run the demo; the exit status says whether it showed everything."""
    begin = time.monotonic()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    versions = DIRECTORY / "versions"
    versions.mkdir(parents=True)
    shutil.copy(CHECKOUT / "versions/demo.json", versions)
    try:
        with forge() as made:
            common = {**made["variables"], "version": "demo", "comfy_versions_dir": str(versions)}
            shown = Demo(Playbooks(common, environment=made["environment"]), made["model_workflow"]).run()
    except DemoFailed as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    print(f"\n== What this showed, in {time.monotonic() - begin:.0f} s")
    for line in shown:
        print(f"  - {line}")
    print(f"\nThe machines are in {DIRECTORY}/machines; the lock is {versions}/demo.lock.json.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
