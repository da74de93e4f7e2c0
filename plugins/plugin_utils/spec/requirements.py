# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python packages that a spec asks for (PEP 508), and what contradicts itself among them."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import parse_qsl, unquote, urlsplit

from ansible_collections.comfyops.fleet.plugins.module_utils.lock.document import DEFAULT_INDEX
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec import pip_options
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import shown
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.git_revisions import COMMIT_REMEDY, is_full_commit
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.hashes import in_hexadecimal
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.paths import relative_problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.urls import REPOSITORY, WHEEL, url_problem
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.values import (
    as_flag,
    as_list,
    as_object,
    as_text,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement

    from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings, Location

SOURCE_ARCHIVES: t.Final = (".tar.gz", ".zip")

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE | re.ASCII)
_WHEEL_REMEDY = "Write 'name @ https://host/file.whl#sha256=<64 hexadecimal characters>'"
_GIT_REMEDY = "Write 'name @ git+https://host/repo@<full commit of 40 characters>'"


class Package(t.NamedTuple):
    """One entry of python_packages: its normalized form and what is known of it for comparing."""

    normalized: dict[str, t.Any]
    requirement: Requirement
    at: Location


def read_packages(
    values: object, at: Location, findings: Findings, *, index_names: frozenset[str], allow_http: bool
) -> list[Package]:
    """Read python_packages, without its doubles. index_names are the names of python.indexes."""
    packages: list[Package] = []
    for index, entry in enumerate(as_list(values)):
        place = (*at, index)
        package = _read_entry(entry, place, findings, allow_http)
        if package is None:
            continue
        _check_index(package, entry, findings, index_names)
        if any(package.normalized == earlier.normalized for earlier in packages):
            findings.warning(place, f"{shown(str(package.requirement))} is there twice", "Take one of the two out")
            continue
        packages.append(package)
    return packages


def read_requirement_lines(values: object, at: Location, findings: Findings) -> list[str]:
    """Read a list of PEP 508 requirements and give them without options that mean nothing."""
    lines = []
    for index, value in enumerate(as_list(values)):
        text = _without_options(value, (*at, index), findings) if isinstance(value, str) else None
        if text is not None and parse_requirement(text, (*at, index), findings):
            lines.append(text)
    return lines


def parse_requirement(text: str, at: Location, findings: Findings) -> Requirement | None:
    """Parse a PEP 508 requirement; a fault is reported with the character at which it lies."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement as error:
        span = getattr(error.__cause__, "span", None)
        message = getattr(error.__cause__, "message", None) or str(error).partition("\n")[0]
        place = f" at character {span[1] + 1}" if span else ""
        findings.error(at, f"{shown(text)} is no requirement (PEP 508){place}: {message}", _requirement_remedy(text))
        return None


def canonical_name(name: str) -> str:
    """Normalize the name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def package_name(entry: object) -> str | None:
    """Give the canonical name of an entry of python_packages as it stands, unchecked."""
    fields = as_object(entry)
    text = entry if isinstance(entry, str) else as_text(fields.get("requirement")) or as_text(fields.get("name")) or ""
    words = [word for word in text.split() if not pip_options.is_option(word)]
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", words[0]) if words else None
    return canonical_name(match[0]) if match else None


def _requirement_remedy(text: str) -> str:
    if text.startswith("git+"):
        return _GIT_REMEDY
    if "://" in text or text.endswith((".whl", ".tar.gz", ".zip")):
        return _WHEEL_REMEDY
    if "#" in text:
        return "Take the comment out"
    return "Write it as in 'name[extra]>=2,<3 ; python_version<\"3.13\"'"


def _without_options(text: str, at: Location, findings: Findings) -> str | None:
    """Give the requirement in a line of pip's; nothing when options are all there is, or one is not possible here."""
    words = text.split()
    options = [name for word in words if pip_options.is_option(word) for name in pip_options.option_names(word)]
    refused = [name for name in options if name not in pip_options.DROPPED]
    for name in refused:
        findings.error(at, f"has pip's option {name}", pip_options.remedy(name))
    if refused:
        return None
    for name in options:
        findings.warning(at, f"pip's option {name} means nothing here and is left out", "Take it out")
    if not options:
        return text.strip()
    return " ".join(word for word in words if not pip_options.is_option(word)) or None


def _read_entry(entry: object, at: Location, findings: Findings, allow_http: bool) -> Package | None:
    if isinstance(entry, str):
        return _read_line(entry, None, at, findings, allow_http)
    fields = as_object(entry)
    requirement, name = as_text(fields.get("requirement")), as_text(fields.get("name"))
    if requirement:
        return _read_line(requirement, as_text(fields.get("index")), (*at, "requirement"), findings, allow_http)
    if not name:
        return None
    if as_text(fields.get("git")):
        return _read_git(name, fields, at, findings, allow_http)
    return _read_file(name, fields, at, findings, allow_http)


def _read_line(text: str, index: str | None, at: Location, findings: Findings, allow_http: bool) -> Package | None:
    line = _without_options(text, at, findings)
    requirement = parse_requirement(line, at, findings) if line is not None else None
    if line is None or requirement is None:
        return None
    if requirement.url is None:
        return Package({"requirement": line, "index": index}, requirement, at)
    if requirement.marker or requirement.extras:
        findings.error(
            at,
            f"{shown(line)} has a URL together with extras or a marker",
            "Write the file alone, and what else is needed as entries of its own",
        )
        return None
    if requirement.url.startswith("git+"):
        return _read_git(requirement.name, _git_fields(requirement.url), at, findings, allow_http)
    url, _mark, fragment = requirement.url.partition("#")
    sha256 = dict(parse_qsl(fragment)).get("sha256", "")
    return _read_file(requirement.name, {"url": url, "sha256": sha256}, at, findings, allow_http)


def _git_fields(url: str) -> dict[str, t.Any]:
    """Take a VCS URL of pip's apart: git+<url>@<commit>#subdirectory=<path>."""
    plain, _mark, fragment = url.removeprefix("git+").partition("#")
    head, at_sign, commit = plain.rpartition("@")
    path_of_head = head.partition("://")[2]
    if not at_sign or "/" not in path_of_head:
        head, commit = plain, ""
    return {"git": head, "commit": commit, "subdirectory": dict(parse_qsl(fragment)).get("subdirectory")}


def _read_git(
    name: str, fields: Mapping[str, t.Any], at: Location, findings: Findings, allow_http: bool
) -> Package | None:
    git, commit = as_text(fields.get("git")) or "", as_text(fields.get("commit")) or ""
    subdirectory = as_text(fields.get("subdirectory"))
    problem = url_problem(git, REPOSITORY, allow_http=allow_http)
    if problem:
        findings.error(_at_key(at, fields, "git"), *problem)
    if not is_full_commit(commit):
        reason = (
            f"commit {shown(commit)} is not a full one" if commit else "names no commit: what it brings would change"
        )
        findings.error(_at_key(at, fields, "commit"), reason, f"{_GIT_REMEDY}. {COMMIT_REMEDY}")
    path_problem = relative_problem(subdirectory) if subdirectory else None
    if path_problem:
        findings.error(_at_key(at, fields, "subdirectory"), *path_problem)
    submodules = as_flag(fields.get("submodules"), True)
    repository = {"git": git, "commit": commit.lower(), "subdirectory": subdirectory, "submodules": submodules}
    return _named(name, repository, at)


def _read_file(
    name: str, fields: Mapping[str, t.Any], at: Location, findings: Findings, allow_http: bool
) -> Package | None:
    url, sha256 = as_text(fields.get("url")) or "", as_text(fields.get("sha256")) or ""
    problem = url_problem(url, WHEEL, allow_http=allow_http)
    if problem:
        findings.error(_at_key(at, fields, "url"), *problem)
    elif url:
        _check_file_name(name, url, _at_key(at, fields, "url"), findings)
    if not _SHA256.fullmatch(sha256):
        reason = f"sha256 {shown(sha256)} is none" if sha256 else "has no sha256"
        known = in_hexadecimal(sha256)
        if known:
            reason, remedy = f"sha256 {shown(sha256)} is not hexadecimal", f"Write {known}, which is the same"
        else:
            remedy = f"{_WHEEL_REMEDY}; 'sha256sum file.whl' prints them"
        findings.error(_at_key(at, fields, "sha256"), reason, remedy)
    return _named(name, {"url": url, "sha256": sha256.lower()}, at)


def _at_key(at: Location, fields: Mapping[str, t.Any], key: str) -> Location:
    """Point at a key of an object; a requirement line has no keys."""
    return (*at, key) if "name" in fields else at


def _named(name: str, normalized: dict[str, t.Any], at: Location) -> Package | None:
    from packaging.requirements import InvalidRequirement, Requirement

    version = _file_version(normalized.get("url", ""))
    try:
        return Package({"name": name, **normalized}, Requirement(f"{name}=={version}" if version else name), at)
    except InvalidRequirement:
        return None


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _file_version(url: str) -> str | None:
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    name = _file_name(url)
    try:
        return str(parse_wheel_filename(name)[1] if name.endswith(".whl") else parse_sdist_filename(name)[1])
    except (InvalidSdistFilename, InvalidWheelFilename, ValueError):
        return None


def _check_file_name(name: str, url: str, at: Location, findings: Findings) -> None:
    """A wheel's name says what it is; a source archive (of a tag, say) may have any name."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    file = _file_name(url)
    if "/" in file:
        findings.error(at, f"{shown(file)} is no name of a file: it has a slash", "Write the URL of the file itself")
        return
    if file.endswith(SOURCE_ARCHIVES):
        return
    try:
        found = str(parse_wheel_filename(file)[0])
    except (InvalidWheelFilename, ValueError):
        remedy = (
            "Name a .whl file, a source archive (.tar.gz, .zip), or the repository:"
            ' {"name": ..., "git": ..., "commit": ...} (schema_version 3)'
        )
        findings.error(at, f"{shown(file)} is no file name of a wheel (PEP 427)", remedy)
        return
    if found != canonical_name(name):
        findings.error(at, f"is a wheel of {shown(found)}, not of {shown(name)}", f"Write the name {shown(found)}")


def _check_index(package: Package, entry: object, findings: Findings, index_names: frozenset[str]) -> None:
    index = package.normalized.get("index")
    if index is None or index == DEFAULT_INDEX or index in index_names:
        return
    known = ", ".join(sorted({DEFAULT_INDEX, *index_names}))
    place = (*package.at[:-1], "index") if isinstance(entry, dict) else package.at
    findings.error(place, f"index {shown(index)} is none of python.indexes", f"Name one of {known}")
