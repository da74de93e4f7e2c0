# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a wheel that was built is what it was built for: name, version, tags, and the C library that it needs."""

from __future__ import annotations

import email.parser
import pathlib
import re
import typing as t
import zipfile

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError

if t.TYPE_CHECKING:
    from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.target_environment import TargetEnvironment

# The names of symbol versions are in a library's string table (ELF, .gnu.version_r).
_GLIBC = re.compile(rb"GLIBC_2\.(\d{1,2})\b")
_ELF: t.Final = b"\x7fELF"


def check_wheel(path: pathlib.Path, name: str, version: str | None, environment: TargetEnvironment) -> str:
    """The version of a wheel that was built for ``environment``. version: what it has to be, where that is known.

    Raises FleetError when it is another package or version, or does not run on the target.
    """
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
    from packaging.version import Version

    try:
        found, own, _build, tags = parse_wheel_filename(path.name)
        said = _metadata(path)
    except (InvalidWheelFilename, OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise FleetError(f"the build made {path.name}, which is no wheel: {error}") from error
    if str(found) != name or canonicalize_name(said[0]) != found or Version(said[1]) != own:
        raise FleetError(
            f"the build made {path.name}, which says that it is {said[0]} {said[1]}, and not {name}",
            remedy=f'Write "name": "{found}" in its entry' if str(found) != name else "Take another commit or release",
        )
    if version is not None and Version(version) != own:
        raise FleetError(f"the build made version {own}, and its source archive is of {version}")
    if not tags & frozenset(environment.wheel_tags()):
        raise FleetError(
            f"the build made {path.name}, which does not fit Python {environment.python} on {environment.platform}",
            remedy="Set comfy_builder to a host of that target",
        )
    _check_glibc(path, environment)
    return str(own)


def _metadata(path: pathlib.Path) -> tuple[str, str]:
    with zipfile.ZipFile(path) as archive:
        member = next((each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each)), None)
        if member is None:
            raise ValueError("it has no METADATA")
        fields = email.parser.BytesHeaderParser().parsebytes(archive.read(member))
    return str(fields["Name"]), str(fields["Version"])


def _check_glibc(path: pathlib.Path, environment: TargetEnvironment) -> None:
    needed = glibc_of(path)
    if needed > environment.glibc:
        raise FleetError(
            f"{path.name} was built against glibc 2.{needed}, and hosts of the target may have 2.{environment.glibc}",
            where=environment.where,
            remedy=f"Set comfy_builder to a host with glibc 2.{environment.glibc} or older; or, if all hosts of the"
            f" target have 2.{needed}, write its platform as {environment.machine}-manylinux_2_{needed}",
        )


def glibc_of(path: pathlib.Path) -> int:
    """The minor number of the newest glibc 2.x whose symbols a wheel's libraries use; 0 when it has none."""
    newest = 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as stream:
                if stream.read(len(_ELF)) == _ELF:
                    newest = max([newest, *(int(each[1]) for each in _GLIBC.finditer(stream.read()))])
    return newest
