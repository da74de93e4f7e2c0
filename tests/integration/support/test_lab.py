# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet lab: what other tests rely on when they break hosts and look at what is left."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.lab import CommandError, Host, Lab, LabError, base, default_cache, require, requirements
from tests.support.lab.__main__ import main as command_line
from tests.support.lab.processes import running, wait_until
from tests.support.lab.record import Registry
from tests.support.lab.testing import demand_lab

CHECKOUT = Path(__file__).resolve().parents[3]
ANSIBLE = Path(sys.executable).with_name("ansible")
# An address for documentation (RFC 5737): nobody has it.
OUTSIDE = "192.0.2.1"
UNIT = """\
[Unit]
Description=A service of the test
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    demand_lab()
    with Lab() as opened:
        opened.start(3)
        yield opened


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    """The first host, with its link as it should be afterwards too."""
    first = lab.hosts[0]
    yield first
    first.link_up()
    first.drop(0)


@pytest.fixture
def without_lab() -> None:
    """For tests that make labs of their own."""
    demand_lab()


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory with a path short enough for sockets below it, which pytest's own need not have."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def connect(lab: Lab, address: str, port: int, seconds: float = 1) -> str:
    """What a server says first to somebody in the control namespace."""
    with lab.entered(), socket.create_connection((address, port), seconds) as connection:
        return connection.recv(100).decode()


@contextlib.contextmanager
def server(lab: Lab, directory: Path) -> Iterator[str]:
    """Serve a directory over HTTP in the control namespace; the address for the hosts."""
    argv = [sys.executable, "-u", "-m", "http.server", "--bind", lab.address, "--directory", str(directory), "0"]
    with lab.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        match = re.search(r"port (\d+)", process.stdout.readline().decode())
        assert match is not None
        yield f"http://{lab.address}:{match[1]}"
        process.terminate()


def fetch(url: str, seconds: int = 5) -> str:
    """A script that fetches ``url`` on a host."""
    return f"python3 -c 'import urllib.request as r; print(r.urlopen(\"{url}\", timeout={seconds}).read())'"


# ---- what hosts are


def test_hosts_boot_and_are_as_bare_as_a_fresh_machine(lab: Lab) -> None:
    for host in lab.hosts:
        assert host.shell("hostname; systemctl is-system-running; systemctl --failed --quiet").stdout.split() == [
            host.name,
            "running",
        ]
    first = lab.hosts[0]
    first.shell("command -v git python3 sudo ip sshd ps")
    assert first.shell("command -v pip pip3 uv curl wget rsync gcc", check=False).stdout == ""
    assert "No module named pip" in first.shell("python3 -m pip", check=False).stderr
    assert "ensurepip is not" in first.shell("python3 -m venv /tmp/venv", check=False).stdout


def test_each_host_has_its_own_identity(lab: Lab) -> None:
    files = "/etc/machine-id /proc/sys/kernel/random/boot_id"
    of_hosts = [
        host.shell(f"cat {files} && ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key").stdout for host in lab.hosts
    ]
    for values in zip(*(text.splitlines() for text in of_hosts), strict=True):
        assert len({*values, ""}) == 4, values


def test_a_host_is_known_by_its_key(lab: Lab) -> None:
    """Who answers with another key is refused: the known hosts are really checked."""
    first, second, _third = lab.hosts
    argv = first._ssh("root", "true")
    swapped = [f"HostKeyAlias={second.address}", *argv[1:]]
    refused = lab.run([argv[0], "-o", *swapped], check=False)
    assert refused.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr


def test_commands_tell_how_they_ended(host: Host) -> None:
    result = host.shell("id --user --name; cat; echo problem >&2; exit 3", user="comfy", check=False, stdin=b"input")
    assert (result.returncode, result.stdout, result.stderr) == (3, "comfy\ninput", "problem\n")
    with pytest.raises(CommandError, match=r"exit status 3 of: ssh(.|\n)*problem"):
        host.shell("echo problem >&2; exit 3")
    with pytest.raises(LabError, match=r"killed after 0\.5 s"):
        host.shell("sleep 60", timeout=0.5)


def test_the_unprivileged_user_cannot_write_as_root(host: Host) -> None:
    assert host.shell("touch /opt/file", user="comfy", check=False).returncode != 0
    assert host.shell("sudo --non-interactive true", user="comfy", check=False).returncode != 0


# ---- Ansible and files


@pytest.mark.parametrize("user", ["root", "comfy"])
def test_ansible_reaches_all_hosts_over_ssh(lab: Lab, user: str) -> None:
    argv = [str(ANSIBLE), "--inventory", str(lab.inventory(user)), "--module-name", "ansible.builtin.command"]
    result = lab.run([*argv, "--args", "id --user --name", "all"])
    answers = re.findall(r"^(host\d) \| CHANGED \| rc=0 >>\n(.*)$", result.stdout, re.MULTILINE)
    assert sorted(answers) == [(host.name, user) for host in lab.hosts]
    assert list(lab.access.sockets.iterdir()), "connections are shared, in the lab's directory"


def test_files_come_and_go_as_they_are(host: Host, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub dir").mkdir(parents=True)
    (source / "sub dir/script.sh").write_bytes(b"#!/bin/sh\n")
    (source / "sub dir/script.sh").chmod(0o750)
    (source / "link").symlink_to("/nowhere")
    host.put(source, "/opt/put/copy")
    host.put(b"\x00\xff", "/opt/put/bytes")
    assert host.tree("/opt/put/copy") == {
        ".": ("directory", 0o755, ""),
        "sub dir": ("directory", 0o755, ""),
        "sub dir/script.sh": ("file", 0o750, "a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf"),
        "link": ("link", 0o777, "/nowhere"),
    }
    host.get("/opt/put/copy", tmp_path / "back")
    host.get("/opt/put/bytes", tmp_path / "bytes")
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    assert (tmp_path / "back/link").readlink() == Path("/nowhere")
    assert (tmp_path / "back/sub dir/script.sh").stat().st_mode & 0o777 == 0o750
    with pytest.raises(CommandError, match="No such file"):
        host.get("/opt/put/nothing", tmp_path / "nothing")


def test_a_tree_shows_every_change_and_no_more(host: Host) -> None:
    host.shell("mkdir -p /opt/tree && cd /opt/tree && echo a > file && ln -s file link && mkfifo pipe")
    before = host.tree("/opt/tree")
    host.shell("touch --date=2001-01-01 /opt/tree/file")
    assert host.tree("/opt/tree") == before
    for change in ("echo b > file", "chmod 600 file", "ln -sfn other link", "rm pipe && touch new", "chmod 700 ."):
        host.shell(f"cd /opt/tree && {change}")
        after = host.tree("/opt/tree")
        assert after != before, change
        before = after
    assert host.tree("/opt/nothing") == {}


# ---- power and services


def test_a_unit_starts_and_survives_a_reboot(host: Host) -> None:
    host.put(UNIT.encode(), "/etc/systemd/system/lab-unit.service")
    host.shell("systemctl enable --quiet --now lab-unit && systemctl is-active lab-unit")
    state = "cat /proc/sys/kernel/random/boot_id; systemctl show --property=MainPID lab-unit"
    before = host.shell(state).stdout
    host.reboot()
    assert host.shell("systemctl is-active lab-unit").stdout == "active\n"
    assert host.shell(state).stdout.split()[0] != before.split()[0]


def test_services_of_the_same_name_do_not_meet(lab: Lab) -> None:
    """Hosts that shared a control group would stop each other's services."""
    first, second, _third = lab.hosts
    for host in (first, second):
        host.put(UNIT.encode(), "/etc/systemd/system/same.service")
        host.shell("systemctl start same")
    before = second.shell("systemctl show --property=MainPID,ActiveState,NRestarts same").stdout
    first.shell("systemctl kill --signal=KILL same; systemctl stop same")
    assert "ActiveState=active" in before
    assert second.shell("systemctl show --property=MainPID,ActiveState,NRestarts same").stdout == before
    for host in lab.hosts:
        groups = host.shell("cat $(find /sys/fs/cgroup -path '*/ssh.service/cgroup.procs')").stdout.split()
        assert groups
        assert "0" not in groups, "a process of another host is in the group"


def test_a_host_without_power_is_silent_and_keeps_its_files(lab: Lab, host: Host) -> None:
    host.shell("echo kept > /opt/kept")
    assert connect(lab, host.address, 22).startswith("SSH-2.0")
    host.power_off()
    assert host.processes() == []
    with pytest.raises(TimeoutError):
        connect(lab, host.address, 22, seconds=0.5)
    with pytest.raises(LabError, match="host1 is off"):
        host.reboot()
    host.boot()
    assert host.shell("cat /opt/kept").stdout == "kept\n"
    with pytest.raises(LabError, match="host1 is on"):
        host.boot()


# ---- faults


def test_a_cut_link_is_cut_until_it_is_back(lab: Lab, host: Host) -> None:
    host.link_down()
    with pytest.raises(OSError, match="timed out"):
        connect(lab, host.address, 22, seconds=0.5)
    assert connect(lab, lab.hosts[1].address, 22).startswith("SSH-2.0")
    host.link_up()
    assert connect(lab, host.address, 22, seconds=3).startswith("SSH-2.0")


def test_ansible_gives_a_host_up_that_is_cut_off_under_it(lab: Lab, host: Host) -> None:
    argv = [str(ANSIBLE), "--inventory", str(lab.inventory()), "--module-name", "ansible.builtin.command"]
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(lab.run, [*argv, "--args", "sleep 60", host.name], check=False)
        wait_until(lambda: any(found.command == "sleep 60" for found in host.processes()), 10, "no module")
        host.link_down()
        cut = time.monotonic()
        result = playing.result(timeout=30)
    assert result.returncode == 4
    assert time.monotonic() - cut < 12
    host.link_up()
    assert host.kill_processes("^sleep 60$"), "what a host does when nobody hears it, it goes on doing"


def test_a_killed_module_is_a_failed_module(lab: Lab, host: Host) -> None:
    argv = [str(ANSIBLE), "--inventory", str(lab.inventory()), "--module-name", "ansible.builtin.command"]
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(lab.run, [*argv, "--args", "sleep 64", host.name], check=False)
        wait_until(lambda: any(found.command == "sleep 64" for found in host.processes()), 10, "no module")
        assert "sleep 64" in {process.command for process in host.kill_processes("^/usr/bin/python3")}
        result = playing.result(timeout=10)
    assert result.returncode == 2
    assert "Killed" in result.stdout or "137" in result.stdout


RECEIVER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind((sys.argv[1], 0))
    receiver.settimeout(0.5)
    print(receiver.getsockname()[1], flush=True)
    count = 0
    try:
        while receiver.recv(10):
            count += 1
    except TimeoutError:
        print(count)
"""
SENDER = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for _ in range(300):
        sender.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
        time.sleep(0.0005)
"""


def datagrams_that_pass(lab: Lab, host: Host, *, to_host: bool) -> int:
    """How many of 300 datagrams pass the link of ``host``."""
    on_host = lab.inside(["ip", "netns", "exec", host.name])
    receiving, sending = (on_host, []) if to_host else ([], on_host)
    address = host.address if to_host else lab.address
    with lab.popen([*receiving, sys.executable, "-c", RECEIVER, address], stdout=subprocess.PIPE) as receiver:
        assert receiver.stdout is not None
        port = receiver.stdout.readline().decode().strip()
        lab.run([*sending, sys.executable, "-c", SENDER, address, port])
        return int(receiver.stdout.readline())


@pytest.mark.parametrize("to_host", [False, True])
def test_packets_are_lost_in_about_the_proportion_asked_for(lab: Lab, host: Host, to_host: bool) -> None:
    host.drop(40)
    assert 120 < datagrams_that_pass(lab, host, to_host=to_host) < 240
    assert datagrams_that_pass(lab, lab.hosts[1], to_host=to_host) == 300
    host.drop(100)
    assert datagrams_that_pass(lab, host, to_host=to_host) == 0
    host.drop(0)
    assert datagrams_that_pass(lab, host, to_host=to_host) == 300
    with pytest.raises(LabError, match="101 is no percentage"):
        host.drop(101)


def test_a_slow_link_is_slow_both_ways(host: Host, tmp_path: Path) -> None:
    def seconds(number: int) -> float:
        start = time.monotonic()
        host.put(b"x" * 200_000, "/opt/slow")
        host.get("/opt/slow", tmp_path / str(number))
        return time.monotonic() - start

    fast = seconds(1)
    host.limit_rate(300_000)
    slow = seconds(2)
    host.limit_rate(600_000)
    faster = seconds(3)
    host.limit_rate(None)
    again = seconds(4)
    assert slow > fast + 1.0
    assert slow - 0.3 > faster > fast + 0.3
    assert again < faster


def test_a_small_disk_is_full_soon(host: Host) -> None:
    host.mount_small_disk("/opt/small", 1_000_000)
    assert int(host.shell("df --output=size --block-size=1 /opt/small | tail -1").stdout) in range(900_000, 1_100_000)
    full = host.shell("head -c 2000000 /dev/zero > /opt/small/file", check=False)
    assert "No space left on device" in full.stderr
    host.unmount("/opt/small")
    assert host.tree("/opt/small").keys() == {"."}


def test_a_read_only_path_is_so_for_root_too(host: Host) -> None:
    host.shell("mkdir -p /opt/fixed && echo a > /opt/fixed/file")
    host.read_only("/opt/fixed")
    assert "Read-only file system" in host.shell("echo b > /opt/fixed/file", check=False).stderr
    host.unmount("/opt/fixed")
    host.shell("echo b > /opt/fixed/file")


# ---- processes


def test_what_runs_over_ssh_is_killed_with_its_children_and_nothing_else(host: Host) -> None:
    script = 'python3 -c \'import subprocess as s; s.Popen(["setsid", "sleep", "61"]); s.run(["sleep", "62"])\''
    host.shell("systemd-run --quiet --unit=bystander sleep 63")
    with ThreadPoolExecutor(1) as pool:
        module = pool.submit(host.shell, script, check=False)
        for sleep in ("sleep 61", "sleep 62"):
            wait_until(lambda: any(found.command == sleep for found in host.processes()), 5, "no child")  # noqa: B023
        killed = host.kill_processes()
        assert module.result(timeout=10).returncode != 0
    assert {"sleep 61", "sleep 62"} < {process.command for process in killed}
    left = {process.command for process in host.processes()}
    assert "/usr/bin/sleep 63" in left
    assert not {"sleep 61", "sleep 62"} & left
    assert [process.command for process in host.kill_processes(r"sleep 6\d$")] == ["/usr/bin/sleep 63"]


def test_processes_of_other_hosts_and_of_this_machine_are_left_alone(lab: Lab, host: Host) -> None:
    other = lab.hosts[1]
    for started in (host, other):
        started.shell("systemd-run --quiet --unit=same-command sleep 71")
    with subprocess.Popen(["sleep", "71"]) as here:
        try:
            assert len(host.kill_processes("sleep 71$")) == 1
            assert here.poll() is None
        finally:
            here.kill()
    assert len(other.kill_processes("sleep 71$")) == 1


# ---- networks


def test_hosts_reach_servers_of_the_control_namespace(lab: Lab, host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("served")
    with server(lab, tmp_path) as url:
        assert host.shell(fetch(f"{url}/file")).stdout == "b'served'\n"
        with lab.entered(), urllib.request.urlopen(f"{url}/file") as answer:
            assert answer.read() == b"served"


def test_nobody_reaches_the_outside_and_all_are_told_so_at_once(lab: Lab, host: Host) -> None:
    start = time.monotonic()
    for script in (fetch(f"http://{OUTSIDE}/"), fetch("http://name.example/")):
        assert "urlopen error" in host.shell(script, check=False).stderr
    with lab.entered(), pytest.raises(OSError, match="unreachable"):
        socket.create_connection((OUTSIDE, 80), 5)
    assert time.monotonic() - start < 4


def test_what_hosts_try_to_reach_is_counted(lab: Lab, tmp_path: Path) -> None:
    first, second, third = lab.hosts
    lab.reset_egress()
    for host in lab.hosts:
        host.shell("true")
        assert connect(lab, host.address, 22).startswith("SSH-2.0")
    assert lab.egress_counts() == {"host1": 0, "host2": 0, "host3": 0}
    with server(lab, tmp_path) as url:
        first.shell(fetch(url))
    first.shell(fetch("http://name.example/"), check=False)
    second.shell(fetch(f"http://{OUTSIDE}:8080/"), check=False)
    second.shell(f"bash -c '</dev/tcp/{third.address}/22'")
    ports = {(tried.protocol, tried.address) for tried in first.egress()}
    assert ports == {("tcp", lab.address), ("udp", lab.address)}
    assert [str(tried) for tried in second.egress()] == [
        f"1 x tcp {third.address}:22",
        f"1 x tcp {OUTSIDE}:8080",
    ]
    assert third.egress() == []
    counts = lab.egress_counts()
    assert (counts["host2"], counts["host3"]) == (2, 0)
    lab.reset_egress()
    assert set(lab.egress_counts().values()) == {0}


# ---- what is left


@dataclasses.dataclass(frozen=True)
class Watch:
    """Where a lab in ``directory`` may leave traces; ``of`` a lab that runs also in its networks and control groups."""

    directory: Path
    networks: frozenset[int] = frozenset()
    control_groups: tuple[Path, ...] = ()

    @classmethod
    def of(cls, lab: Lab) -> Watch:
        """What there is to watch of a lab that runs."""
        record = Registry(default_cache()).running(lab.directory)
        networks = {Path(f"/proc/{record.first}/ns/net").stat().st_ino}
        networks.update(network for host in lab.hosts if (network := lab.network_of(host.name)) is not None)
        return cls(lab.directory, frozenset(networks), record.control_groups)

    def traces(self) -> dict[str, list[str]]:
        """What there is on this machine; empty when there is nothing, but for what is there without labs too."""
        records = Registry(default_cache()).records()
        return {
            "mounts": Path("/proc/self/mountinfo").read_text().splitlines(),
            "namespaces": sorted(entry.name for entry in Path("/run/netns").glob("*")),
            "devices": sorted(entry.name for entry in Path("/sys/class/net").iterdir()),
            "control groups": [str(group) for group in self.control_groups if group.exists()],
            "directory": [str(self.directory)] if self.directory.exists() else [],
            "records": [str(record.directory) for record in records if record.directory == self.directory],
            "processes": sorted(
                process.command
                for process in running()
                if process.network_namespace in self.networks or str(self.directory) in process.command
            ),
        }


@pytest.mark.usefixtures("without_lab")
def test_nothing_is_left_of_a_lab_also_when_a_test_fails_in_it(short_directory: Path) -> None:
    before = Watch(short_directory / "lab").traces()
    with pytest.raises(ZeroDivisionError), Lab(short_directory / "lab") as lab:
        lab.start(2)
        lab.run([str(ANSIBLE), "--inventory", str(lab.inventory()), "--module-name", "ansible.builtin.ping", "all"])
        lab.popen(["setsid", "sleep", "600"])
        lab.hosts[0].mount_small_disk("/opt/small", 1_000_000)
        watch = Watch.of(lab)
        during = watch.traces()
        end = time.monotonic()
        raise ZeroDivisionError
    assert time.monotonic() - end < 2
    assert watch.traces() == before
    assert len(watch.networks) == 3
    assert all(during[kind] for kind in ("control groups", "directory", "records"))
    assert {"sleep 600", "/usr/lib/systemd/systemd"} < set(during["processes"])
    for kind in ("mounts", "namespaces", "devices"):
        assert during[kind] == before[kind], "labs are not seen from outside"


OWNER = """
import sys, time
from pathlib import Path
from tests.support.lab import Lab
with Lab(Path(sys.argv[1])) as lab:
    lab.start(1)
    lab.popen(["setsid", "sleep", "601"])
    print("up", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def lab_of_another_process(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], Lab]]:
    """A lab with a host and a background process that another process owns, and that process."""
    argv = [sys.executable, "-c", OWNER, str(directory)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(CHECKOUT)}) as owner:
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == b"up\n"
            yield owner, Lab.attach(directory)
        finally:
            owner.kill()


@pytest.mark.usefixtures("without_lab")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_killed(short_directory: Path, number: signal.Signals) -> None:
    before = Watch(short_directory / "lab").traces()
    with lab_of_another_process(short_directory / "lab") as (owner, lab):
        watch = Watch.of(lab)
        # setsid is for a moment what it will become.
        wait_until(lambda: "sleep 601" in watch.traces()["processes"], 5, "nothing runs in the lab")
        owner.send_signal(number)
        owner.wait(5)
        wait_until(lambda: watch.traces() == before, 5, "traces are left")


@pytest.mark.usefixtures("without_lab")
def test_the_next_lab_cleans_up_after_one_whose_keeper_was_killed(short_directory: Path) -> None:
    directory = short_directory / "lab"
    before = Watch(directory).traces()
    with lab_of_another_process(directory) as (owner, lab):
        watch = Watch.of(lab)
        keeper = Registry(default_cache()).running(directory).keeper
        os.kill(keeper.pid, signal.SIGKILL)
        wait_until(lambda: not keeper.alive, 5, "the keeper lives")
        owner.kill()
    wait_until(lambda: watch.traces()["processes"] == ["sleep 601"], 5, "hosts do not end with the keeper")
    assert all(watch.traces()[kind] for kind in ("control groups", "directory", "records"))
    with Lab(directory):
        assert "sleep 601" not in watch.traces()["processes"]
    assert watch.traces() == before


@pytest.mark.usefixtures("without_lab")
def test_two_labs_at_once_do_not_meet() -> None:
    with Lab() as one, Lab() as two:
        (here,), (there,) = one.start(1), two.start(1)
        assert (here.name, here.address) == (there.name, there.address)
        here.shell("touch /opt/here")
        assert there.shell("ls /opt").stdout == ""
        there.link_down()
        assert connect(one, here.address, 22).startswith("SSH-2.0")
        one.close()
        there.link_up()
        assert connect(two, there.address, 22, seconds=3).startswith("SSH-2.0")


# ---- by hand, and where there is no lab


@pytest.mark.usefixtures("without_lab")
def test_a_lab_by_hand_outlives_the_command_that_started_it(
    short_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(short_directory / "lab")
    before = watch.traces()
    lab = ["--directory", str(short_directory / "lab")]

    def called(*arguments: str) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, "-m", "tests.support.lab", *lab, *arguments],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    try:
        assert called("up", "1") == (0, "host1  10.77.0.11  on  tried to reach: nothing\n")
        assert called("up", "1")[1].splitlines()[1] == "host2  10.77.0.12  on  tried to reach: nothing"
        status, inventory = called("inventory")
        assert status == 0
        assert "10.77.0.12" in Path(inventory.strip()).read_text()
        ping = ["--inventory", inventory.strip(), "--module-name", "ansible.builtin.ping", "all"]
        status, output = called("run", "--", str(ANSIBLE), *ping)
        assert (status, output.count("pong")) == (0, 2)
    finally:
        assert called("down") == (0, "")
    status, output = called("status")
    assert status == 1
    assert "up 3" in output
    assert watch.traces() == before
    assert command_line([*lab, "down"]) == 1
    assert "no lab runs in" in capfd.readouterr().err


def test_who_is_not_root_is_told_what_to_do() -> None:
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with pytest.raises(LabError, match=r"needs root.*COMFY_LAB=off"):
            require()
    finally:
        os.seteuid(user)


@pytest.mark.usefixtures("without_lab")
def test_missing_tools_are_named_as_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(requirements.TOOLS, "no-such-tool", "some-package")
    monkeypatch.setitem(requirements.TOOLS, "no-such-tool-either", "another-package")
    with pytest.raises(LabError, match="apt-get install another-package some-package"):
        require()


@pytest.mark.usefixtures("without_lab")
def test_a_test_fails_where_the_lab_cannot_run_and_is_skipped_only_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(requirements.TOOLS, "no-such-tool", "some-package")
    monkeypatch.delenv("COMFY_LAB", raising=False)
    with pytest.raises(pytest.fail.Exception, match="some-package"):
        demand_lab()
    monkeypatch.setenv("COMFY_LAB", "off")
    with pytest.raises(pytest.skip.Exception, match="COMFY_LAB=off"):
        demand_lab()


@pytest.mark.usefixtures("without_lab")
def test_a_directory_in_use_or_too_deep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="is not empty"):
        Lab(tmp_path).open()
    deep = tmp_path / ("x" * 80)
    with pytest.raises(LabError, match="too long a path"):
        Lab(deep).open()
    assert not deep.exists()


@pytest.mark.usefixtures("without_lab")
def test_the_base_tree_is_made_from_the_mirror_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(base.MIRROR_VARIABLE, raising=False)
    assert base.mirror().startswith(("http", "file:"))
    monkeypatch.setenv(base.MIRROR_VARIABLE, "http://mirror.example/debian")
    assert base.mirror() == "http://mirror.example/debian"
    monkeypatch.delenv(base.MIRROR_VARIABLE)
    monkeypatch.setattr(base, "SUITE", "another-suite")
    assert base.mirror().startswith(("http", "file:")), "mirrors have all suites"
    no_sources = tmp_path / "apt.conf"
    no_sources.write_text('Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "/dev/null";')
    monkeypatch.setenv("APT_CONFIG", str(no_sources))
    with pytest.raises(LabError, match="set COMFY_LAB_MIRROR"):
        base.mirror()


@pytest.mark.usefixtures("without_lab")
def test_a_base_tree_that_cannot_be_made_leaves_none_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv(base.MIRROR_VARIABLE, f"http://127.0.0.1:{nobody.getsockname()[1]}/debian")
        with pytest.raises(LabError, match=r"could not be made(.|\n)*127\.0\.0\.1"):
            base.ensure(tmp_path)
    assert not (tmp_path / base.digest()).exists()


def test_another_recipe_is_another_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    known = base.digest()
    monkeypatch.setattr(base, "PACKAGES", (*base.PACKAGES, "one-more"))
    assert base.digest() != known
