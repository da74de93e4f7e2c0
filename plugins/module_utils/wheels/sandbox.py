# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A place for code of strangers: namespaces of its own (user, mount, network, process, IPC, host name).

It sees the system's programs and libraries read-only, one directory of ours at ``/build`` that it may write, and
nothing else: no home, no network, no other process, no variable of the caller. Made with ``unshare``, ``mount``,
``pivot_root`` and ``setpriv`` of util-linux; the order of steps is that of bubblewrap.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import functools
import os
import pathlib
import tempfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.process import Completed, run

INSIDE = pathlib.PurePosixPath("/build")
"""Where the writable directory is seen: the same on every machine, since compilers write paths into what they make."""

PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Programs, libraries and tool chains; what of /etc the loader and the C library read.
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"),
    *("/opt/cuda", "/opt/rocm", "/opt/nvidia", "/opt/intel", "/opt/rh", "/opt/python"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/nsswitch.conf"),
    *("/etc/localtime", "/etc/os-release", "/etc/debian_version", "/etc/redhat-release"),
)
_NAMESPACES = ("--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child")

# Arguments: root (an empty directory), work, places to be seen read-only, --, the directory inside, the command.
# Capabilities are dropped at the end: with them, the command could make the read-only places writable again.
_SETUP = r"""
set -eu
root=$1 work=$2; shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=0755 sandbox "$root"
while [ "$1" != -- ]; do
  if [ -L "$1" ]; then
    mkdir -p "$root${1%/*}" && cp -P "$1" "$root$1"
  elif [ -d "$1" ]; then
    mkdir -p "$root$1" && mount --rbind "$1" "$root$1"
  elif [ -e "$1" ]; then
    mkdir -p "$root${1%/*}" && : > "$root$1" && mount --bind "$1" "$root$1"
  fi
  shift
done
shift
while read -r _ _ _ _ place _; do
  place=$(printf '%b' "$place")
  case $place in "$root"/*) mount -o remount,bind,ro,nosuid,nodev "$place" ;; esac
done < /proc/self/mountinfo
mkdir -p "$root/build" "$root/dev/shm" "$root/proc" "$root/etc" "$root/old"
ln -s build/tmp "$root/tmp"
echo 'root:x:0:0::/build/home:/bin/sh' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"
mount --bind "$work" "$root/build"
mount -t proc -o ro,nosuid,nodev,noexec sandbox "$root/proc"
mount -t tmpfs -o mode=1777,nosuid,nodev sandbox "$root/dev/shm"
for device in null zero full random urandom; do
  : > "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
echo builder > /proc/sys/kernel/hostname || :
cd "$root"
pivot_root . old
umount -l old
rmdir old
mount -o remount,bind,ro /
ulimit -c 0
umask 022
cd "$1"; shift
exec setpriv --no-new-privs --bounding-set -all --inh-caps -all --ambient-caps -all -- env -i "$@" 2>&1
"""
_TRIAL_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Sandbox:
    """work: the directory that is seen at ``/build``. readable: further places that are seen, at their own paths."""

    work: pathlib.Path
    readable: tuple[pathlib.Path, ...] = ()

    def run(
        self,
        argv: c.Sequence[str],
        *,
        directory: pathlib.PurePosixPath = INSIDE,
        environment: c.Mapping[str, str],
        timeout: float,
    ) -> Completed:
        """Run ``argv`` inside, in ``directory``, with this environment and no more.

        What it prints, errors too, is the result's ``text``. timeout: seconds. Raises FleetError when the sandbox's
        programs are not there or the time is over.
        """
        with _mount_point() as root:
            return run(
                (
                    *("unshare", *_NAMESPACES, "sh", "-c", _SETUP, "sandbox", root, str(self.work)),
                    *(*_SYSTEM, *map(str, self.readable), "--", str(directory)),
                    *(f"{name}={value}" for name, value in sorted(environment.items())),
                    *argv,
                ),
                environment={"PATH": PROGRAMS},
                timeout=timeout,
                check=False,
            )


@functools.cache
def check_sandbox() -> None:
    """See, once, that this machine allows such a place. Raises FleetError, with the ways out, when it does not."""
    where = "sandbox for builds"
    try:
        with tempfile.TemporaryDirectory(prefix="comfy-sandbox.") as work:
            sandbox = Sandbox(pathlib.Path(work))
            done = sandbox.run(("true",), environment={"PATH": PROGRAMS}, timeout=_TRIAL_SECONDS)
    except FleetError as error:
        raise FleetError(str(error), where=where, remedy="Install util-linux 2.34 or newer") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.text.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise FleetError(
            f"this machine does not let us make one ({said}), and code of strangers is not run without",
            where=where,
            remedy="Allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1,"
            " kernel.apparmor_restrict_unprivileged_userns=0; in a container, run it with them and with /proc"
            " unmasked), or set comfy_builder to a host that has them",
        )


@contextlib.contextmanager
def _mount_point() -> c.Iterator[str]:
    """An empty directory; what is mounted there is seen in the sandbox alone."""
    directory = tempfile.mkdtemp(prefix="comfy-sandbox.")
    try:
        yield directory
    finally:
        os.rmdir(directory)
