# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One requirement as it stands in a requirements file: PEP 508, or one of pip's own forms brought into it.

pip takes a bare URL of a wheel, an archive or a repository (``git+https://...#egg=name``), and a local path. The first
become ``name @ url``; a path is refused, as no other machine has it.
"""

from __future__ import annotations

import collections.abc as c
import re
import typing as t
import urllib.parse

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.urls import (
    REPOSITORY,
    WHEEL,
    credentials_problem,
    is_loopback,
    url_problem,
)

if t.TYPE_CHECKING:
    from packaging.requirements import Requirement

Fault = c.Callable[..., FleetError]


class Sources(t.Protocol):
    """Who can look at what lines lead to. Both give None where it does not say its name, and raise FleetError."""

    def name_of(self, url: str) -> str | None:
        """The name of the project in the repository of a git URL of pip's."""

    def entry_of(self, path: str) -> str | None:
        """The entry of python_packages for a path that is in the repository of the requirements file."""


_SCHEME = re.compile(r"(?:(?P<system>git|hg|svn|bzr)\+)?(?P<scheme>[a-z][a-z0-9.-]+):", re.IGNORECASE)
_ARCHIVES: t.Final = (".whl", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".zip")
_NAME_REMEDY: t.Final = "Write 'name @ url' into the spec instead: custom_nodes[].requirements"
_PATH_REMEDY: t.Final = "Name a published package instead, in custom_nodes[].requirements"


def read_requirement(text: str, fault: Fault, sources: Sources | None = None) -> Requirement:
    """The requirement that a line says. fault: makes the error for a line from what is wrong and, if known, the remedy.

    sources: asked for the name of what a line without one leads to. Raises FleetError.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    if _is_path(text):
        raise _path_fault(text, fault, sources)
    try:
        requirement = Requirement(_named(text, fault, sources) if _SCHEME.match(text) else text)
    except InvalidRequirement as error:
        reason, _newline, pointer = str(error).partition("\n")
        column = pointer.partition("\n")[2].find("^") - 3
        place = f" at character {column}" if column > 0 else ""
        raise fault(f"{shown(text)} is no requirement (PEP 508){place}: {reason}") from error
    if requirement.url:
        _check_url(requirement.url, text, fault)
    return requirement


def _path_fault(text: str, fault: Fault, sources: Sources | None) -> FleetError:
    target, reason = re.split(r"[ ;\[]", text, maxsplit=1)[0], ""
    try:
        entry = None if sources is None or _SCHEME.match(text) else sources.entry_of(target)
    except FleetError as error:
        entry, reason = None, f" ({error})"
    if entry is None:
        return fault(f"{shown(text)} is a path on somebody's machine{reason}", _PATH_REMEDY)
    remedy = f"Add to python_packages: {entry}; and give the node lines of its own, without this one"
    return fault(f"{shown(text)} is a path in its own repository", f"{remedy}, in custom_nodes[].requirements")


def _is_path(text: str) -> bool:
    target = re.split(r"[ ;\[]", text, maxsplit=1)[0]
    if _SCHEME.match(text) or "@" in text:
        return text.lower().startswith("file:")
    return target[:1] in {".", "/", "~"} or "/" in target or "\\" in target or target.lower().endswith(_ARCHIVES)


def _named(text: str, fault: Fault, sources: Sources | None) -> str:
    """A bare URL as ``name @ url``; its marker, if any, follows ``;`` and a space."""
    url, semicolon, marker = text.partition("; ")
    url = url.strip()
    plain, _mark, fragment = url.partition("#")
    values = dict(urllib.parse.parse_qsl(fragment))
    egg = values.pop("egg", None)
    kept = urllib.parse.urlencode(values, safe="/:")
    address = f"{plain}#{kept}" if kept else plain
    name = egg or _name_of_file(plain) or _name_in_repository(text, address, fault, sources)
    if not name:
        raise fault(f"{shown(text)} does not say the package's name", _NAME_REMEDY)
    return f"{name} @ {address} ; {marker}" if semicolon else f"{name} @ {address}"


def _name_in_repository(text: str, address: str, fault: Fault, sources: Sources | None) -> str | None:
    if sources is None or not address.lower().startswith("git+"):
        return None
    _check_url(address, text, fault)
    try:
        return sources.name_of(address)
    except FleetError as error:
        raise fault(
            f"{shown(text)} does not say the package's name, and cannot be read: {error}", _NAME_REMEDY
        ) from error


def _name_of_file(url: str) -> str | None:
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    file = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    try:
        return str(parse_wheel_filename(file)[0]) if file.endswith(".whl") else str(parse_sdist_filename(file)[0])
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return None


def _check_url(url: str, text: str, fault: Fault) -> None:
    match = _SCHEME.match(url)
    if match is None or match["scheme"].lower() == "file":
        raise fault(f"{shown(text)} is a path on somebody's machine", _PATH_REMEDY)
    system = match["system"]
    address = url.removeprefix(f"{system}+").partition("#")[0]
    if system == "git":
        address = _without_revision(address)
    if credentials_problem(urllib.parse.urlsplit(address)):
        raise fault(f"{shown(text)} has credentials in it", "Write the URL without, in custom_nodes[].requirements")
    problem = url_problem(address, REPOSITORY if system else WHEEL, allow_http=True)
    if problem:
        raise fault(f"{shown(text)} {problem.reason}", f"{problem.remedy}, in custom_nodes[].requirements")
    if match["scheme"].lower() == "http" and not is_loopback(urllib.parse.urlsplit(address).hostname):
        reason = f"{shown(text)} is plain http: anyone on the way can change what arrives"
        raise fault(reason, "Write https:// instead, in custom_nodes[].requirements")


def _without_revision(address: str) -> str:
    """The repository of ``<repository>@<revision>``; an @ before the path belongs to the host."""
    head, _at_sign, _revision = address.rpartition("@")
    return head if "/" in head.partition("://")[2] else address
