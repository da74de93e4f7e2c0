# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of test hosts on this machine: start it, run commands beside it, break it, and leave nothing behind."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from . import base, commands, network
from .access import Access, generate_key
from .errors import LabError
from .host import Host
from .kernel import network_namespace
from .machine import Machine
from .processes import wait_until
from .record import DIRECTORY_VARIABLE, Record, Registry
from .requirements import require

CHECKOUT = Path(__file__).resolve().parents[3]
TEARDOWN_SECONDS = 30


def default_cache() -> Path:
    """Where base trees and the records of running labs are, unless a caller says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "comfyops-fleet/lab"


class Lab:
    """Bare systemd hosts in namespaces of this machine, and a control namespace that reaches them and nothing else.

    ``directory`` is for this lab alone: made by it and removed with it (a temporary one when None). ``cache`` keeps the
    base tree between labs. Use as a context manager; whatever ends the process that entered it (an exception,
    SIGKILL), all of the lab goes. Raises LabError.
    """

    address = network.CONTROL_ADDRESS
    """The control namespace's own address: where hosts reach what ``popen`` serves there."""

    def __init__(self, directory: Path | None = None, cache: Path | None = None) -> None:
        own = Path(tempfile.gettempdir()) / f"comfy-lab-{uuid.uuid4().hex[:8]}"
        self.directory = (directory or own).absolute()
        self.access = Access(self.directory / "ssh")
        self._registry = Registry((cache or default_cache()).absolute())
        self._hosts: list[Host] = []
        self._record: Record | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    # ---- life

    def __enter__(self) -> Lab:
        self.open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def open(self, *, owned: bool = True) -> None:
        """Make the namespaces. When not ``owned`` they outlive this process, until ``close`` of an attached lab."""
        require()
        with self._registry.starting():
            self._make_directory()
            self._start_keeper(owned)
        try:
            self._record = self._registry.running(self.directory)
            self.access.create()
            self.control(["nft", "-f", "-"], stdin=network.RULES.encode())
        except BaseException:
            self.close()
            raise

    @classmethod
    def attach(cls, directory: Path, cache: Path | None = None) -> Lab:
        """The lab that another process has running in ``directory``; LabError when there is none."""
        lab = cls(directory, cache)
        lab._record = lab._registry.running(lab.directory)
        machines = [Machine.read(path) for path in (lab.directory / "hosts").glob("*/machine.json")]
        machines.sort(key=lambda machine: (len(machine.name), machine.name))
        lab._hosts.extend(Host(lab, machine.name, machine.address) for machine in machines)
        return lab

    def close(self) -> None:
        """End everything that runs in the lab, and remove it. Harmless when it is closed already."""
        if self._record is not None:
            self._record.keeper.terminate()
        if self._keeper is not None:
            self._await_keeper(self._keeper)
        elif self._record is not None:
            keeper = self._record.keeper
            wait_until(lambda: not keeper.alive, TEARDOWN_SECONDS, f"the lab in {self.directory} does not end")
        for process in self._processes:
            process.wait(TEARDOWN_SECONDS)
        self._keeper = self._record = None
        self._hosts.clear()
        self._processes.clear()

    def _make_directory(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            raise LabError(f"{self.directory} is not empty: a lab needs a directory for itself, which it also removes")
        (self.directory / "hosts").mkdir()

    def _start_keeper(self, owned: bool) -> None:
        """Start the keeper, which lives for as long as our end of its standard input is open."""
        argv = [sys.executable, "-m", "tests.support.lab.keeper", str(self.directory), str(self._registry.cache)]
        with (self.directory / "keeper.log").open("wb") as log:
            self._keeper = subprocess.Popen(
                [*argv, str(os.getpid()) if owned else "-"],
                stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=commands.environment(self.python_path()),
                start_new_session=True,
            )
        if self._keeper.stdout is None or self._keeper.stdout.readline() != b"ready\n":
            self._keeper.wait()
            log_text = (self.directory / "keeper.log").read_text()
            shutil.rmtree(self.directory)
            raise LabError(f"the lab could not be set up:\n{log_text}")
        self._keeper.stdout.close()

    def _await_keeper(self, keeper: subprocess.Popen[bytes]) -> None:
        for stream in (keeper.stdin, keeper.stdout):
            if stream is not None:
                stream.close()
        try:
            status = keeper.wait(TEARDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
            raise LabError(f"the keeper of the lab in {self.directory} did not end and was killed") from None
        if status:
            log = self.directory / "keeper.log"
            raise LabError(f"the lab was not taken away cleanly:\n{log.read_text() if log.exists() else ''}")

    def _first(self) -> int:
        if self._record is None:
            raise LabError("the lab is not open: use it as a context manager")
        return self._record.first

    # ---- hosts

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The hosts in the order of their names: host1, host2, ..."""
        return tuple(self._hosts)

    def start(self, count: int) -> list[Host]:
        """Boot ``count`` more hosts, all at once, and give them when all their services have started."""
        tree = base.ensure(self._registry.cache)
        first = len(self._hosts) + 1
        if first + count - 1 > network.LAST_HOST - network.FIRST_HOST + 1:
            raise LabError(f"{first + count - 1} hosts are more than the lab has addresses for")
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            hosts = list(pool.map(lambda index: self._prepare(index, tree), range(first, first + count)))
            self._hosts.extend(hosts)
            list(pool.map(Host.boot, hosts))
        return hosts

    def _prepare(self, index: int, tree: Path) -> Host:
        host = Host(self, f"host{index}", network.address_of(index))
        directory = self.directory / "hosts" / host.name
        directory.mkdir()
        key = directory / "host_key"
        generate_key(key)
        self.access.add_host(host.address, key.with_suffix(".pub").read_text())
        self.control(["nft", "-f", "-"], stdin=network.chains(host.name).encode())
        groups = self._record.control_groups if self._record else ()
        Machine(
            name=host.name,
            address=host.address,
            base=str(tree),
            control_groups=tuple(str(group / host.name) for group in groups),
            authorized_key=self.access.authorized_key(),
            host_key=str(key),
        ).write(directory / "machine.json")
        return host

    def inventory(self, user: str = "root", *, own_ssh_args: bool = True) -> Path:
        """Write an Ansible inventory (YAML) of the hosts, group ``comfy``; ``user`` is ``root`` or ``comfy``.

        With ``own_ssh_args`` a cut link is noticed within seconds; else ``ssh_args`` are those of the ansible.cfg.
        """
        addresses = {host.name: host.address for host in self._hosts}
        return self.access.inventory(addresses, user, own_ssh_args=own_ssh_args)

    # ---- commands beside the hosts

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Run the body, in this thread, in the control namespace: sockets opened and processes started are there."""
        with Path(f"/proc/{self._first()}/ns/net").open() as control, network_namespace(control.fileno()):
            yield

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a command in the control namespace. ``options`` as of subprocess.Popen, but ``env`` is added to ours.

        ``close`` kills it, with whatever it has left in the background, and waits for its end.
        """
        process = self._spawn(argv, **options)
        self._processes.append(process)
        return process

    def _spawn(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        options["env"] = {**commands.environment(options.get("env")), DIRECTORY_VARIABLE: str(self.directory)}
        with self.entered():
            return subprocess.Popen(argv, **options)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        check: bool = True,
        stdin: bytes | IO[bytes] = b"",
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in the control namespace, where the hosts are and the outside is not.

        ``env`` is added to this process's environment. Raises CommandError for a status other than 0 when ``check``,
        and LabError after ``timeout`` seconds, when it is killed with its children.
        """
        return commands.run(argv, env=env, timeout=timeout, check=check, stdin=stdin, cwd=cwd, start=self._spawn)

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The command that runs ``argv`` in all namespaces of the lab: among its mounts, devices and processes."""
        return ["nsenter", f"--target={self._first()}", "--mount", "--net", "--pid", "--", *argv]

    def control(self, argv: Sequence[str], stdin: bytes = b"") -> str:
        """Run ``argv`` inside the lab and give its output; for the lab's own network and mounts."""
        return self.run(self.inside(argv), stdin=stdin).stdout

    def python_path(self) -> dict[str, str]:
        """The environment in which this package's own processes find it."""
        return {"PYTHONPATH": str(CHECKOUT)}

    def network_of(self, host: str) -> int | None:
        """The inode of the host's network namespace, which identifies it; None before the host's first boot."""
        try:
            return Path(f"/proc/{self._first()}/root/run/netns/{host}").stat().st_ino
        except FileNotFoundError:
            return None

    # ---- what hosts tried to reach

    def egress(self) -> dict[str, list[network.Attempt]]:
        """What each host tried to reach since the start or the last reset: other hosts, the control node, the outside.

        Answers to those who reach the host (such as its ssh connections) do not count.
        """
        command = ["nft", "--json", "list", "set", *network.TABLE.split()]
        listings = [self.control([*command, name]) for name in network.EGRESS_SETS]
        return network.attempts(listings, (host.name for host in self._hosts))

    def egress_counts(self) -> dict[str, int]:
        """How many packets each host sent to open a connection or to ask something: ``egress``, summed up."""
        return {host: sum(attempt.packets for attempt in tried) for host, tried in self.egress().items()}

    def reset_egress(self) -> None:
        """Count from here."""
        for name in network.EGRESS_SETS:
            self.control(["nft", "flush", "set", *network.TABLE.split(), name])
