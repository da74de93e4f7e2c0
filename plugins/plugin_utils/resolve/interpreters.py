# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that hosts may get when they have none of the target's version: found in ``comfy_python_mirror``.

The archives are those of uv's managed Pythons, from astral-sh/python-build-standalone:
``cpython-<version>+<date>-<triple>-install_only[_stripped].tar.gz``. A mirror is a directory, or a URL that has what
its releases have (``<date>/<file>``), or such files and a SHA256SUMS in one place.
"""

from __future__ import annotations

import collections.abc as c
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access, HttpFault, request
from ansible_collections.comfyops.fleet.plugins.module_utils.host.url import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.uv import find_uv
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import path_of

Document = dict[str, t.Any]
# What comfy_lock_upgrade calls it.
UPGRADE: t.Final = "python"
_NAME = re.compile(
    r"cpython-(?P<version>3\.\d+\.\d+)\+(?P<date>\d{8})-(?P<triple>[\w-]+?)-install_only(?P<stripped>_stripped)?\.tar\.gz"
)
_SUMS: t.Final = "SHA256SUMS"
_SUMS_LINE = re.compile(r"^([0-9a-f]{64})[ *]+(\S+)\s*$", re.MULTILINE)
_LONGEST_TEXT = 16 << 20
_BLOCK = 1 << 20
_NOT_THERE = (403, 404, 410)


class _Archive(t.NamedTuple):
    """A file of a mirror: its name, where it is, and the directory of it, which may have sums."""

    name: re.Match[str]
    url: str

    @property
    def rank(self) -> tuple[tuple[int, ...], str, bool]:
        """Newer versions are better, then newer builds, then those without debugging symbols."""
        version = tuple(int(part) for part in self.name["version"].split("."))
        return version, self.name["date"], bool(self.name["stripped"])


def locked_interpreter(
    mirror: str | None, python: str, platform: str, kept: Document | None, upgrade: c.Collection[str], access: Access
) -> Document | None:
    """The lock's entry for a Python ``3.12`` or ``3.12.4`` of uv's platform name; None without a mirror.

    kept: of the lock that there is; it stays where it fits, unless ``upgrade`` has ``python`` or ``all``.
    Raises FleetError when the mirror has none that fits, or can not be read.
    """
    fits = kept is not None and _fits(kept["version"], python) and _triple(platform) in kept["file"]
    if fits and (mirror is None or not {UPGRADE, "all"} & set(upgrade)):
        return kept
    if mirror is None:
        return None
    found = _in_directory(mirror) if _is_directory(mirror) else _at_url(mirror, python, access)
    triple = _triple(platform)
    fitting = [each for each in found if _fits(each.name["version"], python) and each.name["triple"] == triple]
    if not fitting:
        there = ", ".join(sorted({f"{each.name['version']} for {each.name['triple']}" for each in found})) or "none"
        raise FleetError(
            f"has no Python {python} for {triple} (there is: {there})",
            where=f"comfy_python_mirror {shown(mirror)}",
            remedy="Put its install_only archive there, or unset comfy_python_mirror",
        )
    best = max(fitting, key=lambda each: each.rank)
    sha256, size = _facts(best, access)
    return {"version": best.name["version"], "file": best.name[0], "url": best.url, "sha256": sha256, "size": size}


def _fits(version: str, wanted: str) -> bool:
    return version == wanted or version.startswith(f"{wanted}.")


def _triple(platform: str) -> str:
    """As the archives have it, of a platform as uv names it, such as ``x86_64-manylinux_2_28``."""
    libc = "musl" if "musl" in platform else "gnu"
    return f"{platform.partition('-')[0]}-unknown-linux-{libc}"


def _is_directory(mirror: str) -> bool:
    return urllib.parse.urlsplit(mirror).scheme in ("", "file")


def _path(url: str) -> pathlib.Path:
    return path_of(url).expanduser()


def _in_directory(mirror: str) -> list[_Archive]:
    directory = _path(mirror) if mirror.startswith("file:") else pathlib.Path(os.path.expanduser(mirror))
    if not directory.is_dir():
        raise FleetError("is no directory", where=f"comfy_python_mirror {directory}", remedy="Name one, or a URL")
    return [
        _Archive(name, path.resolve().as_uri())
        for path in sorted(directory.rglob("cpython-*.tar.gz"))
        if (name := _NAME.fullmatch(path.name))
    ]


def _at_url(mirror: str, python: str, access: Access) -> list[_Archive]:
    """What SHA256SUMS at the URL itself says; without one, what uv knows of, which a mirror of its releases has."""
    base = mirror.rstrip("/")
    sums = _text(f"{base}/{_SUMS}", access)
    if sums is not None:
        names = [name for _sha256, file in _SUMS_LINE.findall(sums) if (name := _NAME.fullmatch(file))]
        return [_Archive(name, f"{base}/{urllib.parse.quote(name[0])}") for name in names]
    found = []
    for url in _known_to_uv(python):
        directory, _slash, file = url.rpartition("/")
        if name := _NAME.fullmatch(urllib.parse.unquote(file)):
            found.append(_Archive(name, f"{base}/{directory.rpartition('/')[2]}/{file}"))
    return found


def _known_to_uv(python: str) -> list[str]:
    """The addresses of all archives of a version that uv could get; it asks no network for them."""
    minor = ".".join(python.split(".")[:2])
    arguments = ("python", "list", "--no-config", "--all-versions", "--all-platforms", "--all-arches")
    with tempfile.TemporaryDirectory(prefix="comfy-python.") as directory:
        done = subprocess.run(
            [find_uv(), *arguments, "--only-downloads", "--output-format", "json", minor],
            env={"PATH": os.defpath, "HOME": directory, "UV_CACHE_DIR": f"{directory}/cache"},
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise FleetError(f"uv does not say which Pythons there are: {done.stderr.strip()}", where="comfy_python_mirror")
    return [entry["url"] for entry in json.loads(done.stdout or "[]") if entry.get("url")]


def _facts(archive: _Archive, access: Access) -> tuple[str, int | None]:
    """Its sha256 and size: as SHA256SUMS beside it says, else by reading it."""
    if archive.url.startswith("file:"):
        path = _path(archive.url)
        with path.open("rb") as stream:
            digest = hashlib.sha256()
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest(), path.stat().st_size
    sums = _text(f"{archive.url.rpartition('/')[0]}/{_SUMS}", access) or ""
    known = {file: sha256 for sha256, file in _SUMS_LINE.findall(sums)}
    try:
        if archive.name[0] in known:
            with request(archive.url, access, method="HEAD") as answer:
                return known[archive.name[0]], answer.length
        return _read(archive.url, access)
    except HttpFault as fault:
        raise FleetError(
            fault.what,
            where="comfy_python_mirror",
            remedy=fault.remedy or "Look at what the mirror has, and lock again",
        ) from fault


def _read(url: str, access: Access) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with request(url, access) as answer:
        while block := answer.read(_BLOCK):
            digest.update(block)
            size += len(block)
        if answer.length is not None and size != answer.length:
            raise HttpFault(f"{shown(url)} broke off after {size} of {answer.length} bytes")
    return digest.hexdigest(), size


def _text(url: str, access: Access) -> str | None:
    """A text at a URL; None when it is not there."""
    try:
        with request(url, access) as answer:
            return answer.read_all(_LONGEST_TEXT).decode("utf-8", "replace")
    except HttpFault as fault:
        if fault.status in _NOT_THERE:
            return None
        raise FleetError(fault.what, where="comfy_python_mirror", remedy=fault.remedy or "Try again later") from fault
