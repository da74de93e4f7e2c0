# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file tree that all hosts of the lab share, read-only: a bare Debian, made once per recipe and kept.

Source: debootstrap(8), apt-get(8) "indextargets".
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .commands import SYSTEM_PATH, run
from .errors import CommandError, LabError

SUITE = "bookworm"
PACKAGES = (
    "ca-certificates",
    "dbus",
    "git",
    "iproute2",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd-sysv",
)
# What belongs to one host and not to all of them goes; timers that would ask the network on their own do not start.
PROVISION = """\
set -eu
useradd --create-home --shell /bin/bash comfy
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer
apt-get clean
rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/log/bootstrap.log
: > /etc/machine-id
: > /etc/hostname
"""
MIRROR_VARIABLE = "COMFY_LAB_MIRROR"
BUILD_SECONDS = 1800
_INDEX_FIELDS = ("$(RELEASE)", "$(COMPONENT)", "$(ORIGIN)", "$(REPO_URI)")
_KEPT_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")


def digest() -> str:
    """The name of the tree in the cache: it changes with what the tree is made of."""
    recipe = "\n".join((SUITE, *PACKAGES, PROVISION))
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def ensure(cache: Path) -> Path:
    """The base tree below ``cache``; built first if it is not there, which takes about a minute.

    Whoever comes while another builds waits for it. Raises LabError.
    """
    tree = cache / digest()
    if tree.is_dir():
        return tree
    cache.mkdir(parents=True, exist_ok=True)
    with _exclusive(cache / f"{tree.name}.lock"):
        if not tree.is_dir():
            _build(tree)
    return tree


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(tree: Path) -> None:
    """Make the tree beside its place, in mount and pid namespaces that go with the build however it ends."""
    if shutil.which("debootstrap", path=SYSTEM_PATH) is None:
        raise LabError("debootstrap is needed to make the lab's base tree: apt-get install debootstrap")
    part = tree.with_name(f"{tree.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    log = tree.with_name(f"{tree.name}.log")
    script = (
        f'debootstrap --variant=minbase --include={",".join(PACKAGES)} {SUITE} "$1" "$2" > "$3" 2>&1\n'
        'chroot "$1" /bin/sh -c "$4" >> "$3" 2>&1\n'
    )
    alone = ["env", "-i", *_build_environment()]
    alone += ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        run([*alone, "sh", "-euc", script, "lab", str(part), mirror(), str(log), PROVISION], timeout=BUILD_SECONDS)
    except CommandError as error:
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else error.stderr
        raise LabError(f"the lab's base tree could not be made; the end of {log}:\n{tail}") from error
    part.chmod(0o755)
    part.rename(tree)


def _build_environment() -> list[str]:
    """NAME=value of what the build may know: nothing but how this machine reaches the network."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    proxy = _apt_proxy()
    if proxy:
        kept.setdefault("http_proxy", proxy)
    kept.update(PATH=SYSTEM_PATH, HOME="/root", LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive")
    return [f"{name}={value}" for name, value in kept.items()]


def _apt(*argv: str) -> str:
    """What an apt command prints; nothing on a machine without apt or without sources."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def _apt_proxy() -> str:
    """The proxy that apt is told to use; debootstrap does not read apt's configuration."""
    value = _apt("apt-config", "dump", "--format", "%v", "Acquire::http::Proxy").strip()
    return "" if value == "DIRECT" else value


def mirror() -> str:
    """The Debian mirror of this machine: from ``COMFY_LAB_MIRROR``, or of apt's own sources. Raises LabError."""
    if os.environ.get(MIRROR_VARIABLE):
        return os.environ[MIRROR_VARIABLE]
    targets = [line.split(" ") for line in _apt_indexes().splitlines()]
    main = [target for target in targets if len(target) == len(_INDEX_FIELDS) and target[1] == "main"]
    same = [uri for release, _component, _origin, uri in main if release == SUITE]
    debian = [uri for release, _component, origin, uri in main if origin == "Debian" and "-" not in release]
    for uri in (*same, *debian):
        return uri
    raise LabError(
        f"apt's sources on this machine name no Debian mirror to make a {SUITE} tree from; "
        f"set {MIRROR_VARIABLE} to the address of one"
    )


def _apt_indexes() -> str:
    return _apt("apt-get", "indextargets", "--format", " ".join(_INDEX_FIELDS), "Created-By: Packages")
