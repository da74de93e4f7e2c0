# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of a requirement list as an entry of python_packages, with what is looked up for it."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import re
import typing as t
import urllib.parse
import urllib.request

from ansible_collections.comfyops.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.comfyops.fleet.plugins.module_utils.host.http import Access
from ansible_collections.comfyops.fleet.plugins.plugin_utils.formats.import_lists import Statement
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve import git
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.builds_files import download, sha256_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.requirement_lines import read_requirement
from ansible_collections.comfyops.fleet.plugins.plugin_utils.resolve.requirement_sources import (
    name_in_repository,
    repository_of,
)
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.directory import path_of
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.finding import Findings
from ansible_collections.comfyops.fleet.plugins.plugin_utils.spec.requirements import canonical_name, read_packages

if t.TYPE_CHECKING:
    from packaging.requirements import Requirement

Entry = dict[str, t.Any]

_GIT: t.Final = "git+"
_ARCHIVES: t.Final = (".whl", ".tar.gz", ".zip")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)\}")
_NAMED_FILE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*@\s*(?P<url>file:\S+)", re.I)
_OTHER_SYSTEM = re.compile(r"(?P<name>hg|svn|bzr)\+", re.I)
_SHA256 = re.compile(r"sha256[:=]([0-9a-fA-F]{64})")


@dataclasses.dataclass(frozen=True)
class Lookups:
    """What may be asked: repositories, and files of URLs, which are kept in ``files``."""

    repositories: git.Access
    files: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An entry that a statement asks for. requirement: with version and extras, for an entry of an index alone.

    entry: a file or a repository, None for an entry of an index. notes: what was left out or looked up.
    """

    statement: Statement
    requirement: Requirement
    entry: Entry | None
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The canonical name."""
        return canonical_name(self.requirement.name)


def candidates_of(statement: Statement, lookups: Lookups | None) -> list[Candidate]:
    """The entries for a statement; two where a file or repository is wanted with extras.

    lookups: None where nothing may be asked. Raises FleetError for what a person has to decide.
    """
    values = [value for name, value in statement.options if name == "--editable"]
    text = values[0] if values else statement.text
    variable = _VARIABLE.search(text)
    if variable:
        raise FleetError(
            f"uses the environment variable {variable['name']}", remedy="Write what it stands for, but no secret"
        )
    hashes = [_SHA256.fullmatch(value) for name, value in statement.options if name == "--hash"]
    sha256 = [found[1].lower() for found in hashes if found]
    local = _local_file(text, statement)
    if local is not None:
        return [_checked(Candidate(statement, _plain(str(local["name"])), local, ()))]
    requirement = read_requirement(text, _fault, _names(lookups))
    if requirement.url is None:
        notes = ("hashes are left out: the lock has its own",) if hashes else ()
        return [_checked(Candidate(statement, requirement, None, notes))]
    return _of_url(statement, requirement, sha256, lookups)


def paste(candidate: Candidate, index: str | None = None) -> str | Entry:
    """The entry as it stands in a spec."""
    if candidate.entry is not None:
        return candidate.entry
    line = str(candidate.requirement)
    return {"requirement": line, "index": index} if index else line


def _of_url(
    statement: Statement, requirement: Requirement, sha256: c.Sequence[str], lookups: Lookups | None
) -> list[Candidate]:
    name, url = requirement.name, str(requirement.url)
    system = _OTHER_SYSTEM.match(url)
    if system:
        what = f"is a repository of {system['name']}, and packages are built of git's alone"
        raise FleetError(what, remedy="Name a release, a wheel or a source archive")
    if requirement.marker:
        raise FleetError(
            f"is wanted where {requirement.marker} holds, and a URL counts everywhere",
            remedy="Write it without the marker where that is what is meant, or name a release",
        )
    entry, notes = _git(name, url, lookups) if url.startswith(_GIT) else _file(name, url, sha256, lookups)
    found = [_checked(Candidate(statement, _plain(name), entry, notes))]
    if requirement.extras:
        extras = _plain(f"{name}[{','.join(sorted(requirement.extras))}]")
        found.append(_checked(Candidate(statement, extras, None, notes)))
    return found


def _git(name: str, url: str, lookups: Lookups | None) -> tuple[Entry, tuple[str, ...]]:
    wanted = repository_of(url)
    commit, notes = wanted.ref, tuple[str, ...]()
    if not git.is_commit(commit):
        if lookups is None:
            raise FleetError(
                f"names {f'the branch or tag {commit}' if commit else 'no commit'}, and what that is changes",
                remedy="Write @<full commit of 40 characters> behind the repository, or import with the network",
            )
        notes = (f"{commit or 'the default branch'} has this commit now",)
        commit = git.commit_of(lookups.repositories, wanted.repo, commit)
    entry = {"name": name, "git": wanted.repo, "commit": commit}
    return ({**entry, "subdirectory": wanted.subdirectory} if wanted.subdirectory else entry), notes


def _file(name: str, url: str, sha256: c.Sequence[str], lookups: Lookups | None) -> tuple[Entry, tuple[str, ...]]:
    plain, _mark, fragment = url.partition("#")
    if urllib.parse.parse_qs(fragment).get("subdirectory"):
        what = "is a folder of an archive, and archives are built as a whole"
        raise FleetError(what, remedy="Name its repository, with commit and subdirectory, or a wheel")
    said = _SHA256.search(fragment)
    known = said[1].lower() if said else (sha256[0] if len(sha256) == 1 else None)
    if known:
        return {"name": name, "url": plain, "sha256": known}, ()
    if lookups is None:
        raise FleetError(
            "has no sha256", remedy="Write #sha256=<64 hexadecimal characters> behind it, or import with the network"
        )
    access = Access(lookups.repositories.credentials, basic=True)
    found = download(plain, None, access, lookups.files).sha256
    return {"name": name, "url": plain, "sha256": found}, ("this is the sha256 that the file has now",)


def _local_file(text: str, statement: Statement) -> Entry | None:
    """The entry for a file of this machine; None for what is no path. Raises FleetError for a path of another one."""
    named = _NAMED_FILE.match(text)
    url = named["url"] if named else (text if text.lower().startswith("file:") else "")
    if url:
        path = path_of(url)
    elif re.match(r"[./~]|[A-Za-z]:\\", text) or ("/" in text and "@" not in text and "://" not in text):
        path = statement.folder / pathlib.Path(re.split(r"[ ;\[]", text, maxsplit=1)[0]).expanduser()
    else:
        return None
    name, version = _project_of(path)
    if path.is_file() and path.name.endswith(_ARCHIVES) and (named or name):
        absolute = path.resolve()
        return {"name": named["name"] if named else name, "url": absolute.as_uri(), "sha256": sha256_of(absolute)}
    installed = statement.remark or (f"{name} {version}" if name else "")
    what = f"is a path{f' ({installed})' if installed else ''}, and no other machine has it: {path}"
    project = named["name"] if named else name
    meant = f"{project}=={version}" if version else (installed or f"{project or 'name'}==<version>")
    remedy = f"Write {meant} if the published release is what is meant, else its repository and commit, or its wheel"
    raise FleetError(what, remedy=remedy)


def _project_of(path: pathlib.Path) -> tuple[str, str]:
    """Name and version as a file name says them; empty where it does not."""
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    try:
        parsed = (parse_wheel_filename if path.suffix == ".whl" else parse_sdist_filename)(path.name)
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return "", ""
    return str(parsed[0]), str(parsed[1])


@dataclasses.dataclass(frozen=True)
class _Repositories:
    """Gives the names of what git lines without one lead to."""

    access: git.Access

    def name_of(self, url: str) -> str | None:
        return name_in_repository(self.access, url)

    def entry_of(self, _path: str) -> str | None:
        return None


def _names(lookups: Lookups | None) -> _Repositories | None:
    return _Repositories(lookups.repositories) if lookups else None


def _fault(what: str, remedy: str = "") -> FleetError:
    """What is wrong with a line; the lines of nodes are corrected in the spec, those of a list in the list."""
    if "credentials" in what:
        remedy = "Write the URL without them, and hand them over in comfy_credentials, by host"
    elif "the package's name" in what:
        remedy = "Write 'name @ ' before it, or import with the network"
    elif not remedy or "custom_nodes[]" in remedy:
        remedy = "Correct it in the list"
    return FleetError(what, remedy=remedy)


def _plain(text: str) -> Requirement:
    from packaging.requirements import Requirement

    return Requirement(text)


def _checked(candidate: Candidate) -> Candidate:
    """The same, where a spec may say it. Raises FleetError."""
    findings = Findings(lambda at: ("", at))
    read_packages([paste(candidate)], (), findings, index_names=frozenset(), allow_http=False)
    for _at, finding in findings.located():
        if finding.severity == "error":
            raise FleetError(finding.reason, remedy=finding.remedy)
    return candidate
