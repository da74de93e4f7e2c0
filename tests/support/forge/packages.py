# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Package indexes: the simple API of PEP 503 (HTML) and PEP 691 (JSON) over generated wheels and sdists.

The index ``pypi`` is under /simple/, every index (it too) under /index/<name>/simple/, the files under /files/<name>/.
Pages carry sha256 (PEP 503), metadata files (PEP 658 and 714), sizes and upload times (PEP 700), and yanks (PEP 592).
"""

from __future__ import annotations

import dataclasses
import email.parser
import html
import re
import typing as t
import urllib.parse
import zipfile

from tests.support.forge.distributions import Project, normalize, sdist, wheel
from tests.support.forge.web import Request, Response, data, document, redirect, static, text

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.support.forge.contents import Content, ContentStore

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
DEFAULT_UPLOAD_TIME = "2025-01-01T00:00:00Z"


@dataclasses.dataclass(frozen=True)
class Release:
    """One file of an index: ``name`` normalized, ``yanked`` the reason (which may be empty) or None."""

    index: str
    name: str
    version: str
    requires_python: str | None
    filename: str
    url: str
    content: Content
    metadata: Content
    upload_time: str = DEFAULT_UPLOAD_TIME
    yanked: str | None = None

    @property
    def sha256(self) -> str:
        """The file's sha256 in lower-case hex."""
        return self.content.sha256

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self.content.size


@dataclasses.dataclass
class Habits:
    """What an index tells. Real ones differ: some have HTML alone, no hashes, or no metadata files."""

    json: bool = True
    hashes: bool = True
    metadata: bool = True


class Index:
    """One package index. ``url`` is its simple API's base; ``token`` is asked for where it is given."""

    def __init__(self, name: str, url: str, files_path: str, base_url: str, contents: ContentStore) -> None:
        self.name = name
        self.url = url
        self.habits = Habits()
        self.token: str | None = None
        self._base_url = base_url
        self._files_path = files_path
        self._contents = contents
        self._releases: dict[str, Release] = {}

    def wheel(
        self,
        name: str,
        version: str,
        *,
        requires: Sequence[str] = (),
        modules: Mapping[str, str | bytes] | None = None,
        tag: str = "py3-none-any",
        requires_python: str | None = None,
        extras: Mapping[str, Sequence[str]] | None = None,
        scripts: Mapping[str, str] | None = None,
        upload_time: str = DEFAULT_UPLOAD_TIME,
    ) -> Release:
        """Publishes a generated wheel."""
        project = Project(name, version, requires, modules or {}, requires_python, extras or {}, scripts or {})
        return self.publish(*wheel(project, tag), project.metadata(), upload_time)

    def sdist(
        self,
        name: str,
        version: str,
        *,
        requires: Sequence[str] = (),
        modules: Mapping[str, str | bytes] | None = None,
        marker: str | None = None,
        upload_time: str = DEFAULT_UPLOAD_TIME,
    ) -> Release:
        """Publishes a generated source distribution; building it appends to the file ``marker``."""
        project = Project(name, version, requires, modules or {})
        return self.publish(*sdist(project, marker), project.metadata(), upload_time)

    def wheel_file(self, path: Path) -> Release:
        """Publishes a wheel that somebody else made, such as pip's."""
        with zipfile.ZipFile(path) as archive:
            (member,) = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            return self.publish(path.name, path.read_bytes(), archive.read(member))

    def publish(self, filename: str, body: bytes, metadata: bytes, upload_time: str = DEFAULT_UPLOAD_TIME) -> Release:
        """Publishes a file with these bytes and core metadata, in place of one of the same name."""
        fields = email.parser.BytesHeaderParser().parsebytes(metadata)
        release = Release(
            index=self.name,
            name=normalize(fields["Name"]),
            version=fields["Version"],
            requires_python=fields["Requires-Python"],
            filename=filename,
            url=f"{self._base_url}{self._files_path}{urllib.parse.quote(filename)}",
            content=self._contents.add((body,)),
            metadata=self._contents.add((metadata,)),
            upload_time=upload_time,
        )
        self._releases[filename] = release
        return release

    def yank(self, release: Release, reason: str = "") -> None:
        """Marks a file as yanked: it stays, for those who name its version exactly."""
        self._releases[release.filename] = dataclasses.replace(release, yanked=reason)

    def remove(self, release: Release) -> None:
        """Takes a file away."""
        del self._releases[release.filename]

    @property
    def releases(self) -> list[Release]:
        """The files of the index in the order in which they were published."""
        return list(self._releases.values())

    def find(self, filename: str) -> Release | None:
        """The file of that name."""
        return self._releases.get(filename)

    def page(self, request: Request, project: str | None) -> Response:
        """The list of projects, or of one project's files."""
        if project is None:
            return self._projects(request)
        normalized = normalize(project)
        if normalized != project or not request.path.endswith("/"):
            return redirect(request.path.rstrip("/").rpartition("/")[0] + f"/{normalized}/", status=301)
        releases = [release for release in self.releases if release.name == normalized]
        if not releases:
            return text(404, f"the index {self.name} has no project {normalized}")
        return self._json(normalized, releases) if self._wants_json(request) else self._html(normalized, releases)

    def _wants_json(self, request: Request) -> bool:
        return self.habits.json and JSON_TYPE in request.headers.get("accept", "")

    def _projects(self, request: Request) -> Response:
        names = sorted({release.name for release in self.releases})
        if self._wants_json(request):
            value = {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in names]}
            return document(value, headers={"Content-Type": JSON_TYPE})
        return _page("Simple index", (f'<a href="{name}/">{name}</a>' for name in names))

    def _json(self, project: str, releases: list[Release]) -> Response:
        files = [self._json_file(release) for release in releases]
        versions = sorted({release.version for release in releases})
        value = {"meta": {"api-version": "1.1"}, "name": project, "versions": versions, "files": files}
        return document(value, headers={"Content-Type": JSON_TYPE})

    def _json_file(self, release: Release) -> dict[str, object]:
        file: dict[str, object] = {
            "filename": release.filename,
            "url": self._path(release),
            "hashes": {"sha256": release.sha256} if self.habits.hashes else {},
            "size": release.size,
            "upload-time": release.upload_time,
            "yanked": False if release.yanked is None else release.yanked or True,
        }
        if release.requires_python:
            file["requires-python"] = release.requires_python
        if self._has_metadata(release):
            file["core-metadata"] = file["dist-info-metadata"] = {"sha256": release.metadata.sha256}
        return file

    def _html(self, project: str, releases: list[Release]) -> Response:
        return _page(f"Links for {project}", (self._html_file(release) for release in releases))

    def _html_file(self, release: Release) -> str:
        fragment = f"#sha256={release.sha256}" if self.habits.hashes else ""
        attributes = {"href": self._path(release) + fragment}
        if release.requires_python:
            attributes["data-requires-python"] = release.requires_python
        if release.yanked is not None:
            attributes["data-yanked"] = release.yanked
        if self._has_metadata(release):
            attributes["data-core-metadata"] = f"sha256={release.metadata.sha256}"
            attributes["data-dist-info-metadata"] = f"sha256={release.metadata.sha256}"
        written = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
        return f"<a {written}>{html.escape(release.filename)}</a>"

    def _has_metadata(self, release: Release) -> bool:
        return self.habits.metadata and release.filename.endswith(".whl")

    def _path(self, release: Release) -> str:
        """The file's address without scheme and host: right for whatever name the forge is reached by."""
        return self._files_path + urllib.parse.quote(release.filename)


def _page(title: str, links: Iterable[str]) -> Response:
    lines = [
        "<!DOCTYPE html>",
        '<html><head><meta name="pypi:repository-version" content="1.1">',
        f"<title>{title}</title></head><body>",
        *(f"{link}<br>" for link in links),
        "</body></html>",
    ]
    return data("\n".join(lines).encode(), "text/html; charset=utf-8")


class PackageService:
    """Serves the indexes and their files."""

    def __init__(self, base_url: str, contents: ContentStore) -> None:
        self._base_url = base_url
        self._contents = contents
        self._indexes: dict[str, Index] = {}

    def index(self, name: str) -> Index:
        """The index of that name, made where it is new."""
        if name not in self._indexes:
            path = "/simple" if name == "pypi" else f"/index/{name}/simple"
            self._indexes[name] = Index(name, self._base_url + path, f"/files/{name}/", self._base_url, self._contents)
        return self._indexes[name]

    @property
    def indexes(self) -> dict[str, Index]:
        """The indexes that there are, by name."""
        return dict(self._indexes)

    def answer(self, request: Request) -> Response:
        """GET or HEAD of a page of an index or of a file."""
        parts = ["index", "pypi", *request.parts] if request.parts[0] == "simple" else request.parts
        index = self._indexes.get(parts[1]) if len(parts) > 1 else None
        if index is None:
            return text(404, "no index of that name")
        if index.token is not None and request.token != index.token:
            return text(401, "a token is needed", {"WWW-Authenticate": 'Basic realm="forge"'})
        if parts[0] == "files":
            return _file(request, index, "/".join(parts[2:]))
        if parts[2:3] != ["simple"] or len(parts) > 4:
            return text(404, "an index has its pages under simple/")
        return index.page(request, parts[3] if len(parts) == 4 else None)


def _file(request: Request, index: Index, filename: str) -> Response:
    release = index.find(filename)
    if release is not None:
        return static(request, release.content.path, release.sha256[:32])
    wheel_file = index.find(filename.removesuffix(".metadata"))
    if wheel_file is None or not filename.endswith(".whl.metadata") or not index.habits.metadata:
        return text(404, f"the index {index.name} has no file {filename}")
    return static(request, wheel_file.metadata.path, wheel_file.metadata.sha256[:32])
