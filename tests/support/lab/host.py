# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of the lab, as its user sees it."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from . import snapshot
from .access import HOST_PYTHON
from .errors import CommandError, LabError
from .network import HOST_DEVICE, Attempt, loss, rate
from .processes import Process, kill_families, running, wait_until

if TYPE_CHECKING:
    from .lab import Lab

BOOT_SECONDS = 60
SUPERVISOR = "tests.support.lab.supervisor"
_SSH_SESSION = re.compile(r"sshd: \S+@")
_REBOOT = signal.SIGRTMIN + 5  # systemd(1), "Signals"


class Entry(NamedTuple):
    """What is at a path: ``kind`` (file, directory, link, ...), permission bits, a file's sha256 or a link's target."""

    kind: str
    mode: int
    content: str


class Host:
    """A bare Debian host with systemd, reached over ssh as ``root`` or as the unprivileged ``comfy``.

    Attributes: ``name`` and ``address`` (as seen from the lab's control namespace).
    """

    def __init__(self, lab: Lab, name: str, address: str) -> None:
        self._lab = lab
        self.name = name
        self.address = address

    def __repr__(self) -> str:
        return f"Host({self.name!r}, {self.address!r})"

    @property
    def _directory(self) -> Path:
        return self._lab.directory / "hosts" / self.name

    # ---- commands and files

    def shell(
        self, script: str, *, user: str = "root", timeout: float = 60, check: bool = True, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run a bash script on the host over ssh, each time over a connection of its own.

        Raises CommandError for a status other than 0 when ``check`` (255 is ssh's own: the host was not reached), and
        LabError after ``timeout`` seconds.
        """
        return self._lab.run(self._ssh(user, script), timeout=timeout, check=check, stdin=stdin)

    def _ssh(self, user: str, script: str) -> list[str]:
        access = self._lab.access
        return ["ssh", *access.options(), "-i", str(access.key), f"{user}@{self.address}", script]

    def put(self, source: Path | bytes, path: str, *, user: str = "root") -> None:
        """Put a file, a tree, or bytes at ``path`` of the host, with the modes they have, owned by ``user``.

        Directories above are made; a tree is laid over what is there.
        """
        target = PurePosixPath(path)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            if isinstance(source, bytes):
                member = tarfile.TarInfo(target.name)
                member.size = len(source)
                tar.addfile(member, io.BytesIO(source))
            else:
                tar.add(source, target.name)
        parent = shlex.quote(str(target.parent))
        script = f"mkdir -p {parent} && tar -C {parent} --no-same-owner -xpf -"
        self.shell(script, user=user, stdin=archive.getvalue())

    def get(self, path: str, target: Path) -> None:
        """Bring a file or tree of the host to ``target``, which must not be there yet."""
        source = PurePosixPath(path)
        pack = f"tar -C {shlex.quote(str(source.parent))} -cf - -- {shlex.quote(source.name)}"
        argv = self._ssh("root", pack)
        with tempfile.TemporaryFile() as archive, tempfile.TemporaryDirectory(dir=target.parent) as beside:
            with self._lab.popen(argv, stdin=subprocess.DEVNULL, stdout=archive, stderr=subprocess.PIPE) as sender:
                errors = sender.communicate(timeout=300)[1].decode(errors="replace")
            if sender.returncode:
                raise CommandError(argv, sender.returncode, "", errors)
            archive.seek(0)
            self._lab.run(["tar", "-C", beside, "-xf", "-"], stdin=archive)
            (Path(beside) / source.name).rename(target)

    def tree(self, path: str) -> dict[str, Entry]:
        """All that is below ``path`` (itself as "."), to compare states byte for byte; empty when it is not there."""
        script = Path(snapshot.__file__).read_bytes()
        found = self.shell(f"{HOST_PYTHON} - {shlex.quote(path)}", stdin=script, timeout=300).stdout
        return {name: Entry(*entry) for name, entry in json.loads(found).items()}

    # ---- processes

    def processes(self) -> list[Process]:
        """All processes of the host, looked at from outside: needs no connection, sends no packet."""
        return self._of_host(running())

    def _of_host(self, around: list[Process]) -> list[Process]:
        leader = self._leader(around)
        return [process for process in around if leader and process.pid_namespace == leader.pid_namespace]

    def _leader(self, around: list[Process]) -> Process | None:
        """The host's systemd: the first of its pid namespace, started from outside of its network."""
        network = self._lab.network_of(self.name)
        inside = {process.pid: process for process in around if process.network_namespace == network}
        return next((one for one in inside.values() if one.inner == 1 and one.parent not in inside), None)

    def kill_processes(self, matching: str | None = None) -> list[Process]:
        """SIGKILL processes of the host with all their descendants, at one moment; give those that were killed.

        ``matching`` is a regular expression to search for in the command lines. Without it, all that was started over
        ssh: the modules that Ansible runs just now and their children, whatever they are called. Ansible then finds
        the host unreachable, since ssh cannot tell a killed command from a lost connection; with the shell above the
        module left alive (``"^/usr/bin/python3"``) it finds that the module failed.
        """

        def choose(around: list[Process]) -> list[Process]:
            mine = self._of_host(around)
            if matching is not None:
                return [process for process in mine if re.search(matching, process.command)]
            sessions = {process.pid for process in mine if _SSH_SESSION.match(process.command)}
            return [process for process in mine if process.parent in sessions and process.pid not in sessions]

        return kill_families(choose)

    # ---- power

    def boot(self) -> None:
        """Start the host, with the files it had, and return when its systemd has started all; raises LabError."""
        if self.processes():
            raise LabError(f"{self.name} is on already")
        boots = self._boots()
        with (self._directory / "supervisor.log").open("ab") as log:
            supervisor = self._lab.popen(
                self._lab.inside([sys.executable, "-m", SUPERVISOR, str(self._directory / "machine.json")]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._lab.python_path(),
            )
        self._await_boot(boots, lambda: supervisor.poll() is not None)

    def reboot(self) -> None:
        """Let the host's systemd reboot, and return when it has started all again."""
        boots = self._boots()
        os.kill(self._running_leader().pid, _REBOOT)
        self._await_boot(boots, lambda: not self._supervisors())

    def power_off(self) -> None:
        """Cut the power: everything stops at this moment, and nothing answers. ``boot`` starts the host again.

        Its files stay as they are. (A real host would also lose what it had not yet synced to its disk.)
        """
        leader = self._running_leader()
        self.link_down()  # First, or the kernel would take leave of those who are connected.
        os.kill(leader.pid, signal.SIGKILL)
        wait_until(lambda: not self._supervisors(), BOOT_SECONDS, f"{self.name} does not stop")

    def _running_leader(self) -> Process:
        leader = self._leader(running())
        if leader is None:
            raise LabError(f"{self.name} is off; start it with boot()")
        return leader

    def _supervisors(self) -> list[Process]:
        configuration = str(self._directory / "machine.json")
        return [process for process in running() if process.command.endswith(f"{SUPERVISOR} {configuration}")]

    def _boots(self) -> int:
        path = self._directory / "boots"
        return int(path.read_text()) if path.exists() else 0

    def _await_boot(self, boots: int, ended: Callable[[], bool]) -> None:
        wait_until(lambda: self._boots() > boots or ended(), BOOT_SECONDS, f"{self.name} does not boot{self._logs()}")
        if self._boots() <= boots:
            raise LabError(f"{self.name} ended instead of booting{self._logs()}")

    def _logs(self) -> str:
        """The ends of what the host and its supervisor wrote."""
        logs = (self._directory / name for name in ("supervisor.log", "console.log"))
        return "".join(f"\n--- {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs if log.exists())

    # ---- faults

    def link_down(self) -> None:
        """Cut the host's network cable."""
        self._lab.control(["ip", "link", "set", self.name, "down"])

    def link_up(self) -> None:
        """Plug the host's network cable in again."""
        self._lab.control(["ip", "link", "set", self.name, "up"])

    def drop(self, percent: int) -> None:
        """Lose ``percent`` of the packets to the host, and of those from it, at random; 0 ends it."""
        self._lab.control(["nft", "-f", "-"], stdin=loss(self.name, percent).encode())

    def limit_rate(self, bytes_per_second: int | None) -> None:
        """Let no more than that through, in each direction; None ends it."""
        ends = (["tc", "qdisc"], self.name), (["tc", "-n", self.name, "qdisc"], HOST_DEVICE)
        for command, device in ends:
            if bytes_per_second is None:
                self._lab.control([*command, "del", "dev", device, "root"])
            else:
                self._lab.control([*command, "replace", "dev", device, "root", *rate(bytes_per_second)])

    def mount_small_disk(self, path: str, size: int) -> None:
        """Mount an empty file system with room for ``size`` bytes at ``path``; gone after a reboot."""
        place = shlex.quote(path)
        self.shell(f"mkdir -p {place} && mount -t tmpfs -o size={size},mode=0755 tmpfs {place}")

    def read_only(self, path: str) -> None:
        """Let nothing be written below ``path``, not even by root (EROFS); ``unmount`` or a reboot ends it."""
        place = shlex.quote(path)
        self.shell(f"mount --bind {place} {place} && mount -o remount,bind,ro {place}")

    def unmount(self, path: str) -> None:
        """Take away what ``mount_small_disk`` or ``read_only`` mounted last at ``path``."""
        self.shell(f"umount {shlex.quote(path)}")

    # ---- what it tried to reach

    def egress(self) -> list[Attempt]:
        """What this host tried to reach since the lab's last ``reset_egress``; see ``Lab.egress``."""
        return self._lab.egress()[self.name]
